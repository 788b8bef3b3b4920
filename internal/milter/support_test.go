package milter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// waitLimit ends a test that waits for what does not come.
const waitLimit = 10 * time.Second

// recorder is a Session that records its calls. The func fields may be set to answer, or
// to panic.
type recorder struct {
	ctx context.Context

	onConnect func(milter.Connect)
	onHelo    func(string)
	onMail    func(milter.Mail)
	onRcpt    func(milter.Rcpt) milter.Reply
	onHeader  func(string, []byte)
	onEOH     func()
	onBody    func([]byte) bool
	onEnd     func(context.Context, string) milter.Response
	onAbort   func()

	mu     sync.Mutex
	events []string
	closed chan struct{} // closed by Close
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

// all returns the events so far.
func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}

// having returns the events that begin with prefix.
func (r *recorder) having(prefix string) []string {
	var out []string
	for _, e := range r.all() {
		if strings.HasPrefix(e, prefix) {
			out = append(out, e)
		}
	}
	return out
}

func (r *recorder) Connect(c milter.Connect) {
	r.note("connect host=%s addr=%v daemon=%s mta=%s version=%s", c.Host, c.Addr, c.Daemon, c.MTA, c.MTAVersion)
	if r.onConnect != nil {
		r.onConnect(c)
	}
}

func (r *recorder) Helo(name string) {
	r.note("helo %s", name)
	if r.onHelo != nil {
		r.onHelo(name)
	}
}

func (r *recorder) Mail(m milter.Mail) {
	test := ""
	if m.Test {
		test = " test"
	}
	r.note("mail %s auth=%s id=%s%s", m.From, m.AuthUser, m.QueueID, test)
	if r.onMail != nil {
		r.onMail(m)
	}
}

func (r *recorder) Rcpt(x milter.Rcpt) milter.Reply {
	r.note("rcpt %s mailer=%s", x.To, x.Mailer)
	if r.onRcpt != nil {
		return r.onRcpt(x)
	}
	return milter.Reply{}
}

func (r *recorder) Header(name string, value []byte) {
	r.note("header %s:%q", name, value)
	if r.onHeader != nil {
		r.onHeader(name, value)
	}
}

func (r *recorder) EndOfHeader() {
	r.note("eoh")
	if r.onEOH != nil {
		r.onEOH()
	}
}

func (r *recorder) Body(chunk []byte) bool {
	r.note("body %d", len(chunk))
	if r.onBody != nil {
		return r.onBody(chunk)
	}
	return true
}

func (r *recorder) EndOfMessage(ctx context.Context, id string) milter.Response {
	r.note("end id=%s", id)
	if r.onEnd != nil {
		return r.onEnd(ctx, id)
	}
	return milter.Response{}
}

func (r *recorder) Abort() {
	r.note("abort")
	if r.onAbort != nil {
		r.onAbort()
	}
}

func (r *recorder) Close() {
	r.note("close")
	close(r.closed)
}

// logBuffer collects log lines of a server.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// rig is a server on a free port with the recorders of its sessions.
type rig struct {
	t      *testing.T
	srv    *milter.Server
	addr   string
	logs   *logBuffer
	served chan error

	mu       sync.Mutex
	sessions []*recorder
	opened   chan *recorder
}

// start serves on loopback TCP. adjust may change the Config; each changes
// every recorder before it is used.
func start(t *testing.T, adjust func(*milter.Config), each func(*recorder)) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, ln, adjust, each)
}

func startOn(t *testing.T, ln net.Listener, adjust func(*milter.Config), each func(*recorder)) *rig {
	t.Helper()
	r := &rig{t: t, addr: ln.Addr().String(), logs: &logBuffer{}, served: make(chan error, 1), opened: make(chan *recorder, 10_000)}
	cfg := milter.Config{
		NewSession: func(ctx context.Context) milter.Session {
			s := &recorder{ctx: ctx, closed: make(chan struct{})}
			if each != nil {
				each(s)
			}
			r.mu.Lock()
			r.sessions = append(r.sessions, s)
			r.mu.Unlock()
			r.opened <- s
			return s
		},
		Log: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if adjust != nil {
		adjust(&cfg)
	}
	r.srv = milter.NewServer(cfg)
	go func() { r.served <- r.srv.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		defer cancel()
		if err := r.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-r.served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r
}

// open connects and negotiates as Postfix does; the test owns the connection.
func (r *rig) open() *miltertest.MTA {
	r.t.Helper()
	return r.openAs(miltertest.Postfix())
}

func (r *rig) openAs(offer miltertest.Offer) *miltertest.MTA {
	r.t.Helper()
	m, err := miltertest.Open("tcp", r.addr, offer)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { m.Conn.Close() })
	return m
}

// session waits for the next session.
func (r *rig) session() *recorder {
	r.t.Helper()
	select {
	case s := <-r.opened:
		return s
	case <-time.After(waitLimit):
		r.t.Fatal("no session was made")
		return nil
	}
}

// wait waits for ch, which a test or the server closes.
func wait(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(waitLimit):
		t.Fatalf("%s did not come", what)
	}
}

// mustSend sends a message that must get an answer.
func mustSend(t *testing.T, m *miltertest.MTA, msg *miltertest.Message) miltertest.Result {
	t.Helper()
	r, err := m.Send(msg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustGreet(t *testing.T, m *miltertest.MTA, p miltertest.Peer) {
	t.Helper()
	a, err := m.Greet(p)
	if err != nil {
		t.Fatal(err)
	}
	if a.Action != miltertest.RespContinue {
		t.Fatalf("greeting answered %q", a.Action)
	}
}

// barrier waits until everything sent has been processed. It must be outside of a
// message, since it sends one and awaits its answer.
func barrier(t *testing.T, m *miltertest.MTA) {
	t.Helper()
	mustSend(t, m, note("barrier"))
}

// note is a short message.
func note(subject string) *miltertest.Message {
	return &miltertest.Message{
		From:  "<a@example.net>",
		Rcpts: []string{"<b@example.org>"},
		Raw:   []byte("From: a@example.net\r\nSubject: " + subject + "\r\n\r\nHello.\r\n"),
	}
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s:\n%s\nwant:\n%s", what, g, w)
	}
}

// fakeListener gives the connections and errors that a test puts into it.
type fakeListener struct {
	ch     chan any // net.Conn or error
	closed chan struct{}
	once   sync.Once
}

func newFakeListener() *fakeListener {
	return &fakeListener{ch: make(chan any, 16), closed: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case v := <-l.ch:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-l.closed:
		return nil, errors.New("listener closed")
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dial returns the listener one end of a pipe and returns an MTA at the other. wrap, if
// not nil, wraps the server's end.
func (l *fakeListener) dial(t *testing.T, wrap func(net.Conn) net.Conn) *miltertest.MTA {
	t.Helper()
	client, server := net.Pipe()
	if wrap != nil {
		server = wrap(server)
	}
	l.ch <- server
	t.Cleanup(func() { client.Close() })
	return miltertest.New(client)
}
