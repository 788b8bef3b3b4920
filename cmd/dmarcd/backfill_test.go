package main

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/intake/intaketest"
)

var (
	backfillPhase = flag.Duration("backfill.phase", time.Second, "length of each phase of TestBackfillBesideMail")
	backfillPairs = flag.Int("backfill.pairs", 1, "how often TestBackfillBesideMail measures with and without a backfill")
	backfillMails = flag.Int("backfill.mails", 500, "mails of one run of ingest in TestBackfillBesideMail")
	backfillJudge = flag.Bool("backfill.judge", false, "hold TestBackfillBesideMail to its bound: wants a machine with nothing else to do")
)

// TestBackfillBesideMail measures the time of the milter's answers at half of what it
// can answer, in turn with and without a backfill of received reports beside it. With
// -backfill.judge the median of the 99th percentiles may rise by a quarter, or by 1 ms.
func TestBackfillBesideMail(t *testing.T) {
	g := intaketest.NewGenerator(uint64(time.Now().UnixNano()))
	more := "analysis: {domains: ["
	for _, d := range g.Domains {
		more += d + ", "
	}
	s := newSoakSite(t, "sqlite:dmarcd.db", more+"example.com]}\n")
	s.start()
	const connections = 16
	full := s.phase(t, *backfillPhase, connections, 0)
	rate := max(len(full)*int(time.Second)/int(*backfillPhase)/2, 1)
	t.Logf("%d messages/s at full load; half is taken", 2*rate)
	s.phase(t, *backfillPhase, connections, rate)
	var without, with []time.Duration
	var filling time.Duration
	for i := range *backfillPairs {
		path := filepath.Join(s.dir, fmt.Sprintf("reports%d.mbox", i))
		if _, err := g.Mailbox(path, *backfillMails); err != nil {
			t.Fatal(err)
		}
		without = append(without, percentile(s.phase(t, *backfillPhase, connections, rate)))
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		began := time.Now()
		working.Go(func() { s.backfill(ctx, t, path) })
		with = append(with, percentile(s.phase(t, *backfillPhase, connections, rate)))
		cancel()
		working.Wait()
		filling += time.Since(began)
	}
	s.stop()
	slices.Sort(without)
	slices.Sort(with)
	a, b := without[len(without)/2], with[len(with)/2]
	totals, err := s.openStore().Totals(t.Context(), analysis.Query{Filter: analysis.Filter{All: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages/s: p99 %v without, %v with a backfill of %.0f reports/s", rate, a, b, float64(totals.Reports)/filling.Seconds())
	if totals.Reports == 0 {
		t.Error("no report was taken in")
	}
	if *backfillJudge && b > a+a/4 && b > a+time.Millisecond {
		t.Error("the backfill makes mail wait")
	}
}

// phase sends mail for a while, at a rate or (0) as fast as it goes, and gives how long
// answers took.
func (s *soakSite) phase(t *testing.T, d time.Duration, connections, rate int) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pace <-chan time.Time
	if rate > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		pace = ticker.C
	}
	var times latencies
	var sending sync.WaitGroup
	for range connections {
		sending.Go(func() { s.send(ctx, pace, times.add) })
	}
	<-time.After(d)
	cancel()
	sending.Wait()
	return times.took
}

func percentile(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[(len(took)-1)*99/100]
}

// backfill takes in one mailbox, or as much of it as ctx leaves time for.
func (s *soakSite) backfill(ctx context.Context, t *testing.T, path string) {
	if out, err := exec.CommandContext(ctx, "dmarcd", "analysis", "ingest", "-c", s.config, path).CombinedOutput(); err != nil && ctx.Err() == nil {
		t.Errorf("%v: %s", err, out)
	}
}
