package outgoing_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/report/outgoing"
)

// days is the days that have reports on a domain, in order.
func (r *rig) days(domain string) []string {
	r.Helper()
	var out []string
	for _, report := range r.reports(outgoing.Filter{Domain: domain}) {
		out = append(out, report.Day.String())
	}
	slices.Sort(out)
	return out
}

// messages is how many messages the reports on a domain cover.
func (r *rig) messages(domain string) int64 {
	r.Helper()
	all := int64(0)
	for _, report := range r.reports(outgoing.Filter{Domain: domain}) {
		all += report.Messages
	}
	return all
}

// logged has the pipeline log into what is returned.
func (r *rig) logged() *bytes.Buffer {
	var out bytes.Buffer
	r.p = outgoing.New(outgoing.Options{
		Store: r.store.Reports(), Resolver: r.zone, Log: slog.New(slog.NewTextHandler(&out, nil)), Now: r.clock.now, Timing: r.timing,
	}, r.config)
	return &out
}

// TestClockAhead reports with a clock that is ahead for a while: days go on being
// reported when it is right again, and each message is reported once.
func TestClockAhead(t *testing.T) {
	for _, ahead := range []int{1, 3, 30} {
		t.Run(fmt.Sprintf("%d days", ahead), func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				log := r.logged()
				a := func(day string, n int64) { r.load(aggregate(day, "sender.example", reject, failed(n))) }
				on := func(days int) string { return today.AddDate(0, 0, days).Format(time.DateOnly) }
				other := func(day string, n int64) {
					r.load(aggregate(day, "other.example", "v=DMARC1; p=none; rua=mailto:x@other.example", failed(n)))
				}
				a(yesterday, 1)
				r.plan()
				a(on(0), 10)
				span := time.Duration(ahead) * 24 * time.Hour
				r.clock.add(span)
				a(on(ahead-1), 100) // counted by the clock that is ahead, and reported
				r.plan()
				a(on(ahead-1), 1000) // too late for that day
				r.clock.add(-span)
				r.plan()
				if n := strings.Count(log.String(), "a clock was ahead"); n != 1 || !strings.Contains(log.String(), "through="+on(ahead-1)) {
					t.Errorf("%d warnings:\n%s", n, log)
				}
				for day := range ahead + 3 {
					a(on(day), 10_000)
					other(on(day), 5)
					r.clock.add(24 * time.Hour)
					r.plan()
					if got := r.days("other.example"); len(got) != day+1 || got[day] != on(day) {
						t.Errorf("after %s another domain has reports on %v", on(day), got)
					}
				}
				if got, want := r.messages("sender.example"), int64(1111+(ahead+3)*10_000); got != want {
					t.Errorf("%d messages reported, want %d: %v", got, want, r.days("sender.example"))
				}
			})
		})
	}
}

// TestClockYearsBack judges mail while the clock is years back. Messages in no report
// after it is corrected are counted as lost, once.
func TestClockYearsBack(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		log := r.logged()
		r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
		r.plan()
		const back = 10 * 365 * 24 * time.Hour
		r.clock.add(-back)
		r.plan()
		old := r.clock.now().UTC()
		r.load(aggregate(old.Format(time.DateOnly), "sender.example", reject, failed(70)), aggregate(old.AddDate(0, 0, 1).Format(time.DateOnly), "other.example", reject, failed(7)))
		r.clock.add(back)
		r.load(aggregate(today.Format(time.DateOnly), "sender.example", reject, failed(2)))
		r.clock.add(24 * time.Hour)
		r.plan()
		r.plan()
		if lost, reported := r.p.Stats().Lost, r.messages("sender.example"); lost != 77 || reported != 3 {
			t.Errorf("%d messages lost, %d reported, of 77 and 3", lost, reported)
		}
		if n := strings.Count(log.String(), "messages=77"); n != 1 {
			t.Errorf("%d warnings: %s", n, log)
		}
	})
}

// TestReportsOff has days go by while reports are off.
func TestReportsOff(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
		r.plan()
		for day := range 12 {
			if day == 1 {
				r.change(func(c *outgoing.Config) { c.Enabled = false })
			}
			r.load(aggregate(today.AddDate(0, 0, day).Format(time.DateOnly), "sender.example", reject, failed(1)))
			r.clock.add(24 * time.Hour)
			r.plan()
		}
		r.change(func(c *outgoing.Config) { c.Enabled = true })
		r.plan()
		if got, want := r.days("sender.example"), []string{yesterday, "2026-11-25", "2026-12-06"}; !slices.Equal(got, want) {
			t.Errorf("reports on %v, want %v", got, want)
		}
	})
}

// TestOffAtFirst does not begin anything while reports are off.
func TestOffAtFirst(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.change(func(c *outgoing.Config) { c.Enabled = false })
		r.load(aggregate("2026-11-23", "sender.example", reject, failed(1)), aggregate(yesterday, "sender.example", reject, failed(1)))
		r.plan()
		r.change(func(c *outgoing.Config) { c.Enabled = true })
		r.plan()
		if got := r.days("sender.example"); !slices.Equal(got, []string{yesterday}) {
			t.Errorf("reports on %v", got)
		}
	})
}

// TestCatchUpSpread has the reports of all days that are made up for share one
// stretch of time.
func TestCatchUpSpread(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.load(aggregate(yesterday, "sender.example", reject, failed(1)))
		r.plan()
		for day := range 6 {
			for i := range 20 {
				domain := fmt.Sprintf("d%d.example", i)
				r.load(aggregate(today.AddDate(0, 0, day).Format(time.DateOnly), domain, "v=DMARC1; p=none; rua=mailto:x@"+domain, failed(1)))
			}
		}
		r.clock.add(6 * 24 * time.Hour)
		r.plan()
		var last time.Time
		for _, report := range r.reports(outgoing.Filter{Limit: 1000}) {
			if due := report.Delivered[0].Due; due.After(last) {
				last = due
			}
		}
		// 120 reports, 2 s each; of a day alone 40 s.
		if got := last.Sub(r.clock.now()); got < 2*time.Minute || got > 4*time.Minute {
			t.Errorf("the last report leaves after %s", got)
		}
	})
}
