package fill_test

import (
	"testing"
	"time"

	"dmarcd/internal/demo"
	"dmarcd/internal/demo/fill"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// TestFill fills a database, and compares what it tells with what was made up.
func TestFill(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, store.Config{URL: "sqlite:demo.db", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	last := memory.DayOf(time.Now()) - 1
	w := demo.New(1, last)
	config := settings.Default("mx.reports.example")
	config.Analysis.Domains = demo.Tenants()
	began, by := time.Now(), time.Now()
	done, err := fill.Fill(ctx, s, w, config, by)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v in %v", done, time.Since(began).Round(time.Millisecond))
	files := w.Files(by)
	again := 0
	for _, f := range files {
		if f.Again {
			again++
		}
	}
	if done.Reports != len(files)-again || done.Duplicates != again {
		t.Errorf("%+v, of %d reports, %d of them again", done, len(files), again)
	}
	q := analysis.Query{Filter: analysis.Filter{All: true}, Limit: 1000}
	overview, err := s.Overview(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]demo.Sum{}
	for _, r := range overview.Rows {
		got[r.Domain.String()] = demo.Sum{Messages: r.Messages, Compliant: r.Compliant}
		if r.Reporters != 12 {
			t.Errorf("%s has %d reporters", r.Domain, r.Reporters)
		}
	}
	for tenant, services := range demo.Sums(files) {
		var want demo.Sum
		for _, sum := range services {
			want.Messages += sum.Messages
			want.Compliant += sum.Compliant
		}
		if got[tenant] != want {
			t.Errorf("%s: %+v, want %+v", tenant, got[tenant], want)
		}
	}
	history, err := s.History(ctx, dns.MustParse(demo.Initech), analysis.SnapshotDMARC, 10)
	if err != nil || len(history) != 3 {
		t.Errorf("the record of initech: %v, %v", history, err)
	}
	if n, err := s.Count(ctx, w.Day(1).Begin(), w.Day(demo.Days+1).Begin()); err != nil || n != int64(done.Messages) || n < 3000 {
		t.Errorf("%d messages, %v", n, err)
	}
}
