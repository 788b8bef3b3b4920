package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmarcd/internal/message"
)

func TestOneNotification(t *testing.T) {
	t.Parallel()
	inBubble(t, 60, func(t *testing.T, n *Notifier, out *outbox) {
		n.Notify(event(admin, "Admin@Example.org", "other@example.org"))
		synctest.Wait()
		mails := out.mails()
		if len(mails) != 2 || mails[0].to[0] != admin || mails[1].to[0] != "other@example.org" {
			t.Fatalf("mails: %+v", mails)
		}
		for _, m := range mails {
			if m.from != "" || len(m.to) != 1 {
				t.Errorf("envelope: from %q to %q", m.from, m.to)
			}
		}
		wantStats(t, n, Stats{Sent: 2})
	})
}

func TestLoops(t *testing.T) {
	t.Parallel()
	header := func(lines string) *message.Header {
		h := &message.Header{}
		for _, raw := range strings.SplitAfter(lines, "\r\n") {
			if name, _, ok := strings.Cut(raw, ":"); ok {
				h.Fields = append(h.Fields, message.Field{Name: strings.TrimRight(name, " "), Raw: []byte(raw)})
			}
		}
		return h
	}
	for _, tc := range []struct {
		name   string
		change func(e *Event)
		told   bool
	}{
		{"ordinary mail", func(*Event) {}, true},
		{"null sender", func(e *Event) { e.Sender = "" }, false},
		{"null sender in brackets", func(e *Event) { e.Sender = "<>" }, false},
		{"notification of ours", func(e *Event) { e.SetHeader(header("X-dmarcd-Notification: message\r\n")) }, false},
		{"in other letters", func(e *Event) { e.SetHeader(header("A: b\r\nx-DMARCD-notification : \r\n")) }, false},
		{"automatic reply", func(e *Event) { e.SetHeader(header("Auto-Submitted: auto-replied\r\n")) }, false},
		{"automatic, with parameters", func(e *Event) { e.SetHeader(header("auto-submitted:auto-generated;x=y\r\n")) }, false},
		{"automatic, without a word", func(e *Event) { e.SetHeader(header("Auto-Submitted: \r\n")) }, false},
		{"not automatic", func(e *Event) { e.SetHeader(header("Auto-Submitted: No (truly)\r\n")) }, true},
		{"twice, once not", func(e *Event) { e.SetHeader(header("Auto-Submitted: no\r\nAuto-Submitted: auto-replied\r\n")) }, false},
		{"field beyond the limit", func(e *Event) {
			e.SetHeader(&message.Header{Cut: true, CutNames: map[string]int{"x-dmarcd-notification": 1}})
		}, false},
		{"other field beyond the limit", func(e *Event) {
			e.SetHeader(&message.Header{Cut: true, CutNames: map[string]int{"subject": 1}})
		}, true},
		{"beyond what is shown", func(e *Event) {
			h := header("A: " + strings.Repeat("a", MaxHeaders) + "\r\nX-dmarcd-Notification: digest\r\n")
			e.SetHeader(h)
		}, false},
		{"header in one piece", func(e *Event) { e.Headers = []byte("A: b\r\nAuto-Submitted:\r\n auto-replied\r\nC: d\r\n") }, false},
		{"header in one piece, not folded", func(e *Event) { e.Headers = []byte("A: b\r\n X-dmarcd-Notification: c\r\n") }, true},
		{"header in one piece, not automatic", func(e *Event) { e.Headers = []byte("Auto-Submitted:\r\n\tno\r\n") }, true},
		{"header in one piece, bare line feeds", func(e *Event) { e.Headers = []byte("A: b\nX-dmarcd-Notification: c") }, false},
		{"told of his own mail", func(e *Event) { e.Sender = "ADMIN@example.ORG" }, false},
		{"told of mail in his name", func(e *Event) { e.HeaderFrom = admin }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 60, func(t *testing.T, n *Notifier, out *outbox) {
				e := event(admin)
				tc.change(&e)
				n.Notify(e)
				synctest.Wait()
				if told := len(out.mails()) > 0; told != tc.told {
					t.Errorf("told: %v", told)
				}
				want := Stats{Sent: 1}
				if !tc.told {
					want = Stats{Ignored: 1}
				}
				wantStats(t, n, want)
			})
		})
	}
}

// TestNotificationsAreTellTale feeds what the Notifier sends back to it, as if it
// had been forwarded to us.
func TestNotificationsAreTellTale(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, n *Notifier, out *outbox) {
		for range 3 {
			n.Notify(event(admin))
		}
		pass(time.Hour)
		mails := out.mails()
		if len(mails) != 2 {
			t.Fatalf("%d mails, want a notification and a digest", len(mails))
		}
		for _, m := range mails {
			e := event(admin)
			e.Headers, _, _ = bytes.Cut(m.mail, []byte("\r\n\r\n"))
			n.Notify(e)
		}
		synctest.Wait()
		wantStats(t, n, Stats{Sent: 2, Digests: 1, Folded: 2, Ignored: 2})
	})
}

func TestWhoIsNotTold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		perHour int
		to      []string
		want    Stats
	}{
		{"nobody", 60, nil, Stats{}},
		{"not an address", 60, []string{"admin", "a@b>\r\nTo: <c@d", "a b@c", "@b", "a@", "ä@b", "a@b..c"}, Stats{Dropped: 7}},
		{"no allowance", 0, []string{admin}, Stats{Ignored: 1}},
		{"negative allowance", -1, []string{admin}, Stats{Ignored: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tc.perHour, func(t *testing.T, n *Notifier, out *outbox) {
				n.Notify(event(tc.to...))
				pass(2 * time.Hour)
				if got := len(out.mails()); got > 0 {
					t.Errorf("%d mails", got)
				}
				wantStats(t, n, tc.want)
			})
		})
	}
}

// TestFlood lets an event happen each second for three hours.
func TestFlood(t *testing.T) {
	t.Parallel()
	for _, perHour := range []int{1, 2, 10, 60} {
		t.Run(fmt.Sprint(perHour), func(t *testing.T) {
			t.Parallel()
			inBubble(t, perHour, func(t *testing.T, n *Notifier, out *outbox) {
				const events = 3 * 3600
				began := time.Now()
				for range events {
					n.Notify(event(admin))
					pass(time.Second)
				}
				mails := out.mails()
				told, digests := 0, 0
				for i, m := range mails {
					if i >= perHour && m.at.Sub(mails[i-perHour].at) < time.Hour {
						t.Errorf("mails %d to %d within %v", i-perHour, i, m.at.Sub(mails[i-perHour].at))
					}
					p := parse(t, m.mail)
					if p.header.Get(Marker) == kindMessage {
						told++
						continue
					}
					digests++
					count := 0
					if _, err := fmt.Sscanf(strings.ReplaceAll(p.subject, ",", ""), "DMARC digest: %d message", &count); err != nil {
						t.Fatalf("subject %q", p.subject)
					}
					told += count
				}
				if first := mails[0].at.Sub(began); perHour > 1 && first != 0 {
					t.Errorf("the first mail took %v", first)
				}
				if least := 3 * max(1, perHour/digestShare); digests < least-1 {
					t.Errorf("%d digests, want about %d", digests, least)
				}
				if told < events-3600 || told > events {
					t.Errorf("%d of %d events told", told, events)
				}
				if s := n.Stats(); s.Sent != uint64(len(mails)) || s.Digests != uint64(digests) || s.Dropped+s.Failed+s.Ignored > 0 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	inBubble(t, 10, func(t *testing.T, n *Notifier, out *outbox) {
		for range 9 {
			n.Notify(event("other@example.org"))
		}
		for i := range 5 {
			e := event(admin)
			if i == 2 {
				e.HeaderFrom, e.Action = "shop.example", "quarantine"
			}
			e.At = e.At.Add(time.Duration(i) * time.Minute)
			n.Notify(e)
		}
		pass(digestDelay - time.Second)
		if got := len(out.mails()); got != 9 {
			t.Fatalf("%d mails before the digest is due", got)
		}
		pass(time.Second)
		mails := out.mails()
		if len(mails) != 10 || mails[9].to[0] != admin {
			t.Fatalf("%d mails", len(mails))
		}
		p := parse(t, mails[9].mail)
		if p.subject != "DMARC digest: 5 messages" || p.header.Get(Marker) != kindDigest {
			t.Errorf("subject %q, header %v", p.subject, p.header)
		}
		const want = `5 messages met a rule that asks for a notification, from
2026-03-04 05:06:07 UTC to 2026-03-04 05:10:07 UTC.
That was more than the 10 mails an hour that notify.per_hour allows.

Messages  Action      Rule                          From domain
       4  reject      dmarc.actions.reject          bank.example
       1  quarantine  dmarc.actions.reject          shop.example
`
		if p.body != want {
			t.Errorf("body:\n%s\nwant:\n%s", p.body, want)
		}
		wantStats(t, n, Stats{Sent: 10, Digests: 1, Folded: 5})
	})
}

// TestDigestGoesFirst: while one collects, nothing of the same address overtakes it.
func TestDigestGoesFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, n *Notifier, out *outbox) {
		n.Notify(event(admin))
		pass(55 * time.Minute)
		n.Notify(event(admin))
		n.Notify(event(admin)) // one over
		pass(6 * time.Minute)  // the first no longer counts
		n.Notify(event(admin))
		n.Notify(event("other@example.org"))
		synctest.Wait()
		if mails := out.mails(); len(mails) != 3 || mails[2].to[0] != "other@example.org" {
			t.Errorf("mails: %+v", mails)
		}
		pass(4 * time.Minute)
		wantStats(t, n, Stats{Sent: 4, Digests: 1, Folded: 2})
	})
}

func TestDigestIsBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, n *Notifier, out *outbox) {
		for i := range 500 {
			e := event(admin)
			e.HeaderFrom = fmt.Sprintf("d%03d.example\r\nX: y", i)
			n.Notify(e)
		}
		pass(digestDelay)
		p := parse(t, out.mails()[0].mail)
		if got := strings.Count(p.body, "dmarc.actions.reject"); got != maxRows {
			t.Errorf("%d rows, want %d", got, maxRows)
		}
		if !strings.Contains(p.body, "and 450 more,") || strings.Contains(p.body, "\nX: y") {
			t.Errorf("body:\n%s", p.body)
		}
	})
}

func TestTooManyAddresses(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, n *Notifier, _ *outbox) {
		for i := range maxDigests + 7 {
			n.Notify(event(fmt.Sprintf("a%d@example.org", i)))
		}
		wantStats(t, n, Stats{Folded: maxDigests, Dropped: 7})
	})
}

// TestFullQueue sends nothing while more events come than the queue holds.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, 100_000, func(t *testing.T, n *Notifier, out *outbox) {
		release := make(chan struct{})
		out.answer = func(context.Context, int, string) error { <-release; return nil }
		for range maxQueue + 100 {
			n.Notify(event(admin))
		}
		synctest.Wait()
		if s := n.Stats(); s.Sent != 0 || s.Folded < 99 || s.Dropped > 0 {
			t.Errorf("stats %+v", s)
		}
		close(release)
		pass(digestDelay)
		if s := n.Stats(); s.Sent-s.Digests+s.Folded != maxQueue+100 || s.Digests != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestTryingAgain(t *testing.T) {
	t.Parallel()
	later := mailError{temporary: true}
	for _, tc := range []struct {
		name   string
		answer func(nth int) error
		tries  int
		took   time.Duration // until the last try
		want   Stats
	}{
		{"taken at the second try", func(nth int) error { return only(nth < 2, later) }, 2, time.Minute, Stats{Sent: 1}},
		{"taken at the last try", func(nth int) error { return only(nth < 4, later) }, 4, 21 * time.Minute, Stats{Sent: 1}},
		{"never taken", func(int) error { return later }, 4, 21 * time.Minute, Stats{Failed: 1}},
		{"refused for good", func(int) error { return fmt.Errorf("x: %w", mailError{}) }, 1, 0, Stats{Failed: 1}},
		{"error that does not say", func(nth int) error { return only(nth < 2, errors.New("network")) }, 2, time.Minute, Stats{Sent: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 60, func(t *testing.T, n *Notifier, out *outbox) {
				began, last := time.Now(), time.Duration(0)
				out.answer = func(_ context.Context, nth int, _ string) error {
					last = time.Since(began)
					return tc.answer(nth)
				}
				n.Notify(event(admin))
				pass(24 * time.Hour)
				tries := out.tries()
				if len(tries) != tc.tries || last != tc.took {
					t.Errorf("%d tries, the last after %v; want %d, %v", len(tries), last, tc.tries, tc.took)
				}
				for _, mail := range tries[1:] {
					if !bytes.Equal(mail, tries[0]) {
						t.Errorf("another mail at another try:\n%s\nand\n%s", tries[0], mail)
					}
				}
				wantStats(t, n, tc.want)
			})
		})
	}
}

func only(when bool, err error) error {
	if when {
		return err
	}
	return nil
}

// TestTroubleOfOne lets one address fail while another is served.
func TestTroubleOfOne(t *testing.T) {
	t.Parallel()
	inBubble(t, 60, func(t *testing.T, n *Notifier, out *outbox) {
		out.answer = func(_ context.Context, nth int, _ string) error {
			return only(nth == 1, mailError{temporary: true})
		}
		n.Notify(event(admin, "other@example.org"))
		synctest.Wait()
		if mails := out.mails(); len(mails) != 1 || mails[0].to[0] != "other@example.org" {
			t.Fatalf("mails: %+v", mails)
		}
		pass(time.Minute)
		wantStats(t, n, Stats{Sent: 2})
	})
}

// TestSenderThatHangs is one that returns only with its context.
func TestSenderThatHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, 60, func(t *testing.T, n *Notifier, out *outbox) {
		out.answer = func(ctx context.Context, nth int, _ string) error {
			if nth == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		n.Notify(event(admin))
		pass(sendTimeout + time.Minute)
		wantStats(t, n, Stats{Sent: 1})
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _ int, _ string) error { <-ctx.Done(); return ctx.Err() }
	wait := func(_ context.Context, nth int, _ string) error { return only(nth < 4, mailError{temporary: true}) }
	for _, tc := range []struct {
		name    string
		perHour int
		events  int
		answer  func(ctx context.Context, nth int, to string) error
		lost    bool
		want    Stats
	}{
		{"idle", 60, 0, nil, false, Stats{}},
		{"with a digest open", 10, 20, nil, false, Stats{Sent: 10, Digests: 1, Folded: 11}},
		{"with mails to be tried again", 60, 3, wait, false, Stats{Sent: 3}},
		{"with a sender that hangs", 60, 3, hang, true, Stats{Failed: 1, Dropped: 2}},
		{"with a sender that fails", 60, 2, func(context.Context, int, string) error { return errors.New("no") }, true, Stats{Failed: 2}},
		{"with a digest and a sender that hangs", 10, 20, hang, true, Stats{Failed: 1, Dropped: 19, Folded: 11}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tc.perHour, func(t *testing.T, n *Notifier, out *outbox) {
				out.answer = tc.answer
				for range tc.events {
					n.Notify(event(admin))
				}
				synctest.Wait()
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				err := n.Close(ctx)
				if errors.Is(err, ErrUnsent) != tc.lost {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				wantStats(t, n, tc.want)

				n.Notify(event(admin))
				tc.want.Dropped++
				wantStats(t, n, tc.want)
			})
		})
	}
}

// TestCloseWithoutAllowance cannot send the digest of an hour that is used up.
func TestCloseWithoutAllowance(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, n *Notifier, _ *outbox) {
		n.Notify(event(admin))
		pass(digestDelay)
		n.Notify(event(admin))
		n.Notify(event(admin))
		if err := n.Close(t.Context()); !errors.Is(err, ErrUnsent) || !strings.Contains(err.Error(), "2 lost") {
			t.Errorf("error %v", err)
		}
		wantStats(t, n, Stats{Sent: 1, Digests: 1, Folded: 3, Dropped: 2})
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, n *Notifier, first *outbox) {
		n.Notify(event(admin))
		n.Notify(event(admin)) // into a digest
		synctest.Wait()
		second := &outbox{}
		n.Update(Config{
			From: "new@example.net", PerHour: 4, Sender: second,
			Template: mustTemplate(t, "Subject: new\n\n%SENDER%\n"),
		})
		pass(digestDelay)
		n.Notify(event(admin))
		n.Notify(event(admin)) // the hour has had three: into a digest
		synctest.Wait()
		if len(first.mails()) != 1 || len(second.mails()) != 2 {
			t.Fatalf("%d and %d mails", len(first.mails()), len(second.mails()))
		}
		if p := parse(t, second.mails()[1].mail); p.subject != "new" || p.body != "bounce@mail.example\n" || p.header.Get("From") != "dmarcd <new@example.net>" {
			t.Errorf("got %+v", p)
		}
		wantStats(t, n, Stats{Sent: 3, Digests: 1, Folded: 2})
	})
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	out := &outbox{}
	n := New(Config{From: "dmarcd@example.org", PerHour: 100, Sender: out, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	const workers, each = 4, 100
	done := make(chan struct{})
	for w := range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			for range each {
				n.Notify(event(fmt.Sprintf("a%d@example.org", w)))
				n.Stats()
			}
		}()
	}
	for range workers {
		<-done
	}
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s := n.Stats(); s.Sent-s.Digests+s.Folded != workers*each {
		t.Errorf("stats %+v", s)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var w window
	for i, step := range []struct {
		minute int
		most   int
		want   bool
		free   int // minute; -1 for at once
	}{
		{0, 2, true, -1},
		{10, 2, true, 60},
		{20, 2, false, 60},
		{20, 3, true, 60},
		{59, 2, false, 70},
		{60, 2, false, 70},
		{70, 2, true, 80},
		{71, 0, false, -1},
		{300, 1, true, 360},
	} {
		at := start.Add(time.Duration(step.minute) * time.Minute)
		if got := w.take(at, step.most); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
		free := -1
		if f := w.free(step.most); !f.IsZero() {
			free = int(f.Sub(start).Minutes())
		}
		if free != step.free {
			t.Errorf("step %d: free at minute %d, want %d", i, free, step.free)
		}
	}
}

// BenchmarkNotify is the cost for a message in a flood of failing mail.
func BenchmarkNotify(b *testing.B) {
	n := New(Config{From: "dmarcd@example.org", PerHour: 1, Sender: &outbox{}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	defer func() { _ = n.Close(context.Background()) }()
	e := event(admin)
	e.Headers = []byte(strings.Repeat("Received: from a.example by b.example; Mon, 2 Mar 2026 10:00:00 +0000\r\n", 40))
	b.ReportAllocs()
	for b.Loop() {
		n.Notify(e)
	}
}
