package milter_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// TestPanics lets each method of a Session panic once. The message gets the
// answer for trouble, and the next one on the connection is served.
func TestPanics(t *testing.T) {
	later := milter.Reply{Code: 451, Enhanced: "4.3.0", Text: "later"}
	troubles := []struct {
		name  string
		reply func() milter.Reply
		ok    func(miltertest.Answer) bool
	}{
		{"accept", nil, miltertest.Answer.Accepts},
		{"defer", func() milter.Reply { return later }, func(a miltertest.Answer) bool { return a.Code == 451 }},
		{"never reject", func() milter.Reply { return milter.Reply{Code: 550, Text: "no"} }, miltertest.Answer.Accepts},
		{"trouble itself panics", func() milter.Reply { panic("twice") }, miltertest.Answer.Accepts},
	}
	offers := []struct {
		name  string
		offer miltertest.Offer
	}{
		{"few replies", miltertest.Postfix()},
		{"all replies", miltertest.Version2()},
	}
	for _, stage := range []string{"mail", "rcpt", "header", "eoh", "body", "end"} {
		for _, tr := range troubles {
			for _, o := range offers {
				t.Run(stage+"/"+tr.name+"/"+o.name, func(t *testing.T) {
					r := start(t, func(c *milter.Config) { c.Trouble = tr.reply }, func(s *recorder) {
						boom := once(stage)
						s.onMail = func(milter.Mail) { boom("mail") }
						s.onRcpt = func(milter.Rcpt) milter.Reply { boom("rcpt"); return milter.Reply{} }
						s.onHeader = func(string, []byte) { boom("header") }
						s.onEOH = func() { boom("eoh") }
						s.onBody = func([]byte) bool { boom("body"); return true }
						s.onEnd = func(context.Context, string) milter.Response {
							boom("end")
							return milter.Response{Quarantine: "fine"}
						}
					})
					m := r.openAs(o.offer)
					if res := mustSend(t, m, note("one")); !tr.ok(res.Answer) || len(res.Mods) > 0 || res.Stage != miltertest.CmdEnd {
						t.Errorf("message that met a panic: %+v", res)
					}
					if res := mustSend(t, m, note("two")); res.Quarantine() != "fine" {
						t.Errorf("message behind it: %+v", res)
					}
					s := r.session()
					if n := len(s.having("abort")); n != 1 {
						t.Errorf("%d aborts, want 1", n)
					}
					if logs := r.logs.String(); !strings.Contains(logs, "boom in "+stage) || !strings.Contains(logs, "trouble_test.go") {
						t.Errorf("log without panic and stack: %s", logs)
					}
				})
			}
		}
	}
}

// once panics at the first call for stage.
func once(stage string) func(string) {
	done := false
	return func(at string) {
		if at == stage && !done {
			done = true
			panic("boom in " + stage)
		}
	}
}

// TestPanicBeforeMail: without the facts of the connection no message on it can
// be judged, until they come again.
func TestPanicBeforeMail(t *testing.T) {
	for _, c := range []struct {
		stage string
		heal  func(*miltertest.MTA) // what makes the connection sound again
	}{
		{"connect", func(m *miltertest.MTA) { m.Put(miltertest.CmdQuitNC); mustGreet(t, m, miltertest.Peer{}) }},
		{"helo", func(m *miltertest.MTA) {
			if _, err := m.Helo("again"); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.stage, func(t *testing.T) {
			r := start(t, func(cfg *milter.Config) {
				cfg.Trouble = func() milter.Reply { return milter.Reply{Code: 451, Text: "later"} }
			}, func(s *recorder) {
				boom := once(c.stage)
				s.onConnect = func(milter.Connect) { boom("connect") }
				s.onHelo = func(string) { boom("helo") }
			})
			m := r.open()
			for range 2 {
				if res := mustSend(t, m, note("x")); res.Code != 451 {
					t.Fatalf("message: %+v", res)
				}
			}
			s := r.session()
			if got := append(s.having("mail"), s.having("end")...); got != nil {
				t.Errorf("told %q", got)
			}
			c.heal(m)
			if res := mustSend(t, m, note("x")); !res.Accepts() {
				t.Errorf("message behind: %+v", res)
			}
		})
	}
}

func TestPanicsElsewhere(t *testing.T) {
	t.Run("new session", func(t *testing.T) {
		var first sync.Once
		r := start(t, nil, func(*recorder) { first.Do(func() { panic("boom") }) })
		m, err := miltertest.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Conn.Close()
		if err := m.Negotiate(miltertest.Postfix()); err == nil {
			t.Error("negotiated without a session")
		}
		barrier(t, r.open())
	})
	t.Run("abort", func(t *testing.T) {
		r := start(t, nil, func(s *recorder) { s.onAbort = func() { panic("boom") } })
		m := r.open()
		mustGreet(t, m, miltertest.Peer{})
		m.PutStrings(miltertest.CmdMail, "<a@b>")
		m.Put(miltertest.CmdAbort)
		barrier(t, m)
		m.PutStrings(miltertest.CmdMail, "<a@b>")
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		m.Conn.Close()
		wait(t, "Close", r.session().closed)
		if n := r.srv.Stats().Panics; n != 2 {
			t.Errorf("%d panics counted, want 2", n)
		}
	})
}

func TestConnectionCap(t *testing.T) {
	r := start(t, func(c *milter.Config) { c.MaxConnections = 2 }, nil)
	a, b := r.open(), r.open()
	begin(t, a)
	begin(t, b)
	for range 3 {
		m, err := miltertest.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := m.Negotiate(miltertest.Postfix()); err == nil {
			t.Error("a connection above the cap was served")
		}
		if d := time.Since(begin); d > waitLimit/2 {
			t.Errorf("the MTA waited %v", d)
		}
		m.Conn.Close()
	}
	st := r.srv.Stats()
	if st.Refused != 3 || st.Open != 2 || st.Connections != 2 {
		t.Errorf("stats %+v", st)
	}
	if n := strings.Count(r.logs.String(), "too many connections"); n != 1 {
		t.Errorf("%d log lines for three refusals, want 1", n)
	}
	// A message that has ended gives its place up to whom needs it.
	a.Put(miltertest.CmdAbort)
	barrier(t, a)
	barrier(t, r.open())
	if !a.Closed() {
		t.Error("the idle connection kept its place")
	}
	finish(t, b)
}

func TestForcedShutdown(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply func() milter.Reply
		ok    func(miltertest.Answer) bool
	}{
		{"accept", nil, miltertest.Answer.Accepts},
		{"defer", func() milter.Reply { return milter.Reply{Code: 451, Enhanced: "4.3.2", Text: "shutting down"} },
			func(a miltertest.Answer) bool { return a.Code == 451 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			working := make(chan struct{})
			r := start(t, func(cfg *milter.Config) { cfg.Trouble = c.reply }, func(s *recorder) {
				s.onEnd = func(ctx context.Context, _ string) milter.Response {
					close(working)
					<-ctx.Done()
					// A verdict without its lookups is worth nothing.
					return milter.Response{Reply: milter.Reply{Code: 550, Text: "from half an answer"}}
				}
			})
			busy, half := r.open(), r.open()
			mustGreet(t, half, miltertest.Peer{})
			half.PutStrings(miltertest.CmdMail, "<a@b>")
			half.PutStrings(miltertest.CmdRcpt, "<c@d>")
			half.Put(miltertest.CmdEOH)
			half.Put(miltertest.CmdBody, []byte("x"))
			if _, err := half.Get(); err != nil {
				t.Fatal(err)
			}
			answered := make(chan miltertest.Result, 1)
			go func() {
				res, err := busy.Send(note("x"))
				if err != nil {
					t.Error(err)
				}
				answered <- res
			}()
			wait(t, "the end of the message", working)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := r.srv.Shutdown(ctx); err == nil {
				t.Error("a shutdown by force says that all went well")
			}
			if res := <-answered; !c.ok(res.Answer) {
				t.Errorf("message at work: %+v", res)
			}
			if !half.Closed() {
				t.Error("an unfinished message was answered")
			}
			if n := r.srv.Stats().Open; n != 0 {
				t.Errorf("%d connections left", n)
			}
			for _, s := range []*recorder{r.session(), r.session()} {
				wait(t, "Close", s.closed)
			}
		})
	}
}

// atEndOfHeader is an MTA that has sent the header of a message and waits for nothing.
func atEndOfHeader(t *testing.T, r *rig) *miltertest.MTA {
	t.Helper()
	m := r.open()
	mustGreet(t, m, miltertest.Peer{})
	m.PutStrings(miltertest.CmdMail, "<a@b>")
	m.PutStrings(miltertest.CmdRcpt, "<c@d>")
	m.Put(miltertest.CmdEOH)
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestForcedShutdownBetweenPackets: a Session that works while no answer is due
// does not hold up the end.
func TestForcedShutdownBetweenPackets(t *testing.T) {
	working := make(chan struct{})
	r := start(t, nil, func(s *recorder) {
		s.onEOH = func() {
			close(working)
			<-s.ctx.Done()
		}
	})
	m := atEndOfHeader(t, r)
	wait(t, "the end of the header", working)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.srv.Shutdown(ctx); err == nil || strings.Contains(err.Error(), "did not end") {
		t.Errorf("shutdown: %v", err)
	}
	if !m.Closed() {
		t.Error("an unfinished message was answered")
	}
	s := r.session()
	wait(t, "Close", s.closed)
	equal(t, "events", s.all()[4:], []string{"eoh", "abort", "close"})
}

// TestShutdownWithoutEnd: a Session that ignores the end of its context is
// reported, not waited for.
func TestShutdownWithoutEnd(t *testing.T) {
	working, release := make(chan struct{}), make(chan struct{})
	r := start(t, nil, func(s *recorder) {
		s.onEOH = func() {
			close(working)
			<-release
		}
	})
	m := atEndOfHeader(t, r)
	wait(t, "the end of the header", working)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.srv.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "1 sessions did not end") {
		t.Errorf("shutdown: %v", err)
	}
	if !m.Closed() {
		t.Error("connection left open")
	}
	close(release)
	wait(t, "Close", r.session().closed)
}
