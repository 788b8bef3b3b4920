package milter_test

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// TestProtocolErrors sends what no MTA may send. Each closes the connection
// with one log line, and never counts as a panic.
func TestProtocolErrors(t *testing.T) {
	const (
		none    = iota // nothing before
		agreed         // negotiated
		greeted        // connect and HELO
		mailed         // MAIL and RCPT
		bodied         // to the end of the header
	)
	str := miltertest.Str
	for _, c := range []struct {
		name  string
		after int
		put   func(m *miltertest.MTA)
	}{
		{"zero length", agreed, func(m *miltertest.MTA) { m.PutRaw([]byte{0, 0, 0, 0}) }},
		{"4 GiB", agreed, func(m *miltertest.MTA) { m.PutRaw([]byte{0xff, 0xff, 0xff, 0xff}) }},
		{"just too large", agreed, func(m *miltertest.MTA) { m.PutRaw([]byte{0, 0x10, 0, 1}) }},
		{"HTTP", none, func(m *miltertest.MTA) { m.PutRaw([]byte("GET / HTTP/1.1\r\n\r\n")) }},
		{"TLS", none, func(m *miltertest.MTA) { m.PutRaw([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")) }},
		{"negotiation too short", none, func(m *miltertest.MTA) { m.Put('O', []byte{0, 0, 0, 6}) }},
		{"no negotiation", none, func(m *miltertest.MTA) { m.PutStrings('M', "<a@b>") }},
		{"connect without negotiation", none, func(m *miltertest.MTA) { m.Put('C', str("h"), []byte("U")) }},
		{"unknown SMTP command without negotiation", none, func(m *miltertest.MTA) { m.PutStrings('U', "X") }},
		{"unknown command", agreed, func(m *miltertest.MTA) { m.Put('?') }},
		{"a reply", agreed, func(m *miltertest.MTA) { m.Put('c') }},
		{"negotiation within a message", mailed, func(m *miltertest.MTA) { m.Put('O', make([]byte, 12)) }},
		{"HELO without connect", agreed, func(m *miltertest.MTA) { m.PutStrings('H', "h") }},
		{"MAIL without connect", agreed, func(m *miltertest.MTA) { m.PutStrings('M', "<a@b>") }},
		{"connect empty", agreed, func(m *miltertest.MTA) { m.Put('C') }},
		{"connect without NUL", agreed, func(m *miltertest.MTA) { m.Put('C', []byte("host")) }},
		{"connect without family", agreed, func(m *miltertest.MTA) { m.Put('C', str("host")) }},
		{"connect of an unknown family", agreed, func(m *miltertest.MTA) { m.Put('C', str("host"), []byte("X\x00\x19192.0.2.1\x00")) }},
		{"connect without port", agreed, func(m *miltertest.MTA) { m.Put('C', str("host"), []byte("4")) }},
		{"connect without address", agreed, func(m *miltertest.MTA) { m.Put('C', str("host"), []byte("4\x00\x19")) }},
		{"connect, address without NUL", agreed, func(m *miltertest.MTA) { m.Put('C', str("host"), []byte("4\x00\x19192.0.2.1")) }},
		{"HELO without NUL", greeted, func(m *miltertest.MTA) { m.Put('H', []byte("h")) }},
		{"HELO of two strings", greeted, func(m *miltertest.MTA) { m.PutStrings('H', "h", "i") }},
		{"MAIL empty", greeted, func(m *miltertest.MTA) { m.Put('M') }},
		{"MAIL without NUL", greeted, func(m *miltertest.MTA) { m.Put('M', []byte("<a@b>")) }},
		{"MAIL, last argument without NUL", greeted, func(m *miltertest.MTA) { m.Put('M', str("<a@b>"), []byte("SIZE=1")) }},
		{"RCPT without MAIL", greeted, func(m *miltertest.MTA) { m.PutStrings('R', "<a@b>") }},
		{"RCPT without NUL", mailed, func(m *miltertest.MTA) { m.Put('R', []byte("<a@b>")) }},
		{"RCPT behind the header", bodied, func(m *miltertest.MTA) { m.PutStrings('R', "<a@b>") }},
		{"header without MAIL", greeted, func(m *miltertest.MTA) { m.PutStrings('L', "Subject", "x") }},
		{"header empty", mailed, func(m *miltertest.MTA) { m.Put('L') }},
		{"header without NUL", mailed, func(m *miltertest.MTA) { m.Put('L', []byte("Subject")) }},
		{"header without value", mailed, func(m *miltertest.MTA) { m.Put('L', str("Subject")) }},
		{"header, value without NUL", mailed, func(m *miltertest.MTA) { m.Put('L', str("Subject"), []byte("x")) }},
		{"header without name", mailed, func(m *miltertest.MTA) { m.PutStrings('L', "", "x") }},
		{"header of three strings", mailed, func(m *miltertest.MTA) { m.PutStrings('L', "Subject", "x", "y") }},
		{"header behind the header", bodied, func(m *miltertest.MTA) { m.PutStrings('L', "Subject", "x") }},
		{"end of header without MAIL", greeted, func(m *miltertest.MTA) { m.Put('N') }},
		{"end of header twice", bodied, func(m *miltertest.MTA) { m.Put('N') }},
		{"body without MAIL", greeted, func(m *miltertest.MTA) { m.Put('B', []byte("x")) }},
		{"body before the end of the header", mailed, func(m *miltertest.MTA) { m.Put('B', []byte("x")) }},
		{"end of message without MAIL", greeted, func(m *miltertest.MTA) { m.Put('E') }},
		{"end of message before the end of the header", mailed, func(m *miltertest.MTA) { m.Put('E') }},
		{"macros empty", greeted, func(m *miltertest.MTA) { m.Put('D') }},
		{"macros without NUL", greeted, func(m *miltertest.MTA) { m.Put('D', []byte("Mi")) }},
		{"hang-up within a packet", greeted, func(m *miltertest.MTA) { m.PutRaw([]byte{0, 0, 0, 9, 'H', 'x'}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m, err := miltertest.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Conn.Close()
			if c.after >= agreed {
				if err := m.Negotiate(miltertest.Postfix()); err != nil {
					t.Fatal(err)
				}
			}
			if c.after >= greeted {
				mustGreet(t, m, miltertest.Peer{})
			}
			if c.after >= mailed {
				m.PutStrings('M', "<a@b>")
				m.PutStrings('R', "<c@d>")
			}
			if c.after >= bodied {
				m.Put('N')
			}
			c.put(m)
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
			if c.name == "hang-up within a packet" {
				m.Conn.Close()
			}
			if !m.Closed() {
				t.Error("taken")
			}
			if err := r.srv.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			st := r.srv.Stats()
			if logs := r.logs.String(); strings.Count(logs, "\n") != 1 || st.ProtocolErrors != 1 || st.Panics != 0 {
				t.Errorf("%d protocol errors, %d panics, log:\n%s", st.ProtocolErrors, st.Panics, logs)
			}
		})
	}
}

// TestOddButLegal sends what is rare and must work.
func TestOddButLegal(t *testing.T) {
	mail := func(m *miltertest.MTA) {
		m.PutStrings('M', "<a@b>")
		m.PutStrings('R', "<c@d>")
	}
	end := func(t *testing.T, m *miltertest.MTA) {
		t.Helper()
		m.Put('E')
		if p, err := m.Get(); err != nil || p.Cmd != miltertest.RespAccept {
			t.Fatalf("end of message answered %q, %v", p.Cmd, err)
		}
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T, m *miltertest.MTA)
		want []string // events after the greeting
	}{
		{"a piece of body at the end of message", func(t *testing.T, m *miltertest.MTA) {
			mail(m)
			m.Put('N')
			m.Put('E', []byte("tail"))
			if p, err := m.Get(); err != nil || p.Cmd != miltertest.RespAccept {
				t.Fatalf("answered %q, %v", p.Cmd, err)
			}
		}, []string{"mail <a@b> auth= id=", "rcpt <c@d> mailer=", "eoh", "body 4", "end id="}},
		{"MAIL within a transaction", func(t *testing.T, m *miltertest.MTA) {
			mail(m)
			mail(m)
			m.Put('N')
			end(t, m)
		}, []string{"mail <a@b> auth= id=", "rcpt <c@d> mailer=", "abort", "mail <a@b> auth= id=", "rcpt <c@d> mailer=", "eoh", "end id="}},
		{"HELO within a transaction", func(t *testing.T, m *miltertest.MTA) {
			mail(m)
			m.PutStrings('H', "again")
			mail(m)
			m.Put('N')
			end(t, m)
		}, []string{"mail <a@b> auth= id=", "rcpt <c@d> mailer=", "abort", "helo again", "mail <a@b> auth= id=", "rcpt <c@d> mailer=", "eoh", "end id="}},
		{"abort outside of a transaction", func(t *testing.T, m *miltertest.MTA) {
			m.Put('A')
			m.Put('A')
			mail(m)
			m.Put('N')
			end(t, m)
		}, []string{"mail <a@b> auth= id=", "rcpt <c@d> mailer=", "eoh", "end id="}},
		{"abort, then quit", func(t *testing.T, m *miltertest.MTA) {
			mail(m)
			m.Put('A')
			m.Put('Q')
			if !m.Closed() {
				t.Error("quit was not heard")
			}
		}, []string{"mail <a@b> auth= id=", "rcpt <c@d> mailer=", "abort", "close"}},
		{"quit within a transaction", func(t *testing.T, m *miltertest.MTA) {
			mail(m)
			m.Put('Q')
			if !m.Closed() {
				t.Error("quit was not heard")
			}
		}, []string{"mail <a@b> auth= id=", "rcpt <c@d> mailer=", "abort", "close"}},
		{"negotiation again", func(t *testing.T, m *miltertest.MTA) {
			if err := m.Negotiate(miltertest.Postfix()); err != nil {
				t.Fatal(err)
			}
			mustGreet(t, m, miltertest.Peer{Host: "h", Helo: "new"})
			mail(m)
			m.Put('N')
			end(t, m)
		}, []string{"connect host=h addr=192.0.2.1 daemon= mta= version=", "helo new", "mail <a@b> auth= id=", "rcpt <c@d> mailer=", "eoh", "end id="}},
		{"macro names with and without braces, unpaired", func(t *testing.T, m *miltertest.MTA) {
			m.Macros('M', "auth_authen", "u", "{i}", "Q1", "{auth_authen")
			mail(m)
			m.Macros('N', "i")
			m.Put('N')
			end(t, m)
		}, []string{"mail <a@b> auth=u id=Q1", "rcpt <c@d> mailer=", "eoh", "end id="}},
		{"folds as CRLF, bare CR, CR before the end, LF that folds nothing", func(t *testing.T, m *miltertest.MTA) {
			mail(m)
			m.PutStrings('L', "A", " x\r\n y\n\tz")
			m.PutStrings('L', "B", " x\ry")
			m.PutStrings('L', "C", " x\r\r")
			m.PutStrings('L', "D", " x\nEvil: y\n")
			m.PutStrings('L', "E", " x\r\r\n y")
			m.Put('N')
			end(t, m)
		}, []string{"mail <a@b> auth= id=", "rcpt <c@d> mailer=", `header A:" x\r\n y\r\n\tz"`, `header B:" x y"`, `header C:" x"`,
			`header D:" x Evil: y"`, `header E:" x\r\n y"`, "eoh", "end id="}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m := r.open()
			mustGreet(t, m, miltertest.Peer{})
			c.run(t, m)
			s := r.session()
			if c.want[len(c.want)-1] == "close" {
				wait(t, "Close", s.closed)
			}
			equal(t, "events", s.all()[2:], c.want)
		})
	}
}

// TestPacketsInPieces cuts a conversation at every byte.
func TestPacketsInPieces(t *testing.T) {
	var session []byte
	put := func(cmd byte, data string) {
		session = binary.BigEndian.AppendUint32(session, uint32(len(data)+1))
		session = append(append(session, cmd), data...)
	}
	put('C', "h\x00U")
	put('M', "<a@b>\x00")
	put('R', "<c@d>\x00")
	put('L', "Subject\x00 x\n y\x00")
	put('N', "")
	put('B', "hello")
	put('E', "")
	ln := newFakeListener()
	r := startOn(t, ln, nil, nil)
	for at := 1; at < len(session); at++ {
		m := ln.dial(t, nil)
		if err := m.Negotiate(miltertest.Postfix()); err != nil {
			t.Fatal(err)
		}
		m.PutRaw(session[:at])
		if err := m.Flush(); err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
		// The rest is written while the body's answer may be on its way.
		sent := make(chan error, 1)
		go func() {
			_, err := m.Conn.Write(session[at:])
			sent <- err
		}()
		for _, want := range []byte{miltertest.RespContinue, miltertest.RespAccept} {
			if p, err := m.Get(); err != nil || p.Cmd != want {
				t.Fatalf("cut at %d: answered %q, %v; want %q", at, p.Cmd, err, want)
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		equal(t, "events", r.session().all()[2:], []string{"rcpt <c@d> mailer=", `header Subject:" x\r\n y"`, "eoh", "body 5", "end id="})
		m.Conn.Close()
	}
}

func TestSkip(t *testing.T) {
	body := strings.Repeat("x", 300_000)
	msg := note("x")
	msg.Raw = append(msg.Raw, body...)
	for _, c := range []struct {
		name    string
		steps   uint32 // taken from the offer
		skipped bool
	}{
		{"offered", 0, true},
		{"not offered", miltertest.Skip, false},
		{"nothing offered", 0x1fffff, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, func(s *recorder) {
				chunks := 0
				s.onMail = func(milter.Mail) { chunks = 0 }
				s.onBody = func([]byte) bool { chunks++; return chunks < 2 }
			})
			offer := miltertest.Postfix()
			offer.Steps &^= c.steps
			m := r.openAs(offer)
			for range 2 {
				res := mustSend(t, m, msg)
				if res.Skipped != c.skipped || !res.Accepts() {
					t.Errorf("skipped %v, answer %q", res.Skipped, res.Action)
				}
			}
			equal(t, "body", r.session().having("body"), []string{"body 65535", "body 65535", "body 65535", "body 65535"})
		})
	}
}

// TestLargePackets covers fields and chunks that outgrow the small buffer and
// the borrowed one, many times, so that buffers change hands.
func TestLargePackets(t *testing.T) {
	sums := func(b []byte) int64 { return int64(crc32.ChecksumIEEE(b)) }
	big := func(n, seed int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = 'a' + byte((i*7+seed)%26)
		}
		return b
	}
	var field, chunk atomic.Int64
	r := start(t, nil, func(s *recorder) {
		s.onHeader = func(_ string, v []byte) { field.Store(sums(v)) }
		s.onBody = func(b []byte) bool { chunk.Store(sums(b)); return true }
	})
	// With every packet answered each begins at the start of the buffer, and
	// some fit it to the byte.
	sizes := []int{10, 8000, 8192, 9000, 65535, 65552, 70_000, 140_000, 1_000_000, 20}
	for n := 8180; n < 8190; n++ {
		sizes = append(sizes, n, n+65536-8192+16)
	}
	for _, offer := range []miltertest.Offer{miltertest.Postfix(), miltertest.Version2()} {
		m := r.openAs(offer)
		for i, n := range sizes {
			value, body := big(n, i), big(min(n, 65535), i+5)
			msg := &miltertest.Message{From: "<>", Rcpts: []string{"<b@c>"}}
			msg.Raw = append(append(append([]byte("X:"), value...), "\r\n\r\n"...), body...)
			if offer.Version == 2 {
				value = append([]byte(" "), value...) // put back
			}
			if res := mustSend(t, m, msg); !res.Accepts() {
				t.Fatalf("%d bytes: %+v", n, res)
			}
			if field.Load() != sums(value) || chunk.Load() != sums(body) {
				t.Errorf("%d bytes: field or body differ", n)
			}
		}
	}
}

func TestDiscard(t *testing.T) {
	r := start(t, nil, func(s *recorder) {
		s.onEnd = func(context.Context, string) milter.Response { return milter.Response{Discard: true} }
	})
	if res := mustSend(t, r.open(), note("x")); res.Action != miltertest.RespDiscard {
		t.Errorf("answer %q", res.Action)
	}
}
