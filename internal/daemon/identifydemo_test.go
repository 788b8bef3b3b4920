package daemon

import (
	"log/slog"
	"testing"
	"time"

	"dmarcd/internal/demo"
	"dmarcd/internal/demo/fill"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// TestIdentifierOnDemo identifies every source of the made-up quarter from a store: rightly,
// with evidence, the forwarder by its traffic; totals stay as they were.
func TestIdentifierOnDemo(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, store.Config{URL: "sqlite:demo.db", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := demo.New(1, memory.DayOf(time.Now())-1)
	config := settings.Default("mx.reports.example")
	config.Analysis.Domains = demo.Tenants()
	if _, err := fill.Fill(ctx, s, w, config, time.Now()); err != nil {
		t.Fatal(err)
	}
	q := analysis.Query{Filter: analysis.Filter{All: true}, Limit: 1000}
	before, err := s.Totals(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	names := w.Names(demo.Days)
	i := &identifier{
		settings: func() *settings.Settings { return config }, store: s, figures: s, names: names, spf: names, log: slog.New(slog.DiscardHandler), now: time.Now,
	}
	i.services = newServices(i.settings, i.log).get
	i.network = (&networks{settings: i.settings, log: i.log}).look
	if n, err := i.batch(ctx); err != nil || n != len(demo.Hosts()) {
		t.Fatalf("identified %d of %d, %v", n, len(demo.Hosts()), err)
	}
	page, err := s.Sources(ctx, q, analysis.LevelIP)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]analysis.SourceRow{}
	for _, r := range page.Rows {
		rows[r.IP] = r
	}
	for _, h := range demo.Hosts() {
		r := rows[h.Addr.String()]
		want := h.Service
		if want == "" {
			want = analysis.ServiceUnknown
		}
		if r.Service != want || (r.Forwarding == source.Forwarder) != h.Forwarder || (r.Kind == source.KindOwn) != h.Own || (h.Service != "") != (len(r.Evidence) > 0) {
			t.Errorf("%s (%s): %s, %+v", h.Addr, h.Name, r.Service, r.SourceAbout)
		}
	}
	after, err := s.Totals(ctx, q)
	if err != nil || after != before {
		t.Errorf("totals were %+v, are %+v, %v", before, after, err)
	}
}
