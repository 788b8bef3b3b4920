package milter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// Each defect that is known of emersion/go-milter v0.5.0 has a test that
// fails with the bare library. All go over a real connection.
//
//	 1  a refusal swaps the backend: facts of the connection lost   TestDefect01FactsOfTheConnectionStay
//	 2  no connection, close or context for the backend             TestDefect02CloseAndContext
//	 3  no deadlines                                                TestDefect03Deadlines
//	 4  the first error of Accept ends Serve                        TestDefect04AcceptErrorsAreSurvived
//	 5  listeners shared without a lock                             TestDefect05SeveralListeners
//	 6  Close neither drains nor waits                              TestDefect06Drain
//	 7  header fields of earlier messages pile up                   TestDefect07FieldsOfOneMessageOnly
//	 8  one macro map for all stages                                TestDefect08MacrosByStage
//	 9  IPv6 clients of Sendmail unknown                            TestDefect09IPv6OfSendmail
//	10  local clients misread                                       TestDefect10LocalClients
//	11  paths stripped of brackets                                  TestDefect11Paths
//	12  U and K close the session                                   TestDefect12UnknownAndQuitNC
//	13  negotiation ignores the offer                               TestDefect13Negotiation
//	14  DATA answered where no reply is wanted; odd headers too     TestDefect14NoReplyTooMany
//	15  NULs trimmed: empty strings lost                            TestDefect15EmptyStrings
//	16  macro lists in random order                                 TestDefect16SymbolsInOrder
//	17  replies unescaped                                           TestDefect17Replies
//	18  modifications unchecked                                     TestDefect18EditsAreChecked
//	19  one write for each modification                             TestDefect19OneWrite
//	20  global log, peer bytes unescaped                            TestDefect20Log

func TestDefect01FactsOfTheConnectionStay(t *testing.T) {
	r := start(t, func(c *milter.Config) { c.RcptReplies = func() bool { return true } }, func(s *recorder) {
		s.onRcpt = func(x milter.Rcpt) milter.Reply {
			if strings.HasPrefix(x.To, "<no") {
				return milter.Reply{Code: 452, Enhanced: "4.5.3", Text: "one by one, please"}
			}
			return milter.Reply{}
		}
		s.onEnd = func(_ context.Context, id string) milter.Response {
			if id == "REJECT" {
				return milter.Response{Reply: milter.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}}
			}
			return milter.Response{}
		}
	})
	m := r.open()
	mustGreet(t, m, miltertest.Peer{Host: "mail.example.net", Addr: "192.0.2.7", Helo: "helo.example.net"})
	s := r.session()

	msg := note("one")
	msg.Rcpts = []string{"<no@example.org>", "<yes@example.org>"}
	res := mustSend(t, m, msg)
	if !res.Accepts() || len(res.Rcpts) != 2 || res.Rcpts[0].Code != 452 || !res.Rcpts[1].Accepts() {
		t.Fatalf("message with a refused recipient: %+v", res)
	}
	msg = note("two")
	msg.Macros = map[byte][]string{miltertest.CmdEnd: {"i", "REJECT"}}
	if res := mustSend(t, m, msg); res.Code != 550 {
		t.Fatalf("message to reject: %+v", res)
	}
	for i := 3; i <= 100; i++ {
		if res := mustSend(t, m, note(fmt.Sprint(i))); !res.Accepts() {
			t.Fatalf("message %d: %+v", i, res)
		}
	}
	if n := len(r.sessions); n != 1 {
		t.Errorf("%d sessions for one connection", n)
	}
	equal(t, "connects", s.having("connect"), []string{"connect host=mail.example.net addr=192.0.2.7 daemon= mta= version="})
	if n := len(s.having("mail")); n != 100 {
		t.Errorf("%d transactions, want 100", n)
	}
	if n := len(s.having("abort")); n != 0 {
		t.Errorf("%d aborts", n)
	}
	equal(t, "first transaction", s.all()[2:10], []string{
		"mail <a@example.net> auth= id=", "rcpt <no@example.org> mailer=", "rcpt <yes@example.org> mailer=",
		`header From:" a@example.net"`, `header Subject:" one"`, "eoh", "body 8", "end id=",
	})
}

func TestDefect02CloseAndContext(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	mustGreet(t, m, miltertest.Peer{})
	s := r.session()
	m.PutStrings(miltertest.CmdMail, "<a@example.net>")
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	if s.ctx.Err() != nil {
		t.Error("context ended before the connection")
	}
	m.Conn.Close()
	wait(t, "the end of the context", s.ctx.Done())
	wait(t, "Close", s.closed)
	events := s.all()
	equal(t, "last events", events[len(events)-2:], []string{"abort", "close"})
}

func TestDefect03Deadlines(t *testing.T) {
	const short = 30 * time.Millisecond
	quick := func(c *milter.Config) {
		c.IdleTimeout, c.PacketTimeout, c.WriteTimeout = short, time.Minute, time.Minute
	}
	t.Run("idle", func(t *testing.T) {
		r := start(t, quick, nil)
		m := r.open()
		mustGreet(t, m, miltertest.Peer{})
		if !m.Closed() {
			t.Error("a silent MTA was kept")
		}
	})
	t.Run("no first packet", func(t *testing.T) {
		r := start(t, func(c *milter.Config) { c.PacketTimeout = short }, nil)
		m, err := miltertest.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Conn.Close()
		if !m.Closed() {
			t.Error("a peer that never speaks was kept")
		}
	})
	t.Run("dripping packet", func(t *testing.T) {
		r := start(t, func(c *milter.Config) { c.PacketTimeout = 5 * short }, nil)
		m := r.open()
		m.PutRaw([]byte{0, 0, 1, 0, miltertest.CmdHelo})
		// Each byte comes well within the time-out; together they do not.
		dripped := make(chan error, 1)
		go func() {
			for range 250 {
				m.PutRaw([]byte{'x'})
				if err := m.Flush(); err != nil {
					dripped <- err
					return
				}
				<-time.After(short / 10)
			}
			dripped <- nil
		}()
		if err := <-dripped; err == nil {
			t.Error("a packet that drips in was waited for")
		}
		s := r.session()
		wait(t, "Close", s.closed)
		if got := s.having("helo"); got != nil {
			t.Errorf("%q from a packet that never ended", got)
		}
	})
	t.Run("write", func(t *testing.T) {
		ln := newFakeListener()
		startOn(t, ln, func(c *milter.Config) { c.WriteTimeout = short }, nil)
		m := ln.dial(t, nil)
		m.Put(miltertest.CmdNegotiate, []byte{0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff})
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		// The pipe holds nothing: the answer waits for a reader that does not come.
		// Writing needs one too, so it shows when the server has closed.
		m.Put(miltertest.CmdQuit)
		if err := m.Flush(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("an answer that nobody reads was waited for: %v", err)
		}
	})
	t.Run("long idle between messages", func(t *testing.T) {
		r := start(t, func(c *milter.Config) { c.PacketTimeout = short }, nil)
		m := r.open()
		mustSend(t, m, note("one"))
		if !m.Silent(3 * short) {
			t.Error("the server spoke")
		}
		mustSend(t, m, note("two"))
	})
}

func TestDefect04AcceptErrorsAreSurvived(t *testing.T) {
	ln := newFakeListener()
	r := startOn(t, ln, nil, nil)
	for _, err := range []error{syscall.EMFILE, syscall.ECONNABORTED, syscall.ENFILE} {
		ln.ch <- &net.OpError{Op: "accept", Err: err}
	}
	m := ln.dial(t, nil)
	if err := m.Negotiate(miltertest.Postfix()); err != nil {
		t.Fatal(err)
	}
	barrier(t, m)
	if n := r.srv.Stats().AcceptErrors; n != 3 {
		t.Errorf("%d accept errors counted, want 3", n)
	}
	if logs := r.logs.String(); !strings.Contains(logs, "too many open files") {
		t.Errorf("log: %s", logs)
	}
}

func TestDefect05SeveralListeners(t *testing.T) {
	r := start(t, nil, nil)
	var wg sync.WaitGroup
	for range 4 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := r.srv.Serve(ln); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		m, err := miltertest.Open("tcp", ln.Addr().String(), miltertest.Postfix())
		if err != nil {
			t.Fatal(err)
		}
		barrier(t, m)
		if err := m.Quit(); err != nil {
			t.Error(err)
		}
	}
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.srv.Serve(ln); err != nil {
		t.Errorf("serve after shutdown: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listener after shutdown: %v", err)
	}
}

func TestDefect06Drain(t *testing.T) {
	working, release := make(chan struct{}), make(chan struct{})
	r := start(t, func(c *milter.Config) {
		c.Drain = milter.Drain{Idle: 50 * time.Millisecond, Quiet: 50 * time.Millisecond}
	}, func(s *recorder) {
		s.onEnd = func(_ context.Context, id string) milter.Response {
			if id == "SLOW" {
				close(working)
				<-release
			}
			return milter.Response{Edits: []milter.Edit{{Kind: milter.InsertHeader, Name: "X-Done", Value: " yes"}}}
		}
	})
	idle, busy, half := r.open(), r.open(), r.open()
	for _, m := range []*miltertest.MTA{idle, busy, half} {
		barrier(t, m)
	}
	half.PutStrings(miltertest.CmdMail, "<half@example.net>")
	half.PutStrings(miltertest.CmdRcpt, "<b@example.org>")
	half.PutStrings(miltertest.CmdHeader, "From", " half@example.net")
	half.Put(miltertest.CmdEOH)
	half.Put(miltertest.CmdBody, []byte("half"))
	if p, err := half.Get(); err != nil || p.Cmd != miltertest.RespContinue {
		t.Fatalf("body answered %q, %v", p.Cmd, err)
	}
	answered := make(chan miltertest.Result, 1)
	go func() {
		msg := note("slow")
		msg.Macros = map[byte][]string{miltertest.CmdEnd: {"i", "SLOW"}}
		res, err := busy.Send(msg)
		if err != nil {
			t.Error(err)
		}
		answered <- res
	}()
	wait(t, "the end of the message", working)

	down := make(chan error, 1)
	go func() { down <- r.srv.Shutdown(context.Background()) }()
	if !idle.Closed() {
		t.Error("idle connection stayed open")
	}
	// The message under way is answered to its end, and then the connection ends.
	half.Put(miltertest.CmdBody, []byte("whole"))
	if p, err := half.Get(); err != nil || p.Cmd != miltertest.RespContinue {
		t.Fatalf("body in the shutdown answered %q, %v", p.Cmd, err)
	}
	half.Put(miltertest.CmdEnd)
	for _, want := range []byte{miltertest.RespInsertHeader, miltertest.RespAccept} {
		if p, err := half.Get(); err != nil || p.Cmd != want {
			t.Fatalf("end of message in the shutdown answered %q, %v; want %q", p.Cmd, err, want)
		}
	}
	if !half.Closed() {
		t.Error("connection stayed open behind its message")
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown returned %v with a message under way", err)
	default:
	}
	close(release)
	if res := <-answered; !res.Accepts() || len(res.Mods) != 1 {
		t.Errorf("message in flight: %+v", res)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("still listening")
	}
}
