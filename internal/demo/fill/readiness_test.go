package fill_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/demo"
	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// filled is a store with the demonstration, whose sources have their true names.
func filled(t *testing.T) (*store.Store, *demo.World, *settings.Settings) {
	t.Helper()
	f, err := quarter()
	if err != nil {
		t.Fatal(err)
	}
	identify(t, t.Context(), f.store)
	return f.store, f.world, f.config
}

func identify(t *testing.T, ctx context.Context, s *store.Store) {
	t.Helper()
	var found []analysis.Identity
	for _, h := range demo.Hosts() {
		one := analysis.Identity{Source: h.Addr, Host: h.Name, Service: h.Service, Again: time.Now().Add(time.Hour)}
		if one.Service == "" {
			one.Service = analysis.ServiceUnknown
		}
		found = append(found, one)
	}
	if err := s.Identify(ctx, found); err != nil {
		t.Fatal(err)
	}
}

// TestReadinessOfTheQuarter asks on chosen days what a stricter policy would do, and
// compares that with what was planted.
func TestReadinessOfTheQuarter(t *testing.T) {
	s, w, config := filled(t)
	m, err := source.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		domain string
		day    int // on which is asked
		ready  bool
		class  analysis.SourceClass // of the service that breaks; "" where it does not fail
	}{
		{"too early", demo.Acme, 10, false, ""},
		{"before it breaks", demo.Acme, 17, true, ""},
		{"while it is broken", demo.Acme, 28, false, analysis.ClassOwn},
		{"mended, not long enough", demo.Acme, 40, false, analysis.ClassOwn},
		// The last failures are of day 30. A report on a week spreads them up to day 35.
		{"mended for 14 days", demo.Acme, 52, true, analysis.ClassMended},
		{"long after", demo.Acme, 80, true, ""},
		{"a wave of forgeries", demo.Globex, 52, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := w.Day(c.day).Begin().Add(12 * time.Hour)
			// What is published is that of the end: these tenants' records do not change.
			a := api.Local{Viewer: api.Operator(), Service: &api.Service{
				Settings: func() *settings.Settings { return config }, Received: s, Services: func() *source.Map { return m }, Now: func() time.Time { return now },
			}}
			began := time.Now()
			r, err := api.ReadinessAssess().Ask(t.Context(), a, api.Lookup{Domain: c.domain})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("in %v: lost %d of %d, forged %d", time.Since(began).Round(time.Millisecond), r.Lost, r.Messages, r.Forged)
			reject := r.Steps[1]
			if reject.Policy != report.PolicyReject || reject.Ready != c.ready {
				t.Errorf("ready %v, because %q; sources %+v", reject.Ready, reject.Because, r.Sources)
			}
			var service *analysis.ReadySource
			for i := range r.Sources {
				if r.Sources[i].Service == "sendgrid.net" {
					service = &r.Sources[i]
				}
			}
			if (service != nil) != (c.class != "") {
				t.Fatalf("sources %+v", r.Sources)
			}
			if service != nil && (service.Class != c.class || service.Cause != analysis.CauseSignature || service.Selector != "s1") {
				t.Errorf("the service: %+v", service)
			}
			if gone := "the key at s1._domainkey.acme.example"; service != nil && (!strings.Contains(service.Why, gone) || !strings.Contains(service.Why, w.Day(20).String())) {
				t.Errorf("why %q", service.Why)
			}
			if c.class == analysis.ClassOwn && !strings.Contains(service.Advice, "s1._domainkey.acme.example") {
				t.Errorf("advice %q", service.Advice)
			}
			if c.domain == demo.Globex && (r.Forged == 0 || r.Lost > 0) {
				t.Errorf("forged %d, lost %d", r.Forged, r.Lost)
			}
		})
	}
}

// TestLedgerOfTheQuarter finds each reporter's habit.
func TestLedgerOfTheQuarter(t *testing.T) {
	s, _, config := filled(t)
	a := api.Local{Viewer: api.Operator(), Service: &api.Service{Settings: func() *settings.Settings { return config }, Received: s, Now: time.Now}}
	ledger, err := api.AnalysisLedger().Ask(t.Context(), a, api.FiguresRequest{Criteria: analysis.Criteria{Domain: []string{demo.Acme}, Period: "all"}})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]analysis.LedgerRow{}
	for _, r := range ledger.Rows {
		rows[r.Reporter] = r
	}
	if len(rows) != 12 || ledger.Rows[0].Reporter != "bigmail.example" || ledger.Rows[0].Share < 0.3 {
		t.Errorf("%d reporters, first %+v", len(rows), ledger.Rows[0])
	}
	const day = 24 * 3600
	for _, c := range []struct {
		name string
		ok   func(r analysis.LedgerRow) bool
	}{
		{"bigmail.example", func(r analysis.LedgerRow) bool {
			return r.Gaps == 0 && r.Delay < day && r.Duplicates == 0 && r.Trust[analysis.TrustAdmin] == r.Reports
		}},
		{"postbox.example", func(r analysis.LedgerRow) bool { return r.Reports > 150 && r.Gaps == 0 }},
		{"telco.example", func(r analysis.LedgerRow) bool { return r.Reports <= 13 && r.Gaps == 0 }},
		{"slowpost.example", func(r analysis.LedgerRow) bool { return r.Delay > 4*day }},
		{"gapmail.example", func(r analysis.LedgerRow) bool { return r.Gaps >= 16 && r.Gaps <= 18 }},
		{"repeats.example", func(r analysis.LedgerRow) bool { return r.Duplicates == r.Reports }},
		{"office.example", func(r analysis.LedgerRow) bool { return r.Gaps >= 22 && r.Gaps <= 27 }},
	} {
		if r := rows[c.name]; !c.ok(r) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// namesTTL is the DNS of a day, with times to live.
type namesTTL struct{ demo.Names }

// LookupTTL gives the TXT records of a name.
func (n namesTTL) LookupTTL(ctx context.Context, name dns.Name) ([]string, time.Duration, error) {
	texts, err := n.LookupTXT(ctx, name)
	return texts, 5 * time.Minute, err
}

// TestGenerateWarns: a record that is too strict for what reports tell comes with the
// reasons.
func TestGenerateWarns(t *testing.T) {
	s, w, config := filled(t)
	m, err := source.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for day, warned := range map[int]bool{28: true, 80: false} {
		now := w.Day(day).Begin().Add(12 * time.Hour)
		a := api.Local{Viewer: api.Operator(), Service: &api.Service{
			Settings: func() *settings.Settings { return config }, Received: s, Services: func() *source.Map { return m }, DNS: namesTTL{w.Names(day)},
			Now: func() time.Time { return now },
		}}
		reject := "reject"
		got, err := api.RecordGenerate().Ask(t.Context(), a, api.GenerateRequest{Domains: []string{demo.Acme}, RecordChange: analysis.RecordChange{P: &reject}})
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(got.Records[0].Notes, "\n"); strings.Contains(notes, "not ready for p=reject: ") != warned {
			t.Errorf("on day %d: %s", day, notes)
		}
	}
}
