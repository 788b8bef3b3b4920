package outgoing_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/mailer"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
)

// to counts mail for a domain of each address, whose record names it.
func (r *rig) to(addresses ...string) {
	r.Helper()
	for _, a := range addresses {
		domain := a[strings.IndexByte(a, '@')+1:]
		r.load(aggregate(yesterday, domain, "v=DMARC1; p=reject; rua=mailto:"+a, failed(1)))
	}
}

// TestAnswers goes through a server's possible answers about one destination.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name     string
		stage    string // before the address
		err      error
		first    string // state after the first attempt
		later    string // state two days on, nothing having changed
		suppress bool
	}{
		{"no such user", "", reply(550, smtp.EnhancedCode{5, 1, 1}, "no such user"), "failed refused", "failed refused", true},
		{"disabled", "", reply(550, smtp.EnhancedCode{5, 2, 1}, "disabled"), "failed refused", "failed refused", true},
		{"bare 550", "", reply(550, smtp.NoEnhancedCode, "no"), "failed refused", "failed refused", true},
		{"full for good", "", reply(552, smtp.EnhancedCode{5, 2, 2}, "full"), "failed refused", "failed refused", true},
		{"relaying", "", reply(554, smtp.EnhancedCode{5, 7, 1}, "relay access denied"), "queued policy", "expired policy", false},
		{"greylisted", "", reply(451, smtp.EnhancedCode{4, 7, 1}, "later"), "queued temporary", "expired temporary", false},
		{"later after DATA", "DATA ", reply(452, smtp.EnhancedCode{4, 3, 1}, "disk"), "queued temporary", "expired temporary", false},
		{"content", "DATA ", reply(554, smtp.EnhancedCode{5, 6, 0}, "no"), "failed content", "failed content", false},
		{"too large", "DATA ", reply(552, smtp.EnhancedCode{5, 3, 4}, "large"), "failed too_large", "failed too_large", false},
		{"552 at RCPT", "", reply(552, smtp.NoEnhancedCode, "large"), "failed too_large", "failed too_large", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				r.to("x@bad.example", "y@good.example")
				r.server.refuse(c.stage+"x@bad.example", c.err)
				r.night()
				r.wantState("x@bad.example", c.first)
				r.wantState("y@good.example", "sent")
				_, silent := r.suppressed()["x@bad.example"]
				if silent != c.suppress || len(r.suppressed()) > 1 {
					t.Errorf("suppressed: %v", r.suppressed())
				}
				for range 11 {
					r.clock.add(5 * time.Hour)
					r.drain()
				}
				r.wantState("x@bad.example", c.later)
				if n := len(r.server.got("")); n != 1 {
					t.Errorf("%d mails", n)
				}
			})
		})
	}
}

// TestSizeOffered heeds the SIZE that a server offers.
func TestSizeOffered(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("x@bad.example")
		addr := scripted(t, "220 hi", map[string]string{"EHLO": "250-me\r\n250 SIZE 100", "QUIT": "221 bye"})
		r.change(func(c *outgoing.Config) { c.Sender = r.sender(addr) })
		r.night()
		r.wantState("x@bad.example", "failed too_large")
		if len(r.suppressed()) != 0 {
			t.Error("suppressed")
		}
	})
}

// TestServerTrouble holds the queue up and blames no destination.
func TestServerTrouble(t *testing.T) {
	closed := func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // nothing was written
		return l.Addr().String()
	}
	for name, address := range map[string]func(t *testing.T) string{
		"refuses connections": closed,
		"greets with 4xx":     func(t *testing.T) string { return scripted(t, "421 busy", nil) },
		"greets with 5xx":     func(t *testing.T) string { return scripted(t, "554 go away", nil) },
		"EHLO 5xx":            func(t *testing.T) string { return scripted(t, "220 hi", map[string]string{"EHLO": "550 who are you"}) },
		"MAIL FROM 5xx": func(t *testing.T) string {
			return scripted(t, "220 hi", map[string]string{"EHLO": "250 me", "MAIL": "553 5.1.8 sender address rejected", "QUIT": "221 bye"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				var all []string
				for i := range 20 {
					all = append(all, fmt.Sprintf("rua@d%d.example", i))
				}
				r.to(all...)
				sender := r.config.Sender
				r.change(func(c *outgoing.Config) { c.Sender = r.sender(address(t)) })
				r.night()
				tried := 0
				for to, state := range r.states() {
					switch state {
					case "queued server":
						tried++
					case "queued":
					default:
						t.Errorf("%s: %s", to, state)
					}
				}
				if tried == 0 || tried > outgoing.DefaultTiming().Workers {
					t.Errorf("%d deliveries met the trouble; the rest should have waited", tried)
				}
				if !r.p.Stats().Paused {
					t.Error("the queue is not paused")
				}
				r.drain() // during the pause: nothing
				r.change(func(c *outgoing.Config) { c.Sender = sender })
				r.clock.add(20 * time.Minute)
				r.drain()
				r.drain()
				if n := len(r.server.got("")); n != len(all) {
					t.Errorf("%d mails once the server is well, want %d: %v", n, len(all), r.states())
				}
				if len(r.suppressed()) != 0 {
					t.Errorf("suppressed: %v", r.suppressed())
				}
			})
		})
	}
}

// scripted is a server that answers commands by their first word, and 250 by itself.
func scripted(t *testing.T, greeting string, answers map[string]string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close() //nolint:errcheck // a test's
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				fmt.Fprintf(c, "%s\r\n", greeting)
				buf := make([]byte, 4096)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					word := strings.ToUpper(strings.TrimSpace(string(buf[:min(n, 4)])))
					answer, ok := answers[word]
					if !ok {
						answer = "250 ok"
					}
					fmt.Fprintf(c, "%s\r\n", answer)
				}
			})
		}
	})
	return l.Addr().String()
}

// TestHang lets one destination hang: the others go on, and it is tried again.
func TestHang(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.timing.Attempt = 700 * time.Millisecond
		r.p = r.pipeline()
		var all []string
		for i := range 12 {
			all = append(all, fmt.Sprintf("rua@d%d.example", i))
		}
		r.to(append(all, "slow@slow.example")...)
		r.server.hangAt("slow@slow.example")
		r.night()
		if n := len(r.server.got("")); n != len(all) {
			t.Errorf("%d mails, want %d", n, len(all))
		}
		r.wantState("slow@slow.example", "queued timeout")
		if r.p.Stats().Paused {
			t.Error("one destination holds up all")
		}
	})
}

// TestCrashAfterSending loses the note of a mail that was taken: it goes out again, the
// same, and no third time.
func TestCrashAfterSending(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("x@a.example")
		r.plan()
		r.clock.add(r.spread())
		r.lead(func(ctx context.Context, epoch int64) error {
			tasks, err := r.p.ClaimNow(ctx, epoch, 10)
			if err != nil || len(tasks) != 1 {
				t.Fatalf("claimed %d, %v", len(tasks), err)
			}
			r.server.taken = func(received) { _ = r.store.Close() } // after it was taken, before it is noted
			r.p.Deliver(ctx, &tasks[0])
			return nil
		})
		r.server.mu.Lock()
		r.server.taken = nil
		r.server.mu.Unlock()
		if n := len(r.server.got("")); n != 1 {
			t.Fatalf("%d mails", n)
		}
		r.store = r.open()
		r.p = r.pipeline()
		r.wantState("x@a.example", "queued")
		r.drain()
		if n := len(r.server.got("")); n != 1 {
			t.Errorf("%d mails while the claim of the dead holds", n)
		}
		r.clock.add(time.Hour)
		r.drain()
		r.clock.add(time.Hour)
		r.drain()
		mails := r.server.got("")
		if len(mails) != 2 || mails[0].data != mails[1].data {
			t.Errorf("%d mails, want the same twice", len(mails))
		}
		r.wantState("x@a.example", "sent")
	})
}

// TestLeaderChange lets a new leader take over while the old one sends.
func TestLeaderChange(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("x@a.example", "y@b.example")
		r.plan()
		r.clock.add(r.spread())
		other := r.open()
		second := r.pipelineOn(other)
		begun := make(chan struct{})
		finish := make(chan struct{})
		var first atomic.Bool
		r.server.mu.Lock()
		r.server.taken = func(received) {
			if first.CompareAndSwap(false, true) {
				close(begun)
				<-finish
			}
		}
		r.server.mu.Unlock()
		var old int64
		leaving := make(chan struct{})
		var both sync.WaitGroup
		both.Go(func() {
			// The old leader loses the lead in the middle of a mail, and knows nothing of it.
			_ = r.store.Lead(r.Context(), "test", func(ctx context.Context, epoch int64) error {
				old = epoch
				tasks, err := r.p.ClaimNow(ctx, epoch, 1)
				if err != nil || len(tasks) != 1 {
					t.Errorf("claimed %d, %v", len(tasks), err)
				}
				both.Go(func() { r.p.Deliver(context.WithoutCancel(ctx), &tasks[0]) })
				<-begun
				return nil
			})
			close(leaving)
		})
		<-leaving
		if err := other.Lead(r.Context(), "test", func(ctx context.Context, epoch int64) error {
			if _, err := r.p.ClaimNow(ctx, old, 1); err == nil {
				t.Error("the old leader can still claim")
			}
			_, err := second.DrainNow(ctx, epoch)
			close(finish)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		both.Wait()
		r.clock.add(24 * time.Hour)
		r.drain()
		if n := len(r.server.got("")); n != 2 {
			t.Errorf("%d mails, want 2", n)
		}
		r.wantState("x@a.example", "sent")
		r.wantState("y@b.example", "sent")
	})
}

// TestClockDuringDelivery sets the clock on while a mail is under way.
func TestClockDuringDelivery(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("x@a.example")
		r.plan()
		r.clock.add(r.spread())
		r.lead(func(ctx context.Context, epoch int64) error {
			tasks, err := r.p.ClaimNow(ctx, epoch, 1)
			if err != nil {
				return err
			}
			r.clock.add(24 * time.Hour)
			if n, err := r.p.DrainNow(ctx, epoch); n != 0 || err != nil {
				t.Errorf("%d deliveries begun again, %v", n, err)
			}
			r.p.Deliver(ctx, &tasks[0])
			return nil
		})
		r.wantState("x@a.example", "sent")
	})
}

// TestSuppression checks that suppressions grow, and follow people's commands.
func TestSuppression(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.server.refuse("x@a.example", reply(550, smtp.EnhancedCode{5, 1, 1}, "no such user"))
		day := 24 * time.Hour
		for i, want := range []time.Duration{7 * day, 14 * day, 28 * day, 56 * day, 60 * day, 60 * day} {
			date := memory.DayOf(r.clock.now()) - 1
			r.load(aggregate(date.String(), "a.example", "v=DMARC1; p=none; rua=mailto:X@a.example", failed(1)))
			r.server.refuse("X@a.example", reply(550, smtp.EnhancedCode{5, 1, 1}, "no such user"))
			r.night()
			s := r.suppressed()["x@a.example"]
			if got := s.Until.Sub(r.clock.now()); got < want-time.Minute || got > want+time.Minute {
				t.Fatalf("strike %d: suppressed for %v, want %v", i+1, got, want)
			}
			// The next day's report is not sent.
			r.clock.add(day)
			date = memory.DayOf(r.clock.now()) - 1
			r.load(aggregate(date.String(), "a.example", "v=DMARC1; p=none; rua=mailto:X@a.example", failed(1)))
			r.night()
			if n := len(r.reports(outgoing.Filter{State: outgoing.StateSuppressed})); n != i+1 {
				t.Errorf("%d suppressed deliveries after strike %d", n, i+1)
			}
			r.clock.add(want)
		}
		service := r.p.Service()
		if _, err := service.Suppress(r.Context(), outgoing.SuppressRequest{Target: "A.example"}); err != nil {
			t.Fatal(err)
		}
		r.server.refuse("X@a.example", nil)
		date := memory.DayOf(r.clock.now()) - 1
		r.load(aggregate(date.String(), "a.example", "v=DMARC1; p=none; rua=mailto:X@a.example", failed(1)))
		r.night()
		if n := len(r.server.got("")); n != 0 {
			t.Error("sent to a suppressed host")
		}
		for _, target := range []string{"a.example", "x@A.EXAMPLE"} {
			if u, err := service.Unsuppress(r.Context(), outgoing.UnsuppressRequest{Target: target}); err != nil || !u.Found {
				t.Errorf("unsuppress %s: %+v, %v", target, u, err)
			}
		}
		n, err := service.Retry(r.Context(), outgoing.RetryRequest{Filter: outgoing.Filter{State: outgoing.StateSuppressed, Since: &date}})
		if err != nil || n.Queued != 1 {
			t.Errorf("retry: %+v, %v", n, err)
		}
		r.drain()
		if n := len(r.server.got("")); n != 1 {
			t.Errorf("%d mails after the retry", n)
		}
	})
}

// TestBounce matches what comes back by the Message-ID.
func TestBounce(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("x@a.example", "y@b.example")
		r.night()
		bounce := func(id, action, status string) string {
			return "From: MAILER-DAEMON@mta.example\r\nTo: dmarc@receiver.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n" +
				"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsorry\r\n" +
				"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mta.example\r\n\r\nFinal-Recipient: rfc822; x@a.example\r\nAction: " + action + "\r\nStatus: " + status +
				"\r\nDiagnostic-Code: smtp; 550 no such user\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + id + ">\r\nSubject: x\r\n\r\n--b--\r\n"
		}
		ids := map[string]string{}
		for _, report := range r.reports(outgoing.Filter{}) {
			ids[report.Delivered[0].To] = report.Delivered[0].MessageID
		}
		for name, c := range map[string]struct {
			mail string
			want bool
		}{
			"delayed":    {bounce(ids["x@a.example"], "delayed", "4.4.1"), false},
			"delivered":  {bounce(ids["x@a.example"], "delivered", "2.0.0"), false},
			"other mail": {bounce("dmarc.guess@receiver.example", "failed", "5.1.1"), false},
			"no bounce":  {"From: a@b.example\r\n\r\nhello\r\n", false},
		} {
			if got, err := r.p.Bounce(r.Context(), []byte(c.mail)); got != c.want || err != nil {
				t.Errorf("%s: %t, %v", name, got, err)
			}
		}
		if len(r.suppressed()) != 0 {
			t.Errorf("suppressed: %v", r.suppressed())
		}
		if got, err := r.p.Bounce(r.Context(), []byte(bounce(ids["x@a.example"], "failed", "5.1.1"))); !got || err != nil {
			t.Errorf("a bounce of ours: %t, %v", got, err)
		}
		r.wantState("x@a.example", "failed bounced")
		r.wantState("y@b.example", "sent")
		if _, ok := r.suppressed()["x@a.example"]; !ok {
			t.Error("not suppressed")
		}
		if got, err := r.p.Bounce(r.Context(), []byte(bounce(ids["x@a.example"], "failed", "5.1.1"))); got || err != nil {
			t.Errorf("the same once more: %t, %v", got, err)
		}
		if got, err := r.p.Bounce(r.Context(), []byte(bounce(ids["y@b.example"], "failed", "5.3.4"))); !got || err != nil {
			t.Errorf("too large: %t, %v", got, err)
		}
		r.wantState("y@b.example", "failed too_large")
		s := r.p.Stats()
		if s.Bounces != 2 || s.BouncesIgnored != 5 {
			t.Errorf("counted %d bounces, %d ignored", s.Bounces, s.BouncesIgnored)
		}
		want := map[outgoing.Final]uint64{
			{State: outgoing.StateFailed, Cause: outgoing.CauseBounced}: 1, {State: outgoing.StateFailed, Cause: outgoing.CauseTooLarge}: 1,
		}
		if !maps.Equal(s.Failed, want) {
			t.Errorf("counted %v, want %v", s.Failed, want)
		}
	})
}

// TestFinals counts how deliveries end.
func TestFinals(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("sent@a.example", "refused@b.example", "later@c.example", "silent@d.example")
		r.server.refuse("refused@b.example", reply(550, smtp.EnhancedCode{5, 1, 1}, "unknown"))
		r.server.refuse("later@c.example", reply(451, smtp.EnhancedCode{4, 2, 0}, "later"))
		if _, err := r.p.Service().Suppress(t.Context(), outgoing.SuppressRequest{Target: "d.example"}); err != nil {
			t.Fatal(err)
		}
		r.plan()
		r.clock.add(80 * time.Hour)
		r.drain()
		want := map[outgoing.Final]uint64{
			{State: outgoing.StateFailed, Cause: outgoing.CauseRefused}:        1,
			{State: outgoing.StateExpired, Cause: outgoing.CauseTemporary}:     1,
			{State: outgoing.StateSuppressed, Cause: outgoing.CauseSuppressed}: 1,
		}
		if s := r.p.Stats(); s.Sent != 1 || !maps.Equal(s.Failed, want) {
			t.Errorf("%d sent, %v, want %v", s.Sent, s.Failed, want)
		}
	})
}

// TestGaugesOfSomeStates keeps the older count of the others.
func TestGaugesOfSomeStates(t *testing.T) {
	r := newRig(t, "sqlite:test.db")
	r.to("a@a.example", "b@b.example")
	r.plan()
	r.p.Gauge(t.Context(), outgoing.States())
	r.clock.add(r.spread())
	r.drain()
	r.p.Gauge(t.Context(), []outgoing.State{outgoing.StateQueued})
	if g := r.p.Stats().Gauges; g == nil || g.Deliveries[outgoing.StateQueued] != 0 || g.Deliveries[outgoing.StateSent] != 0 || len(g.Deliveries) != len(outgoing.States()) {
		t.Errorf("counted %+v", g)
	}
	r.p.Gauge(t.Context(), outgoing.States())
	if g := r.p.Stats().Gauges; g.Deliveries[outgoing.StateSent] != 2 {
		t.Errorf("counted %+v", g)
	}
}

// TestCountedStates counts what waits often, and what has ended seldom.
func TestCountedStates(t *testing.T) {
	waiting, all := 2, len(outgoing.States())
	due := outgoing.CountedStates()
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, all}, {5 * time.Second, 0}, {15 * time.Second, waiting}, {16 * time.Second, 0}, {4 * time.Minute, waiting}, {5 * time.Minute, all}, {6 * time.Minute, waiting}} {
		if got := len(due(today.Add(c.at))); got != c.want {
			t.Errorf("after %v: %d states, want %d", c.at, got, c.want)
		}
	}
}

// TestRun lets the pipeline work by itself, and stop.
func TestRun(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.timing = outgoing.Timing{Tick: 20 * time.Millisecond, Plan: 50 * time.Millisecond, SpreadEach: time.Nanosecond, SpreadMost: time.Nanosecond}
		r.p = r.pipeline()
		var all []string
		for i := range 50 {
			all = append(all, fmt.Sprintf("rua@d%d.example", i))
		}
		r.to(all...)
		ctx, stop := context.WithCancel(r.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.p.Run(ctx) }()
		r.until("all reports are made and sent", func() bool {
			s := r.p.Stats()
			return s.Sent == uint64(len(all)) && s.Built == uint64(len(all)) && s.Gauges != nil
		})
		stop()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("does not stop")
		}
		if n := len(r.server.got("")); n != len(all) {
			t.Errorf("%d mails, want %d", n, len(all))
		}
	})
}

// TestLongInterruption comes back after more than two days: what was made and never tried is
// tried once.
func TestLongInterruption(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.to("x@a.example", "y@b.example")
		r.server.refuse("y@b.example", reply(451, smtp.EnhancedCode{4, 2, 0}, "later"))
		r.plan()
		r.clock.add(80 * time.Hour)
		r.drain()
		r.wantState("x@a.example", "sent")
		r.wantState("y@b.example", "expired temporary")
	})
}

// TestJudge reads the errors of a mailer that a whole server cannot act out here.
func TestJudge(t *testing.T) {
	timeout := &mailer.Error{Stage: mailer.StageContent, Err: fmt.Errorf("%w (no answer)", context.DeadlineExceeded)}
	for name, c := range map[string]struct {
		err                  error
		cause                outgoing.Cause
		final, suppress, all bool
	}{
		"taken":            {nil, "", false, false, false},
		"login refused":    {&mailer.Error{Stage: mailer.StageAuth, Code: 535, Enhanced: "5.7.8"}, outgoing.CauseServer, false, false, true},
		"no login":         {&mailer.Error{Stage: mailer.StageAuth, Err: mailer.ErrNoLogin}, outgoing.CauseServer, false, false, true},
		"no TLS":           {&mailer.Error{Stage: mailer.StageStartTLS, Err: mailer.ErrNoTLS}, outgoing.CauseServer, false, false, true},
		"bad certificate":  {&mailer.Error{Stage: mailer.StageHandshake, Err: errors.New("x509")}, outgoing.CauseServer, false, false, true},
		"not an address":   {&mailer.Error{Stage: mailer.StageMail, Err: mailer.ErrAddress}, outgoing.CauseMail, true, false, false},
		"MAIL FROM, large": {&mailer.Error{Stage: mailer.StageMailFrom, Code: 552, Enhanced: "5.3.4"}, outgoing.CauseTooLarge, true, false, false},
		"MAIL FROM, later": {&mailer.Error{Stage: mailer.StageMailFrom, Code: 451}, outgoing.CauseServer, false, false, true},
		"login wanted":     {&mailer.Error{Stage: mailer.StageRcpt, Code: 530}, outgoing.CausePolicy, false, false, false},
		"no answer":        {timeout, outgoing.CauseTimeout, false, false, false},
		"of one recipient": {&mailer.RecipientsError{Refused: []mailer.Refusal{{To: "x@a.example", Error: &mailer.Error{Stage: mailer.StageRcpt, Code: 550, Enhanced: "5.1.10"}}}}, outgoing.CauseRefused, true, true, false},
		"of the network":   {errors.New("reset"), outgoing.CauseTemporary, false, false, false},
	} {
		cause, final, suppress, all := outgoing.Judge(c.err)
		if cause != c.cause || final != c.final || suppress != c.suppress || all != c.all {
			t.Errorf("%s: %q final %t, suppress %t, all %t", name, cause, final, suppress, all)
		}
	}
}
