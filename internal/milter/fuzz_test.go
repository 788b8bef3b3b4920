package milter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// memConn is a connection whose peer has sent all its data, in pieces of the given size.
// It keeps the answers.
type memConn struct {
	mu     sync.Mutex
	in     []byte
	piece  int
	out    bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func (c *memConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.piece)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *memConn) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *memConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *memConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// orderly is a Session that checks what every Session may rely on.
type orderly struct {
	fail      func(string)
	connected bool
	stage     int // 0 no message, 1 envelope, 2 header, 3 body
	bodyDone  bool
	closed    chan struct{}
}

func (o *orderly) must(ok bool, what string) {
	if !ok {
		o.fail(what)
	}
}

func (o *orderly) Connect(c milter.Connect) {
	o.must(o.stage == 0, "connect within a message")
	o.must(!c.Addr.Is4In6() && c.Addr.Zone() == "", "address not plain")
	o.connected = true
}

func (o *orderly) Helo(string) { o.must(o.connected && o.stage == 0, "HELO out of turn") }

func (o *orderly) Mail(m milter.Mail) {
	o.must(o.connected && o.stage == 0, "MAIL out of turn")
	o.must(!strings.Contains(m.From, "\x00"), "NUL in a path")
	o.stage, o.bodyDone = 1, false
}

func (o *orderly) Rcpt(r milter.Rcpt) milter.Reply {
	o.must(o.stage == 1, "RCPT out of turn")
	if strings.Contains(r.To, "no") {
		return milter.Reply{Code: 452, Enhanced: "4.5.3", Text: r.To}
	}
	return milter.Reply{}
}

func (o *orderly) Header(name string, value []byte) {
	o.must(o.stage == 1 || o.stage == 2, "header out of turn")
	o.must(name != "" && !strings.Contains(name, "\x00"), "header name")
	o.must(bytes.IndexByte(value, 0) < 0, "NUL in a value")
	unfolded := strings.NewReplacer("\r\n ", " ", "\r\n\t", "\t").Replace(string(value))
	o.must(!strings.ContainsAny(unfolded, "\r\n"), "line end that folds nothing")
	o.stage = 2
}

func (o *orderly) EndOfHeader() {
	o.must(o.stage == 1 || o.stage == 2, "end of header out of turn")
	o.stage = 3
}

func (o *orderly) Body(b []byte) bool {
	o.must(o.stage == 3 && !o.bodyDone, "body out of turn")
	if bytes.Contains(b, []byte("boom")) {
		panic("boom")
	}
	o.bodyDone = bytes.Contains(b, []byte("done"))
	return !o.bodyDone
}

func (o *orderly) EndOfMessage(_ context.Context, id string) milter.Response {
	o.must(o.stage == 3, "end of message out of turn")
	o.stage = 0
	switch {
	case strings.Contains(id, "reject"):
		return milter.Response{Reply: milter.Reply{Code: 550, Enhanced: "5.7.1", Text: id}}
	case strings.Contains(id, "edit"):
		return milter.Response{Quarantine: id, Edits: []milter.Edit{{Kind: milter.InsertHeader, Name: "X", Value: " " + id}}}
	}
	return milter.Response{}
}

func (o *orderly) Abort() {
	o.must(o.stage > 0, "abort out of turn")
	o.stage = 0
}

func (o *orderly) Close() {
	o.must(o.stage == 0, "close within a message")
	close(o.closed)
}

// wellFormed checks that what a server answered is packets that an MTA knows.
func wellFormed(out []byte) error {
	for len(out) > 0 {
		if len(out) < 5 {
			return fmt.Errorf("half a packet: %q", out)
		}
		n := int(binary.BigEndian.Uint32(out))
		if n < 1 || n > 65535 || len(out) < 4+n {
			return fmt.Errorf("packet of %d bytes, %d there", n, len(out)-4)
		}
		data := out[5 : 4+n]
		switch code := out[4]; code {
		case 'a', 'c', 'd', 's':
			if len(data) > 0 {
				return fmt.Errorf("%q carries %q", code, data)
			}
		case 'y', 'q', 'i':
			if n > 1 && data[len(data)-1] != 0 || bytes.ContainsAny(data, "\r") {
				return fmt.Errorf("%q carries %q", code, data)
			}
		case 'O':
			if len(data) < 12 {
				return fmt.Errorf("negotiation of %d bytes", len(data))
			}
		default:
			return fmt.Errorf("packet %q", code)
		}
		out = out[4+n:]
	}
	return nil
}

// conversation is what an MTA of this offer sends for a few messages.
func conversation(offer miltertest.Offer, raw string) []byte {
	c := &memConn{closed: make(chan struct{})}
	m := miltertest.New(c)
	m.Put('O', binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil,
		offer.Version), offer.Actions), offer.Steps))
	for _, id := range []string{"4F01", "4F02edit", "4F03reject%s"} {
		m.Macros('C', "j", "mx.example.org", "{client_addr}", "192.0.2.1")
		m.Put('C', miltertest.Str("client.example"), []byte{'6', 0, 25}, miltertest.Str("IPv6:2001:db8::1"))
		m.PutStrings('H', "helo.example")
		m.Macros('M', "i", id, "{auth_authen}", "user")
		m.PutStrings('M', "<a@example.net>", "SIZE=5")
		m.Macros('R', "{rcpt_mailer}", "local")
		m.PutStrings('R', "<b@example.org>")
		m.PutStrings('R', "<no@example.org>")
		if offer.Version > 3 {
			m.Put('T')
		}
		head, body, _ := strings.Cut(raw, "\n\n")
		for f := range strings.SplitSeq(head, "\n") {
			name, value, _ := strings.Cut(f, ":")
			m.PutStrings('L', name, strings.ReplaceAll(value, "|", "\n"))
		}
		m.Put('N')
		m.Put('B', []byte(body))
		m.Macros('E', "i", id)
		m.Put('E')
		m.Put('A')
	}
	m.Put('K')
	m.Put('Q')
	// Errors cannot come from memory.
	_ = m.Flush()
	return c.out.Bytes()
}

// FuzzSession returns the server whatever bytes as the MTA's side.
func FuzzSession(f *testing.F) {
	const raw = "From: a@example.net\nSubject: x| y\nEmpty:\n\nhello\n"
	for _, offer := range []miltertest.Offer{miltertest.Postfix(), miltertest.Sendmail(), miltertest.Version2()} {
		f.Add(conversation(offer, raw), 0)
		f.Add(conversation(offer, "X:"+strings.Repeat("y", 9000)+"\n\ndone"), 7)
		f.Add(conversation(offer, raw+"boom"), 1000)
	}
	f.Add([]byte("\x00\x00\x00\x00"), 1)
	f.Add([]byte("\xff\xff\xff\xffO"), 1)
	ln := newFakeListener()
	sessions := make(chan *orderly, 1)
	var mu sync.Mutex
	var faults []string
	srv := milter.NewServer(milter.Config{
		NewSession: func(context.Context) milter.Session {
			o := &orderly{closed: make(chan struct{}), fail: func(what string) {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, what)
			}}
			sessions <- o
			return o
		},
		RcptReplies: func() bool { return true },
	})
	go srv.Serve(ln)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		if piece < 1 || piece > 1<<20 {
			piece = 1 << 20
		}
		panics := srv.Stats().Panics
		c := &memConn{in: in, piece: piece, closed: make(chan struct{})}
		ln.ch <- c
		wait(t, "the end of the connection", c.closed)
		select {
		case o := <-sessions:
			wait(t, "Close", o.closed)
		default:
		}
		mu.Lock()
		defer mu.Unlock()
		if len(faults) > 0 {
			t.Fatalf("%q", faults)
		}
		if n := srv.Stats().Panics - panics; n > 0 && !bytes.Contains(in, []byte("boom")) {
			t.Fatalf("%d panics", n)
		}
		if err := wellFormed(c.out.Bytes()); err != nil {
			t.Fatal(err)
		}
	})
}
