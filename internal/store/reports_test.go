package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
)

// aReport is a report on the sender's domain, made at a time, with deliveries in the
// states.
func aReport(made time.Time, domain string, states ...outgoing.State) outgoing.NewReport {
	r := outgoing.NewReport{File: []byte("x"), Report: outgoing.Report{
		Kind: outgoing.KindAggregate, Domain: domain, Day: memory.DayOf(made) - 1, Made: made, Stored: true,
		ReportID: fmt.Sprintf("%s-%d", domain, made.UnixNano()),
	}}
	for i, state := range states {
		d := outgoing.Delivery{To: fmt.Sprintf("r%d@%s", i, domain), State: state, Expires: made.Add(48 * time.Hour)}
		d.MessageID = r.ReportID + d.To
		if state.Waiting() {
			d.Due = made
		}
		r.Delivered = append(r.Delivered, d)
	}
	return r
}

func addReports(t *testing.T, s *Store, reports ...outgoing.NewReport) {
	t.Helper()
	if n, err := s.Reports().Add(t.Context(), outgoing.ByHand, reports); err != nil || n != len(reports) {
		t.Fatalf("%d of %d reports stored, %v", n, len(reports), err)
	}
}

// What has ended counts for a week, what waits as long as it does.
func TestGauges(t *testing.T) {
	const day = 24 * time.Hour
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		addReports(t, s,
			aReport(epoch0, "a.example", outgoing.StateSent, outgoing.StateFailed, outgoing.StateQueued),
			aReport(epoch0.Add(6*day), "b.example", outgoing.StateSent, outgoing.StateUnconfirmed))
		for _, c := range []struct {
			name                               string
			at                                 time.Duration
			states                             []outgoing.State
			sent, failed, queued, notConfirmed int64
		}{
			{"the first week", 6 * day, outgoing.States(), 2, 1, 1, 1},
			{"the second", 8 * day, outgoing.States(), 1, 0, 1, 1},
			{"a week without a report", 30 * day, outgoing.States(), 0, 0, 1, 1},
			{"some states", 6 * day, []outgoing.State{outgoing.StateQueued}, 0, 0, 1, 0},
		} {
			g, err := s.Reports().Gauges(t.Context(), epoch0.Add(c.at), c.states)
			d := g.Deliveries
			if err != nil || len(d) != len(c.states) || d[outgoing.StateSent] != c.sent || d[outgoing.StateFailed] != c.failed ||
				d[outgoing.StateQueued] != c.queued || d[outgoing.StateUnconfirmed] != c.notConfirmed {
				t.Errorf("%s: %v, %v", c.name, d, err)
			}
		}
	})
}

// A policy domain that cannot be read costs its own report, not that of others.
func TestUnreadableDomainHidesNoOther(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		day := memory.DayOf(epoch0)
		batch := next("a", memory.Position{}, nil)
		for i := range 6 {
			batch.Aggregates = append(batch.Aggregates, memory.Aggregate{
				Day: day, PolicyDomain: dns.MustParse(fmt.Sprintf("d%d.example", i)), Record: "v=DMARC1", Row: "row", Count: 1,
			})
		}
		if err := s.Load(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		rawChange(t, s, `UPDATE aggregates SET policy_domain = 'd1..example' WHERE policy_domain = 'd1.example'`)
		rawChange(t, s, `UPDATE aggregates SET policy_domain = 'd5..example' WHERE policy_domain = 'd5.example'`)
		var got []string
		var after dns.Name
		for {
			page, err := s.Reports().Domains(t.Context(), day, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				after = d.Domain
				got = append(got, d.Domain.String())
			}
			if len(page) < 2 {
				break
			}
		}
		if want := []string{"d0.example", "d2.example", "d3.example", "d4.example"}; !slices.Equal(got, want) {
			t.Errorf("domains %q, want %q", got, want)
		}
		if n := s.Undecodable(); n != 2 {
			t.Errorf("%d counted", n)
		}
	})
}

// Many deliveries are queued again in several transactions, each of them once.
func TestRequeueMany(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		states := make([]outgoing.State, 2*requeueSlice+7)
		for i := range states {
			states[i] = outgoing.StateFailed
		}
		addReports(t, s, aReport(epoch0, "a.example", states...), aReport(epoch0, "b.example", outgoing.StateSent, outgoing.StateFailed))
		n, err := s.Reports().Requeue(t.Context(), outgoing.Requeue{
			Now: epoch0, Expires: epoch0.Add(time.Hour), States: []outgoing.State{outgoing.StateFailed, outgoing.StateQueued},
		})
		if err != nil || n != len(states)+1 {
			t.Errorf("%d queued of %d, %v", n, len(states)+1, err)
		}
		g, err := s.Reports().Gauges(t.Context(), epoch0, outgoing.States())
		if err != nil || g.Deliveries[outgoing.StateQueued] != int64(n) || g.Deliveries[outgoing.StateSent] != 1 {
			t.Errorf("%v, %v", g.Deliveries, err)
		}
	})
}

// Suppressions come in pages, the newest first.
func TestSuppressionPages(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		suppress := func(target string, since time.Duration, until time.Time) {
			t.Helper()
			err := s.Reports().Suppress(t.Context(), outgoing.Suppression{Target: target, Since: epoch0.Add(since), Until: until})
			if err != nil {
				t.Fatal(err)
			}
		}
		suppress("old.example", 0, time.Time{})
		suppress("over.example", time.Minute, epoch0.Add(2*time.Minute))
		suppress("a.example", time.Hour, time.Time{})
		suppress("b.example", time.Hour, epoch0.Add(24*time.Hour))
		suppress("c.example", time.Hour, time.Time{})
		for _, c := range []struct {
			all  bool
			want []string
		}{
			{false, []string{"a.example", "b.example", "c.example", "old.example"}},
			{true, []string{"a.example", "b.example", "c.example", "over.example", "old.example"}},
		} {
			var got []string
			q := outgoing.SuppressionsRequest{All: c.all, Limit: 2}
			for {
				page, err := s.Reports().Suppressions(t.Context(), epoch0.Add(2*time.Hour), q)
				if err != nil || len(page) > 2 {
					t.Fatal(len(page), err)
				}
				for _, x := range page {
					got = append(got, x.Target)
					q.After = &outgoing.SuppressionPlace{Since: x.Since, Target: x.Target}
					if x.Active != (x.Target != "over.example") {
						t.Errorf("%+v", x)
					}
				}
				if len(page) < 2 {
					break
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("all %t: %q, want %q", c.all, got, c.want)
			}
		}
	})
}
