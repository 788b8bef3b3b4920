package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/settings"
)

// bookcase is a Memory of tests.
type bookcase struct {
	records []*memory.Record // oldest first
	err     error            // that Records ends with
	pause   time.Duration    // before each record
}

func (b *bookcase) Find(_ context.Context, id string, _ int) ([]memory.Record, error) {
	var out []memory.Record
	for _, r := range slices.Backward(b.records) {
		if r.QueueID == id || r.MessageID == id {
			out = append(out, *r)
		}
	}
	return out, nil
}

func (b *bookcase) Search(context.Context, memory.Query) (memory.Page, error) {
	return memory.Page{}, nil
}

func (b *bookcase) Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	for _, r := range b.records {
		if !since.IsZero() && r.At.Before(since) || !until.IsZero() && !r.At.Before(until) {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(b.pause):
		}
		if err := yield(r); err != nil {
			return err
		}
	}
	return b.err
}

func (b *bookcase) Count(_ context.Context, since, until time.Time) (n int64, err error) {
	err = b.Records(context.Background(), since, until, func(*memory.Record) error { n++; return nil })
	return n, err
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// shelve makes n records, a second apart.
func shelve(n int) []*memory.Record {
	out := make([]*memory.Record, n)
	for i := range out {
		out[i] = &memory.Record{
			At: noon.Add(time.Duration(i) * time.Second), QueueID: fmt.Sprintf("Q%d", i), MessageID: "m@example.com",
			Helo: strings.Repeat("h", 200), Outcomes: []memory.Outcome{{}},
		}
	}
	return out
}

// serve runs a server on a socket of its own.
func serve(t *testing.T, s *Server) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket file stays")
		}
	})
	return path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path, "1.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// service is one that remembers what b has.
func service(b *bookcase) *api.Service {
	config := settings.Default("mx.example.org")
	return &api.Service{Memory: b, Settings: func() *settings.Settings { return config }, Now: func() time.Time { return noon }}
}

// records returns each record of a period.
func records(ctx context.Context, c *Client, p api.Period, yield func(*memory.Record) error) error {
	return api.MessagesRecords().Each(ctx, c, p, func(r *api.Record) error { return yield(r.Record) })
}

func TestMemoryOverTheSocket(t *testing.T) {
	const many = 5000
	c := dial(t, serve(t, NewServer(Config{Version: "1.0", Service: service(&bookcase{records: shelve(many)})})))
	if c.Daemon() != "1.0" {
		t.Errorf("the daemon is %q", c.Daemon())
	}
	found, err := api.MessagesExplain().Ask(t.Context(), c, api.ExplainRequest{ID: "Q17"})
	if err != nil || len(found.Messages) != 1 || !found.Messages[0].Message.At.Equal(noon.Add(17*time.Second)) {
		t.Errorf("found %v, %v", found, err)
	}
	if _, err = api.MessagesExplain().Ask(t.Context(), c, api.ExplainRequest{ID: "no&such=one"}); errkind.Of(err) != errkind.NotFound || !strings.Contains(err.Error(), `"no&such=one"`) {
		t.Errorf("an unknown one: %v", err)
	}
	n, last := 0, time.Time{}
	err = records(t.Context(), c, api.Period{}, func(r *memory.Record) error {
		if n++; r.At.Before(last) {
			t.Fatal("not in order")
		}
		last = r.At
		return nil
	})
	if err != nil || n != many {
		t.Errorf("%d records, %v", n, err)
	}
	period := api.Period{Since: noon.Add(10 * time.Second), Until: noon.Add(20 * time.Second)}
	if count, err := api.MessagesCount().Ask(t.Context(), c, period); err != nil || count.Count != 10 {
		t.Errorf("counted %d, %v", count, err)
	}
}

func TestRecordsEndWithTheReader(t *testing.T) {
	c := dial(t, serve(t, NewServer(Config{Service: service(&bookcase{records: shelve(5000)})})))
	enough := errors.New("enough")
	n := 0
	err := records(t.Context(), c, api.Period{}, func(*memory.Record) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if err != enough || n != 3 {
		t.Errorf("%d records, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = records(ctx, c, api.Period{}, func(*memory.Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestRecordsEndWithAnError(t *testing.T) {
	c := dial(t, serve(t, NewServer(Config{Service: service(&bookcase{records: shelve(3), err: errors.New("the disk is gone")})})))
	n := 0
	err := records(t.Context(), c, api.Period{}, func(*memory.Record) error { n++; return nil })
	if n != 3 || errkind.Of(err) != errkind.Trouble || err.Error() != "the disk is gone" {
		t.Errorf("%d records, %v", n, err)
	}
}

// TestSlowServerShowsLife has a server that is slower than the client's patience.
func TestSlowServerShowsLife(t *testing.T) {
	s := NewServer(Config{Service: service(&bookcase{records: shelve(2), pause: 600 * time.Millisecond})})
	s.alive = 50 * time.Millisecond
	c := dial(t, serve(t, s))
	c.quiet = 300 * time.Millisecond
	n := 0
	if err := records(t.Context(), c, api.Period{}, func(*memory.Record) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d records, %v", n, err)
	}
	s.alive = time.Hour
	err := records(t.Context(), c, api.Period{}, func(*memory.Record) error { return nil })
	if !errors.Is(err, ErrCut) {
		t.Errorf("a silent daemon: %v", err)
	}
}

func freshRecord() any { return new(api.Record) }

// TestCutStream has a daemon that dies in the middle of its answer.
func TestCutStream(t *testing.T) {
	whole := []byte{}
	for _, r := range shelve(3) {
		whole, _ = valueFrame(whole, api.Record{Record: r})
	}
	whole = append(whole, endFrame(3)...)
	for n := range len(whole) + 1 {
		err := readStream(strings.NewReader(string(whole[:n])), freshRecord, func(any) error { return nil })
		if n == len(whole) && err != nil || n < len(whole) && !errors.Is(err, ErrCut) {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
	short := append(whole[:0:0], whole[:len(whole)-1]...)
	if err := readStream(strings.NewReader(string(append(short, 9))), freshRecord, func(any) error { return nil }); !errors.Is(err, ErrCut) {
		t.Errorf("with records missing: %v", err)
	}
}

func TestRefusedCalls(t *testing.T) {
	c := dial(t, serve(t, NewServer(Config{Service: service(&bookcase{})})))
	for _, call := range []struct {
		name string
		in   any
		want errkind.Kind
		text string
	}{
		{"messages.burn", struct{}{}, errkind.NotFound, "messages.burn"},
		{"messages.records", struct{}{}, errkind.NotFound, "messages.records"}, // a stream
		{"messages.count", map[string]int{"snice": 1}, errkind.BadRequest, "snice"},
		{"messages.explain", api.ExplainRequest{ID: " "}, errkind.BadRequest, "the id is empty"},
		{"reports.list", struct{}{}, errkind.Trouble, "no reports"},
	} {
		err := c.Ask(t.Context(), call.name, call.in, new(json.RawMessage))
		if errkind.Of(err) != call.want || !strings.Contains(err.Error(), call.text) {
			t.Errorf("%s: kind %s: %v", call.name, errkind.Of(err), err)
		}
	}
	if err := c.Each(t.Context(), "messages.count", struct{}{}, freshRecord, nil); errkind.Of(err) != errkind.NotFound {
		t.Errorf("a stream of what is none: %v", err)
	}
}

func TestTooManyClients(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := service(&bookcase{})
	s.Memory = &waitingMemory{entered: entered, leave: leave}
	c := dial(t, serve(t, NewServer(Config{Clients: 1, Service: s})))
	done := make(chan error, 1)
	go func() {
		_, err := api.MessagesCount().Ask(context.Background(), c, api.Period{})
		done <- err
	}()
	<-entered
	_, err := api.MessagesExplain().Ask(t.Context(), c, api.ExplainRequest{ID: "x"})
	if !errors.Is(err, ErrBusy) || errkind.Of(err) != errkind.Trouble {
		t.Errorf("one too many: %v", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestIdleClients has 600 clients that connect, say nothing and come again when they are
// sent away: one who asks is answered at once.
func TestIdleClients(t *testing.T) {
	path := serve(t, NewServer(Config{Version: "1.0", Service: service(&bookcase{records: shelve(3)})}))
	const idle = 600
	for range idle {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	began := time.Now()
	for range 3 {
		c := dial(t, path)
		if n, err := api.MessagesCount().Ask(t.Context(), c, api.Period{}); err != nil || n.Count != 3 {
			t.Errorf("%v, %v", n, err)
		}
	}
	if took := time.Since(began); took > headTimeout/2 {
		t.Errorf("answered after %v: it waited for idle clients to be sent away", took)
	}
}

// waitingMemory counts once it is let go.
type waitingMemory struct {
	bookcase
	entered, leave chan struct{}
}

func (m *waitingMemory) Count(context.Context, time.Time, time.Time) (int64, error) {
	close(m.entered)
	<-m.leave
	return 0, nil
}

func TestOtherProtocol(t *testing.T) {
	path := serve(t, NewServer(Config{Version: "1.0", Service: service(&bookcase{})}))
	c := dial(t, path)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://dmarcd/hello", nil)
	req.Header.Set(fieldProtocol, "99")
	req.Header.Set(fieldVersion, "9.9")
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	err = c.check(res)
	if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), `"1.0"`) || !strings.Contains(err.Error(), `"9.9"`) {
		t.Errorf("refused with %v", err)
	}

	other := filepath.Join(t.TempDir(), SocketName)
	l, err := Listen(other)
	if err != nil {
		t.Fatal(err)
	}
	old := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = old.Serve(l) }()
	defer old.Close()
	if _, err := Dial(t.Context(), other, "1.1"); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), `"1.1"`) {
		t.Errorf("a daemon without protocol: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	if _, err := Dial(t.Context(), path, ""); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("no socket: %v", err)
	}
	abandon(t, path)
	if _, err := Dial(t.Context(), path, ""); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("a stale socket: %v", err)
	}
	silent, err := net.Listen("unix", path+"2")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, path+"2", ""); err == nil || errors.Is(err, ErrNoDaemon) || errors.Is(err, ErrNotAllowed) {
		t.Errorf("a daemon that does not answer: %v", err)
	}
}

// abandon leaves a socket file without a listener.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNotAllowed asks as somebody else, who is told which group may.
func TestNotAllowed(t *testing.T) {
	if path := os.Getenv("DMARCD_TEST_SOCKET"); path != "" {
		_, err := Dial(t.Context(), path, "")
		if !errors.Is(err, ErrNotAllowed) || !strings.Contains(err.Error(), "the group root") {
			t.Errorf("asked by another user: %v", err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "test")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(dir, "hidden")
	if err := errors.Join(os.WriteFile(program, binary, 0o600), os.Chmod(program, 0o755), os.Chmod(dir, 0o755), os.Mkdir(hidden, 0o750)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, SocketName), filepath.Join(hidden, SocketName)} {
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		const nobody = 65534
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestNotAllowed$")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "DMARCD_TEST_SOCKET="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	abandon(t, path)
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another dmarcd") {
		t.Errorf("twice: %v", err)
	}
	if _, err := Listen(filepath.Join("/tmp", strings.Repeat("x", MaxPath))); err == nil || !strings.Contains(err.Error(), "shorter state_dir") {
		t.Errorf("a long path: %v", err)
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(link); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a symbolic link: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("a file of somebody else's is gone: %q, %v", b, err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "not touched") {
		t.Errorf("a file: %v", err)
	}
}
