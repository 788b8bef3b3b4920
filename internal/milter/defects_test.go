package milter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"sync/atomic"
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
		s.onEnd = func(_ context.Context, id string) milter.Outcome {
			if id == "REJECT" {
				return milter.Outcome{Reply: milter.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}}
			}
			return milter.Outcome{}
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
		// Writing needs one too, so it tells when the server has closed.
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
	r := start(t, nil, func(s *recorder) {
		s.onEnd = func(_ context.Context, id string) milter.Outcome {
			if id == "SLOW" {
				close(working)
				<-release
			}
			return milter.Outcome{Edits: []milter.Edit{{Kind: milter.InsertHeader, Name: "X-Done", Value: " yes"}}}
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

func TestDefect07FieldsOfOneMessageOnly(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	mustSend(t, m, note("one"))
	mustSend(t, m, note("two"))
	equal(t, "fields", r.session().having("header"), []string{
		`header From:" a@example.net"`, `header Subject:" one"`,
		`header From:" a@example.net"`, `header Subject:" two"`,
	})
}

func TestDefect08MacrosByStage(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	mustGreet(t, m, miltertest.Peer{Addr: "192.0.2.1", Macros: map[byte][]string{
		miltertest.CmdConnect: {"j", "mx.example.org", "{daemon_name}", "smtpd", "v", "Postfix 3.7.11"},
		miltertest.CmdHelo:    {"{tls_version}", "TLSv1.3"},
	}})
	msg := note("one")
	msg.Macros = map[byte][]string{
		miltertest.CmdMail: {"i", "4F001", "{auth_authen}", "user", "{auth_type}", "PLAIN"},
		miltertest.CmdRcpt: {"{rcpt_mailer}", "error", "{rcpt_addr}", "b@example.org"},
		miltertest.CmdEnd:  {"i", "4F002"},
	}
	mustSend(t, m, msg)
	mustSend(t, m, note("two")) // tells no macros: none of the first may be left
	msg = note("three")
	msg.Macros = map[byte][]string{miltertest.CmdMail: {"i", "4F003"}}
	m.Unbuffered = true
	mustSend(t, m, msg)
	s := r.session()
	equal(t, "connect", s.having("connect"), []string{
		"connect host=client.example addr=192.0.2.1 daemon=smtpd mta=mx.example.org version=Postfix 3.7.11"})
	equal(t, "mail", s.having("mail"), []string{
		"mail <a@example.net> auth=user id=4F001", "mail <a@example.net> auth= id=", "mail <a@example.net> auth= id=4F003"})
	equal(t, "rcpt", s.having("rcpt"), []string{
		"rcpt <b@example.org> mailer=error", "rcpt <b@example.org> mailer=", "rcpt <b@example.org> mailer="})
	equal(t, "end", s.having("end"), []string{"end id=4F002", "end id=", "end id=4F003"})

	// What is told for one recipient is not true of the next, nor what is
	// told of one client.
	m.Unbuffered = false
	mustGreet(t, m, miltertest.Peer{Macros: map[byte][]string{miltertest.CmdConnect: {"j", "mx2.example.org"}}})
	m.PutStrings(miltertest.CmdMail, "<b@example.net>")
	m.Macros(miltertest.CmdRcpt, "{rcpt_mailer}", "error")
	m.PutStrings(miltertest.CmdRcpt, "<b@example.org>")
	m.PutStrings(miltertest.CmdRcpt, "<c@example.org>")
	m.Put(miltertest.CmdAbort)
	mustSend(t, m, note("barrier"))
	equal(t, "second connect", s.having("connect")[1:], []string{
		"connect host=client.example addr=192.0.2.1 daemon= mta=mx2.example.org version="})
	equal(t, "two recipients", s.having("rcpt")[3:5], []string{
		"rcpt <b@example.org> mailer=error", "rcpt <c@example.org> mailer="})

	// The mark of a test is for one message, too.
	msg = note("test")
	msg.Macros = map[byte][]string{miltertest.CmdMail: {"{" + milter.TestMacro + "}", "1"}}
	mustSend(t, m, msg)
	mustSend(t, m, note("no test"))
	equal(t, "marked as tests", s.having("mail")[5:], []string{"mail <a@example.net> auth= id= test", "mail <a@example.net> auth= id="})

	// An aborted transaction leaves nothing either.
	m.Macros(miltertest.CmdMail, "i", "4F004", "{auth_authen}", "other")
	m.PutStrings(miltertest.CmdMail, "<c@example.net>")
	m.Put(miltertest.CmdAbort)
	mustSend(t, m, note("four"))
	mails := s.having("mail")
	equal(t, "mail after an abort", mails[7:], []string{
		"mail <c@example.net> auth=other id=4F004", "mail <a@example.net> auth= id="})
}

func TestDefect09IPv6OfSendmail(t *testing.T) {
	for _, c := range []struct {
		name   string
		addr   string
		macros []string
		want   string
	}{
		{"Sendmail", "IPv6:2001:db8::1", nil, "2001:db8::1"},
		{"Postfix", "2001:db8::1", nil, "2001:db8::1"},
		{"small letters", "ipv6:2001:db8::1", nil, "2001:db8::1"},
		{"IPv4 mapped", "::ffff:192.0.2.9", nil, "192.0.2.9"},
		{"with a zone", "fe80::1%eth0", nil, "fe80::1"},
		{"IPv4", "192.0.2.9", nil, "192.0.2.9"},
		{"macro does not overrule", "192.0.2.9", []string{"{client_addr}", "198.51.100.1"}, "192.0.2.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m := r.openAs(miltertest.Sendmail())
			m.Unbuffered = true
			mustGreet(t, m, miltertest.Peer{Addr: c.addr, Macros: map[byte][]string{miltertest.CmdConnect: c.macros}})
			barrier(t, m)
			equal(t, "connect", r.session().having("connect"),
				[]string{"connect host=client.example addr=" + c.want + " daemon= mta= version="})
		})
	}
}

func TestDefect10LocalClients(t *testing.T) {
	for _, c := range []struct {
		name   string
		peer   miltertest.Peer
		macros []string
		want   string
	}{
		{"unix", miltertest.Peer{Family: 'L', Addr: "/run/smtp.sock"}, nil, "invalid IP"},
		{"unknown", miltertest.Peer{Family: 'U'}, nil, "invalid IP"},
		{"unknown with the macro", miltertest.Peer{Family: 'U'}, []string{"{client_addr}", "IPv6:2001:db8::5"}, "2001:db8::5"},
		{"unix with a macro that is no address", miltertest.Peer{Family: 'L', Addr: "x"}, []string{"{client_addr}", "0"}, "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m := r.open()
			c.peer.Macros = map[byte][]string{miltertest.CmdConnect: c.macros}
			mustGreet(t, m, c.peer)
			barrier(t, m)
			equal(t, "connect", r.session().having("connect"),
				[]string{"connect host=client.example addr=" + c.want + " daemon= mta= version="})
		})
	}
}

func TestDefect11Paths(t *testing.T) {
	for _, c := range []struct{ name, path string }{
		{"plain", "<a@example.net>"},
		{"null", "<>"},
		{"brackets in a quoted local part", `<"a>"@example.net>`},
		{"brackets twice", "<<a@example.net>>"},
		{"without", "a@example.net"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, nil, nil)
			m := r.open()
			msg := note("x")
			msg.From, msg.Rcpts = c.path, []string{c.path}
			msg.FromArgs = []string{"SIZE=1000", "BODY=8BITMIME", "SMTPUTF8"}
			mustSend(t, m, msg)
			s := r.session()
			equal(t, "mail", s.having("mail"), []string{"mail " + c.path + " auth= id="})
			equal(t, "rcpt", s.having("rcpt"), []string{"rcpt " + c.path + " mailer="})
		})
	}
}

func TestDefect12UnknownAndQuitNC(t *testing.T) {
	offer := miltertest.Postfix()
	offer.Steps &^= miltertest.NoUnknown | miltertest.NoData | miltertest.NRUnknown | miltertest.NRData
	r := start(t, nil, nil)
	m := r.openAs(offer)
	mustGreet(t, m, miltertest.Peer{Host: "one.example"})
	m.PutStrings(miltertest.CmdUnknown, "XYZZY")
	if p, err := m.Get(); err != nil || p.Cmd != miltertest.RespContinue {
		t.Fatalf("unknown command answered %q, %v", p.Cmd, err)
	}
	mustSend(t, m, note("one")) // with DATA, which is answered
	m.PutStrings(miltertest.CmdMail, "<left@example.net>")
	m.Put(miltertest.CmdQuitNC)
	mustGreet(t, m, miltertest.Peer{Host: "two.example"})
	mustSend(t, m, note("two"))
	s := r.session()
	equal(t, "connects", s.having("connect"), []string{
		"connect host=one.example addr=192.0.2.1 daemon= mta= version=",
		"connect host=two.example addr=192.0.2.1 daemon= mta= version=",
	})
	if n := len(s.having("abort")); n != 1 {
		t.Errorf("%d aborts for the message that the first client left, want 1", n)
	}
}

func TestDefect13Negotiation(t *testing.T) {
	wanted := uint32(miltertest.NRConnect | miltertest.NRHelo | miltertest.NRMail | miltertest.NRHeader | miltertest.NREOH |
		miltertest.NoUnknown | miltertest.NoData | miltertest.Skip | miltertest.LeadSpace)
	actions := uint32(miltertest.ActAddHeaders | miltertest.ActChangeHeaders | miltertest.ActAddRcpt |
		miltertest.ActDeleteRcpt | miltertest.ActQuarantine)
	without := func(bits uint32) miltertest.Offer {
		o := miltertest.Postfix()
		o.Steps &^= bits
		return o
	}
	large := miltertest.Sendmail()
	large.Version, large.Steps = 7, large.Steps|miltertest.Data1M|miltertest.Data256K
	for _, c := range []struct {
		name        string
		offer       miltertest.Offer
		rcptReplies bool
		version     uint32
		actions     uint32
		steps       uint32
	}{
		{"all", miltertest.Postfix(), false, 6, actions | miltertest.ActSymbols, wanted | miltertest.NRRcpt},
		{"recipients answered", miltertest.Postfix(), true, 6, actions | miltertest.ActSymbols, wanted},
		{"newer, with larger data", large, false, 6, actions | miltertest.ActSymbols, wanted | miltertest.NRRcpt},
		{"version 2", miltertest.Version2(), false, 2, actions, 0},
		{"no skip: body unanswered", without(miltertest.Skip), false, 6, actions | miltertest.ActSymbols,
			wanted&^miltertest.Skip | miltertest.NRRcpt | miltertest.NRBody},
		{"DATA comes: unanswered", without(miltertest.NoData | miltertest.NoUnknown), false, 6, actions | miltertest.ActSymbols,
			wanted&^(miltertest.NoData|miltertest.NoUnknown) | miltertest.NRRcpt | miltertest.NRData | miltertest.NRUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(cfg *milter.Config) { cfg.RcptReplies = func() bool { return c.rcptReplies } }, nil)
			m := r.openAs(c.offer) // fails on bits that were not offered
			if m.Version != c.version || m.Actions != c.actions || m.Steps != c.steps {
				t.Errorf("agreed on %d, %#x, %#x; want %d, %#x, %#x", m.Version, m.Actions, m.Steps, c.version, c.actions, c.steps)
			}
			if res := mustSend(t, m, note("x")); !res.Accepts() {
				t.Errorf("message: %+v", res)
			}
		})
	}
	t.Run("unfit", func(t *testing.T) {
		r := start(t, nil, nil)
		m, err := miltertest.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Conn.Close()
		if err := m.Negotiate(miltertest.Offer{Version: 6, Actions: miltertest.ActAddHeaders | miltertest.ActAddRcpt, Steps: 0x1fffff}); err == nil {
			t.Fatal("an MTA that cannot carry out a verdict was taken")
		}
		if err := r.srv.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"SMFIF_DELRCPT, SMFIF_CHGHDRS, SMFIF_QUARANTINE", "mta=127.0.0.1:"} {
			if logs := r.logs.String(); !strings.Contains(logs, want) {
				t.Errorf("log without %q: %s", want, logs)
			}
		}
		if n := r.srv.Stats().Unfit; n != 1 || len(r.opened) != 0 {
			t.Errorf("%d unfit, %d sessions", n, len(r.opened))
		}
	})
	t.Run("leading space restored", func(t *testing.T) {
		r := start(t, nil, func(s *recorder) {
			s.onEnd = func(context.Context, string) milter.Outcome {
				return milter.Outcome{Edits: []milter.Edit{{Kind: milter.InsertHeader, Name: "X-A", Value: " b"}}}
			}
		})
		for range 2 {
			m := r.openAs(without(miltertest.LeadSpace))
			msg := note("x")
			res := mustSend(t, m, msg)
			equal(t, "fields", r.session().having("header"), []string{`header From:" a@example.net"`, `header Subject:" x"`})
			if got := string(res.Apply(msg.Raw, false)); !strings.HasPrefix(got, "X-A: b\r\nFrom:") {
				t.Errorf("delivered %q", got)
			}
		}
		if n := strings.Count(r.logs.String(), "leading space"); n != 1 {
			t.Errorf("%d log lines, want 1", n)
		}
	})
}

func TestDefect14NoReplyTooMany(t *testing.T) {
	offer := miltertest.Postfix()
	offer.Steps &^= miltertest.NoData | miltertest.NoUnknown
	r := start(t, nil, nil)
	m := r.openAs(offer)
	for range 3 {
		if res := mustSend(t, m, note("x")); !res.Accepts() || res.Stage != miltertest.CmdEnd {
			t.Fatalf("with DATA unanswered: %+v", res)
		}
	}
	m.PutStrings(miltertest.CmdUnknown, "XYZZY")
	if !m.Silent(50 * time.Millisecond) {
		t.Fatal("an answer that was negotiated away")
	}
	m.PutStrings(miltertest.CmdMail, "<a@example.net>")
	m.PutStrings(miltertest.CmdHeader, "Subject", " a", "b")
	if !m.Closed() {
		t.Error("a header of three strings was answered")
	}
}

func TestDefect15EmptyStrings(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	mustGreet(t, m, miltertest.Peer{Helo: "-", Macros: map[byte][]string{
		miltertest.CmdConnect: {"j", "", "{daemon_name}", "d", "v", ""},
	}})
	msg := note("x")
	msg.From = ""
	msg.Macros = map[byte][]string{miltertest.CmdMail: {"{auth_authen}", "", "i", "4F00"}}
	msg.Raw = []byte("Empty:\r\nBlank: \r\nTab:\tx\r\nTwo:  x\r\nFold:\r\n x\r\n\ty\r\nLast: x \r\n\r\n")
	mustSend(t, m, msg)
	s := r.session()
	equal(t, "connect", s.having("connect"), []string{"connect host=client.example addr=192.0.2.1 daemon=d mta= version="})
	equal(t, "mail", s.having("mail"), []string{"mail  auth= id=4F00"})
	equal(t, "fields", s.having("header"), []string{
		`header Empty:""`, `header Blank:" "`, `header Tab:"\tx"`, `header Two:"  x"`,
		`header Fold:"\r\n x\r\n\ty"`, `header Last:" x "`,
	})
	if got := s.having("body"); got != nil {
		t.Errorf("body of a message without one: %q", got)
	}
}

func TestDefect16SymbolsInOrder(t *testing.T) {
	r := start(t, nil, nil)
	m := r.open()
	want := map[uint32]string{
		0: "j {daemon_name} v {client_addr}",
		2: "i {auth_authen} {auth_type}",
		3: "{rcpt_mailer} {rcpt_addr}",
		5: "i",
	}
	if fmt.Sprint(m.Symbols) != fmt.Sprint(want) {
		t.Errorf("symbols %v", m.Symbols)
	}
	m, err := miltertest.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Conn.Close()
	m.Put(miltertest.CmdNegotiate, []byte{0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff})
	p, err := m.Get()
	if err != nil {
		t.Fatal(err)
	}
	const lists = "\x00\x00\x00\x00j {daemon_name} v {client_addr}\x00" +
		"\x00\x00\x00\x02i {auth_authen} {auth_type}\x00" +
		"\x00\x00\x00\x03{rcpt_mailer} {rcpt_addr}\x00" +
		"\x00\x00\x00\x05i\x00"
	if got := string(p.Data[12:]); got != lists {
		t.Errorf("lists %q, want %q", got, lists)
	}
}

func TestDefect17Replies(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, c := range []struct {
		name  string
		reply milter.Reply
		code  int
		text  string
	}{
		{"plain", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"}, 550, "5.7.1 no"},
		{"percent", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: "100% a%sb %% c%"}, 550, "5.7.1 100% a%sb %% c%"},
		{"line breaks and controls", milter.Reply{Code: 451, Enhanced: "4.7.1", Text: "a\r\nb\x00c\td\x7fé"}, 451, "4.7.1 a??b?c?d???"},
		{"wrong class", milter.Reply{Code: 550, Enhanced: "4.7.1", Text: "no"}, 550, "no"},
		{"no enhanced code", milter.Reply{Code: 550, Enhanced: "5.7", Text: "no"}, 550, "no"},
		{"text begins with a digit", milter.Reply{Code: 550, Text: "4 reasons"}, 550, "5.0.0 4 reasons"},
		{"no text", milter.Reply{Code: 451}, 451, "Try again later"},
		{"long", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: long}, 550, "5.7.1 " + long[:970]},
		{"long, all percent", milter.Reply{Code: 550, Enhanced: "5.7.1", Text: strings.Repeat("%", 2000)}, 550, "5.7.1 " + strings.Repeat("%", 485)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(cfg *milter.Config) { cfg.RcptReplies = func() bool { return true } }, func(s *recorder) {
				s.onRcpt = func(x milter.Rcpt) milter.Reply {
					if x.To == "<bad@example.org>" {
						return c.reply
					}
					return milter.Reply{}
				}
				s.onEnd = func(context.Context, string) milter.Outcome { return milter.Outcome{Reply: c.reply} }
			})
			msg := note("x")
			msg.Rcpts = append(msg.Rcpts, "<bad@example.org>")
			res := mustSend(t, r.open(), msg)
			if res.Code != c.code || res.Text != c.text {
				t.Errorf("answer %d %q, want %d %q", res.Code, res.Text, c.code, c.text)
			}
			if a := res.Rcpts[1]; a.Code != c.code || a.Text != c.text {
				t.Errorf("recipient: %d %q, want %d %q", a.Code, a.Text, c.code, c.text)
			}
		})
	}
}

func TestDefect18EditsAreChecked(t *testing.T) {
	insert := func(name, value string) milter.Edit {
		return milter.Edit{Kind: milter.InsertHeader, Name: name, Value: value}
	}
	for _, c := range []struct {
		name string
		edit milter.Edit
		want string // the modification; "" where the Outcome must not be carried out
	}{
		{"fold", insert("X", " a;\r\n b"), "i0 X: a;\n b"},
		{"smuggled field", insert("X", " a\r\nEvil: b\nc\r\n"), "i0 X: a\n Evil: b\n c"},
		{"smuggled end of header", insert("X", " a\r\n\r\nbody"), "i0 X: a\n \n body"},
		{"NUL", insert("X", " a\x00b"), "i0 X: a?b"},
		{"bare CR", insert("X", " a\rb"), "i0 X: ab"},
		{"empty is not deleted", insert("X", ""), "i0 X: "},
		{"add", milter.Edit{Kind: milter.AddHeader, Name: "X", Value: " a"}, "h0 X: a"},
		{"change", milter.Edit{Kind: milter.ChangeHeader, Name: "Subject", Index: 2, Value: " a"}, "m2 Subject: a"},
		{"change to empty", milter.Edit{Kind: milter.ChangeHeader, Name: "Subject", Index: 1, Value: ""}, "m1 Subject: "},
		{"delete", milter.Edit{Kind: milter.DeleteHeader, Name: "Subject", Index: 1, Value: "left"}, "m1 Subject:"},
		{"add recipient", milter.Edit{Kind: milter.AddRcpt, Name: "<q@example.org>"}, "+0 <q@example.org>:"},
		{"delete recipient", milter.Edit{Kind: milter.DeleteRcpt, Name: "<b@example.org>"}, "-0 <b@example.org>:"},
		{"index 0", milter.Edit{Kind: milter.DeleteHeader, Name: "Subject"}, ""},
		{"colon in a name", insert("X:", " a"), ""},
		{"NUL in a name", insert("X\x00Y", " a"), ""},
		{"no name", insert("", " a"), ""},
		{"NUL in a recipient", milter.Edit{Kind: milter.AddRcpt, Name: "<a@b>\x00"}, ""},
		{"too large", insert("X", strings.Repeat("x", 70000)), ""},
		{"as large as can be", insert("X", strings.Repeat("x", 65535-8)), "i0 X:" + strings.Repeat("x", 65535-8)},
		{"unknown kind", milter.Edit{Kind: 99, Name: "X"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(cfg *milter.Config) {
				cfg.Trouble = func() milter.Reply { return milter.Reply{Code: 451, Enhanced: "4.3.0", Text: "later"} }
			}, func(s *recorder) {
				s.onEnd = func(context.Context, string) milter.Outcome {
					return milter.Outcome{Edits: []milter.Edit{insert("X-First", " 1"), c.edit}}
				}
			})
			res := mustSend(t, r.open(), note("x"))
			if c.want == "" {
				if res.Code != 451 || len(res.Mods) != 0 {
					t.Errorf("an Outcome that cannot be sent: %+v", res)
				}
				return
			}
			if len(res.Mods) != 2 || !res.Accepts() {
				t.Fatalf("answer %+v", res)
			}
			mod := res.Mods[1]
			if got := fmt.Sprintf("%c%d %s:%s", mod.Op, mod.Index, mod.Name, mod.Value); got != c.want {
				t.Errorf("sent %.100q, want %.100q", got, c.want)
			}
		})
	}
}

// countingConn counts the writes of the server.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestDefect19OneWrite(t *testing.T) {
	ln := newFakeListener()
	startOn(t, ln, nil, func(s *recorder) {
		s.onEnd = func(context.Context, string) milter.Outcome {
			var o milter.Outcome
			for i := range 40 {
				o.Edits = append(o.Edits, milter.Edit{Kind: milter.InsertHeader, Name: "X-" + fmt.Sprint(i), Value: " " + strings.Repeat("x", 1000)})
			}
			o.Edits = append(o.Edits, milter.Edit{Kind: milter.DeleteHeader, Name: "Subject", Index: 1})
			o.Quarantine = "held"
			return o
		}
	})
	var writes atomic.Int64
	m := ln.dial(t, func(c net.Conn) net.Conn { return countingConn{c, &writes} })
	if err := m.Negotiate(miltertest.Postfix()); err != nil {
		t.Fatal(err)
	}
	mustGreet(t, m, miltertest.Peer{})
	msg := note("x")
	msg.Raw = []byte("Subject: x\r\n\r\n") // no body, which would be answered by itself
	before := writes.Load()
	res := mustSend(t, m, msg)
	if len(res.Mods) != 42 || res.Quarantine() != "held" || !res.Accepts() {
		t.Fatalf("%d modifications, %q, %q", len(res.Mods), res.Quarantine(), res.Action)
	}
	if n := writes.Load() - before; n != 1 {
		t.Errorf("%d writes for a message, want 1", n)
	}
	if n := before; n != 1 {
		t.Errorf("%d writes for negotiation and greeting, want 1", n)
	}
}

func TestDefect20Log(t *testing.T) {
	var global strings.Builder
	defer log.SetOutput(log.Writer())
	log.SetOutput(&global)
	r := start(t, nil, nil)
	m := r.open()
	m.Put('\x1b', []byte("\x1b[2J\nlevel=ERROR msg=forged"))
	if !m.Closed() {
		t.Fatal("an unknown command was taken")
	}
	m = r.open()
	m.PutStrings(miltertest.CmdConnect, "h")
	m.Put(miltertest.CmdConnect, []byte("h\n\x1b[2Jforged"), []byte(strings.Repeat("y", 10000)))
	if !m.Closed() {
		t.Fatal("a malformed connect was taken")
	}
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	logs := r.logs.String()
	lines := strings.Split(strings.TrimSpace(logs), "\n")
	if len(lines) != 2 || strings.Contains(logs, "\x1b") || strings.Contains(logs, strings.Repeat("y", 100)) {
		t.Errorf("log: %q", lines)
	}
	for _, l := range lines {
		if !strings.Contains(l, "mta=127.0.0.1:") || !strings.Contains(l, "protocol error") {
			t.Errorf("log line %q", l)
		}
	}
	if global.Len() > 0 {
		t.Errorf("global log: %q", global.String())
	}
}
