package fill_test

import (
	"context"
	"os"
	"sync"
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

// quarter is a store that was filled once, for all tests, and what that said.
var quarter = sync.OnceValues(func() (filledQuarter, error) {
	dir, err := os.MkdirTemp("", "quarter")
	if err != nil {
		return filledQuarter{}, err
	}
	f := filledQuarter{dir: dir, by: time.Now(), config: settings.Default("mx.reports.example")}
	f.world = demo.New(1, memory.DayOf(f.by)-1)
	f.config.Analysis.Domains = demo.Tenants()
	if f.store, err = store.Open(context.Background(), store.Config{URL: "sqlite:demo.db", Dir: dir}); err != nil {
		return f, err
	}
	f.done, err = fill.Fill(context.Background(), f.store, f.world, f.config, f.by)
	return f, err
})

type filledQuarter struct {
	dir    string
	store  *store.Store
	world  *demo.World
	config *settings.Settings
	by     time.Time
	done   fill.Done
}

func TestMain(m *testing.M) {
	code := m.Run()
	if f, _ := quarter(); f.dir != "" {
		if f.store != nil {
			_ = f.store.Close()
		}
		_ = os.RemoveAll(f.dir)
	}
	os.Exit(code)
}

// TestFill fills a database, and compares what it tells with what was made up.
func TestFill(t *testing.T) {
	ctx := t.Context()
	f, err := quarter()
	if err != nil {
		t.Fatal(err)
	}
	s, w, by, done := f.store, f.world, f.by, f.done
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
