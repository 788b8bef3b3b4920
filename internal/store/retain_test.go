package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/outgoing"
)

// clocks are a clock that may be wrong, and one that only goes on.
type clocks struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

// pass lets time pass, and sets the clock ahead by more.
func (c *clocks) pass(d, ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d+ahead), c.elapsed+d
}

func (c *clocks) use(s *Store) {
	s.now = func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.wall }
	s.elapsed = func() time.Duration { c.mu.Lock(); defer c.mu.Unlock(); return c.elapsed }
}

// A clock that is days ahead for a minute removes nothing. A stable one is trusted after
// an hour, as after a daemon was off for weeks.
func TestRetentionIsNotFooledByTheClock(t *testing.T) {
	const day = 24 * time.Hour
	eachDialect(t, func(t *testing.T, db database) {
		c := &clocks{wall: epoch0.Add(3 * day)}
		s := db.open(t, c.use)
		fewDays(t, s, 3)
		keep := Retention{Messages: 30 * day, Traces: 7 * day, Aggregates: 400 * day, RawReports: 400 * day}
		guard := &clock{s: s}
		for _, step := range []struct {
			name          string
			pass, ahead   time.Duration
			restart       bool
			removed, left int64
		}{
			{"at first", 0, 0, false, 0, 1200},
			{"days ahead", time.Minute, 100 * day, false, 0, 1200},
			{"for a minute", time.Minute, 0, false, 0, 1200},
			{"and back", time.Minute, -100 * day, false, 0, 1200},
			{"ahead as the daemon starts", time.Minute, 100 * day, true, 0, 1200},
			{"for half an hour", 30 * time.Minute, 0, false, 0, 1200},
			{"further ahead", time.Minute, 100 * day, false, 0, 1200},
			{"half an hour later", 30 * time.Minute, 0, false, 0, 1200},
			{"back", time.Minute, -200 * day, false, 0, 1200},
			{"off for four weeks and a bit", time.Minute, 28*day + 12*time.Hour, true, 0, 1200},
			{"an hour later", time.Hour, 0, false, 636, 564},
			{"ten minutes later", 10 * time.Minute, 0, false, 3, 561},
			{"two hours later, running", 2 * time.Hour, 0, false, 33, 528},
		} {
			c.pass(step.pass, step.ahead)
			if step.restart {
				guard = &clock{s: s}
			}
			p, err := s.retain(t.Context(), guard, keep)
			if err != nil {
				t.Fatal(err)
			}
			if left := rowCount(t, s, "messages"); left != step.left || (p.Messages == 0) != (step.removed == 0) {
				t.Errorf("%s: %d removed, %d left, want about %d", step.name, p.Messages, left, step.left)
			}
		}
	})
}

// A store that is far too large is made smaller at the next look at its size, not only
// at the next look at what is old; and with a clock that is not believed.
func TestRetainActsSoonOnSize(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t, quick, func(s *Store) {
			s.timing.retainFirst, s.timing.retainSize, s.timing.retainAge = 0, time.Millisecond, 1000*time.Hour
		})
		var most atomic.Int64
		seen := make(chan Pruned, 100)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- s.Retain(ctx, func() Retention { return Retention{MaxBytes: most.Load()} }, func(p Pruned, err error) {
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				seen <- p
			})
		}()
		<-seen // by age, at once
		fewDays(t, s, 4)
		size := must(s.Size(t.Context()))
		most.Store(size * 2 / 3)
		p := <-seen
		if p.Oversize+p.OversizeTraces == 0 || p.Bytes > most.Load() {
			t.Errorf("%+v, at most %d", p, most.Load())
		}
		if aggregates := rowCount(t, s, "aggregates"); aggregates == 0 {
			t.Error("aggregates are gone")
		}
		stop()
		<-ended
	})
}

// Mail that is held stays longer than other mail, by age and by size.
func TestHeldMailStays(t *testing.T) {
	const day = 24 * time.Hour
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		records := newTraffic(1, 30).batch(600, epoch0, day)
		for i := range 5 {
			records[i].Hold, records[i].Decision.Action = "DMARC", policy.Quarantine
		}
		load(t, s, "a", records)
		keep := Retention{Messages: day, Aggregates: 10 * day}
		if p, err := s.Prune(t.Context(), keep, epoch0.Add(5*day)); err != nil || p.Messages != 595 {
			t.Fatalf("%+v, %v", p, err)
		}
		if n, _, err := s.CountHeld(t.Context(), ""); err != nil || n != 5 {
			t.Errorf("%d held, %v", n, err)
		}
		checkBooks(t, s)
		load(t, s, "a", newTraffic(2, 30).batch(600, epoch0.Add(5*day), day))
		size := must(s.Size(t.Context()))
		if p, err := s.Prune(t.Context(), Retention{MaxBytes: size - size/8}, epoch0.Add(6*day)); err != nil || p.Oversize == 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		if n, _, err := s.CountHeld(t.Context(), ""); err != nil || n != 5 {
			t.Errorf("%d held after the size was too large, %v", n, err)
		}
		if p, err := s.Prune(t.Context(), keep, epoch0.Add(20*day)); err != nil || rowCount(t, s, "messages") != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		checkBooks(t, s)
	})
}

// Retention removes sent reports, their files before them, and texts of policies.
func TestPruneReports(t *testing.T) {
	const day = 24 * time.Hour
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		addReports(t, s, aReport(epoch0, "a.example", outgoing.StateSent), aReport(epoch0.Add(day), "b.example", outgoing.StateFailed))
		for i := range 2 {
			if err := s.NotePolicy(t.Context(), "mx1", epoch0.Add(time.Duration(i)*day), policy.Source{{Name: "p", Text: string(rune('a' + i))}}); err != nil {
				t.Fatal(err)
			}
		}
		keep := Retention{Aggregates: 3 * day, RawReports: day}
		for _, c := range []struct {
			at                         time.Duration
			files, reports, deliveries int64
		}{{12 * time.Hour, 2, 2, 2}, {36 * time.Hour, 1, 2, 2}, {60 * time.Hour, 0, 2, 2}, {80 * time.Hour, 0, 1, 1}, {100 * time.Hour, 0, 0, 0}} {
			if _, err := s.Prune(t.Context(), keep, epoch0.Add(c.at)); err != nil {
				t.Fatal(err)
			}
			files, reports, deliveries := rowCount(t, s, "report_files"), rowCount(t, s, "reports"), rowCount(t, s, "deliveries")
			if files != c.files || reports != c.reports || deliveries != c.deliveries {
				t.Errorf("after %s: %d files, %d reports, %d deliveries, want %+v", c.at, files, reports, deliveries, c)
			}
		}
		if n := rowCount(t, s, "policies"); n != 1 {
			t.Errorf("%d policies", n)
		}
	})
}

// sameRolledUp compares figures that rollups know for many filters, and adds them up
// against each other.
func sameRolledUp(t *testing.T, got, want *Store) {
	t.Helper()
	r := rand.New(rand.NewPCG(21, 22))
	for range 40 {
		f := randomFilter(t, r)
		q := analysis.Query{Limit: 1000, Filter: analysis.Filter{
			From: f.From, To: f.To, All: f.All, Domain: f.Domain, Without: f.Without, Service: f.Service, Result: f.Result, Disposition: f.Disposition,
			Label: f.Label,
		}}
		var sum, days, services analysis.Counts
		for i, row := range must(got.Overview(t.Context(), q)).Rows {
			if w := must(want.Overview(t.Context(), q)).Rows; i >= len(w) || w[i].Domain != row.Domain || w[i].Counts != row.Counts {
				t.Errorf("%+v: row %d is %+v, want it in %+v", q.Filter, i, row, w)
			}
			sum = sum.Plus(row.Counts)
		}
		for _, row := range sameRows(t, "trend", must(got.Trend(t.Context(), q)), must(want.Trend(t.Context(), q))) {
			days = days.Plus(row.Counts)
		}
		gotServices, wantServices := must(got.Sources(t.Context(), q, analysis.LevelService)), must(want.Sources(t.Context(), q, analysis.LevelService))
		for _, row := range sameRows(t, "services", gotServices.Rows, wantServices.Rows) {
			services = services.Plus(row.Counts)
		}
		if total := must(got.Totals(t.Context(), q)).Messages; sum != days || sum != services || sum.Messages != total {
			t.Errorf("%+v: overview adds up to %+v, trend to %+v, services to %+v, totals to %d", q.Filter, sum, days, services, total)
		}
	}
}

// Retention of received reports depends on the kind: raw ones, records, and their sums,
// which outlive them; figures of the service level stay the same. A store that is too
// large loses none of them.
func TestPruneReceived(t *testing.T) {
	const day = 24 * time.Hour
	eachDialect(t, func(t *testing.T, db database) {
		s, whole := db.open(t), sibling(t, db).open(t)
		m := &receivedMaker{r: rand.New(rand.NewPCG(7, 1))}
		for range 10 {
			b := m.batch(nil)
			for i := range b.Items {
				for j := range b.Items[i].Reports {
					b.Items[i].Reports[j].Raw = []byte("raw")
				}
			}
			must(s.Ingest(t.Context(), b))
			must(whole.Ingest(t.Context(), b))
		}
		identifySome(t, m, s, whole, 0)
		for _, l := range []analysis.LabelSet{
			{Domain: dns.MustParse("acme.example"), Service: "esp.example", Label: analysis.LabelAuthorised},
			{Domain: dns.MustParse("beta.example"), Service: "other.example", Label: analysis.LabelForwarder},
		} {
			if err := errors.Join(s.SetLabel(t.Context(), l), whole.SetLabel(t.Context(), l)); err != nil {
				t.Fatal(err)
			}
		}
		keep := Retention{RawReports: 30 * day, Received: 200 * day, Rollups: 400 * day, MaxBytes: 1}
		for _, c := range []struct {
			after               time.Duration
			raws, rows, rollups bool
		}{{40 * day, true, true, false}, {150 * day, false, true, false}, {210 * day, false, true, true}, {300 * day, false, false, true}, {500 * day, false, false, false}} {
			if _, err := s.Prune(t.Context(), keep, receivedStart.Add(c.after)); err != nil {
				t.Fatal(err)
			}
			for table, want := range map[string]bool{
				"received_raws": c.raws, "received_blocks": c.rows, "received_reports": c.rows, "received_rollup_days": c.rollups,
			} {
				if n := rowCount(t, s, table); (n > 0) != want {
					t.Errorf("after %v: %d rows in %s", c.after, n, table)
				}
			}
			if c.rows || c.rollups {
				sameLasting(t, s, whole)
				sameRolledUp(t, s, whole)
			}
		}
	})
}
