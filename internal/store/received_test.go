package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/analysis/analysistest"
)

// receivedStart is the day of the first made report.
var receivedStart = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// receivedMaker makes reports of all kinds.
type receivedMaker struct {
	r    *rand.Rand
	next int
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (m *receivedMaker) domain() dns.Name {
	return dns.MustParse(pick(m.r, "acme.example", "acme.example", "beta.example", "gamma.example"))
}

func (m *receivedMaker) row(number int) analysis.Row {
	r := m.r
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(12))})
	if r.IntN(4) == 0 {
		addr = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", r.IntN(5)))
	}
	row := analysis.Row{
		Number: number, Source: addr, Count: int64(1 + r.IntN(9)), SPF: pick(r, report.DMARCPass, report.DMARCFail), DKIM: pick(r, report.DMARCPass, report.DMARCFail),
		Disposition: pick(r, dispositions[:]...), HeaderFrom: pick(r, "acme.example", "Mail.acme.example", "beta.example"),
		EnvelopeFrom: pick(r, "", "bounce.acme.example", "x_y.example"), Auth: &analysis.AuthSet{},
	}
	for range r.IntN(3) {
		row.Auth.DKIM = append(row.Auth.DKIM, analysis.DKIMResult{Domain: pick(r, "acme.example", "esp.example", "100%.example"), Selector: pick(r, "", "s1", "k_2"), Result: "pass"})
	}
	for range r.IntN(2) {
		row.Auth.SPF = append(row.Auth.SPF, analysis.SPFResult{Domain: pick(r, "acme.example", "esp.example"), Result: "pass"})
	}
	if r.IntN(3) == 0 {
		row.Auth.Reasons = []analysis.Reason{{Type: pick(r, report.ReasonForwarded, report.ReasonLocalPolicy), Comment: pick(r, "", "arc=pass")}}
	}
	return row
}

func (m *receivedMaker) report() analysis.Report {
	r := m.r
	m.next++
	begin := receivedStart.AddDate(0, 0, r.IntN(20))
	hours := pick(r, 24, 24, 24, 24, 30, 72, 24*20, 24*40)
	one := analysis.Report{
		Domain: m.domain(), Trust: pick(r, analysis.TrustAuthenticated, analysis.TrustUnknown, analysis.TrustAdmin, analysis.TrustFailed),
		Status: analysis.StatusStored, Dialect: report.DialectRFC7489,
		Metadata: report.Metadata{
			OrgName: pick(r, "Reporter One", "Two", "%_"), Email: pick(r, "dmarc@one.example", "noreply@two.example"), ReportID: fmt.Sprint(m.next),
			Begin: begin, End: begin.Add(time.Duration(hours)*time.Hour - time.Second),
		},
	}
	one.Policy = report.Published{Domain: one.Domain.String(), P: pick(r, report.PolicyNone, report.PolicyReject)}
	if r.IntN(5) == 0 {
		one.Quarantine = []report.RecordFault{{Record: 99, Line: 3, Why: "no address"}}
	}
	for n := range 1 + r.IntN(6) {
		one.Rows = append(one.Rows, m.row(n+1))
	}
	one.Digest = analysis.DigestRows(one.Rows)
	return one
}

// batch makes items, some of them handed over again, some reports sent again.
func (m *receivedMaker) batch(before []analysis.Report) *analysis.Batch {
	b := &analysis.Batch{}
	for n := range 1 + m.r.IntN(8) {
		it := analysis.Item{Feed: "folder", Token: fmt.Sprintf("%d-%d", m.next, n), TakenAt: receivedStart.AddDate(0, 1, m.next), Kind: analysis.KindAggregate, Name: "x.xml"}
		for range m.r.IntN(3) {
			it.Reports = append(it.Reports, m.report())
		}
		if len(before) > 0 && m.r.IntN(3) == 0 {
			again := pick(m.r, before...)
			again.Trust = pick(m.r, analysis.TrustAuthenticated, analysis.TrustUnknown, analysis.TrustFailed)
			if m.r.IntN(2) == 0 {
				again.Rows = append(slices.Clone(again.Rows), m.row(50))
				again.Digest = analysis.DigestRows(again.Rows)
			}
			it.Reports = append(it.Reports, again)
		}
		if len(it.Reports) == 0 {
			it.Kind, it.Why = analysis.KindOther, "no report"
		}
		b.Items = append(b.Items, it)
	}
	return b
}

// fill returns both stores the same reports and identities.
func fillReceived(t *testing.T, s *Store, like *analysistest.Store, seed uint64) {
	t.Helper()
	m := &receivedMaker{r: rand.New(rand.NewPCG(seed, 1))}
	var all []analysis.Report
	for n := range 25 {
		b := m.batch(all)
		got, want := must(s.Ingest(t.Context(), b)), must(like.Ingest(t.Context(), b))
		compareSettled(t, got, want)
		for _, it := range b.Items {
			all = append(all, it.Reports...)
		}
		if n%8 == 4 {
			identifySome(t, m, s, like, n)
		}
		if n%8 == 6 { // the same batch again changes nothing
			for _, one := range must(s.Ingest(t.Context(), b)) {
				if !one.Known {
					t.Fatalf("batch %d handed over again: %+v is new", n, one)
				}
			}
		}
	}
}

func compareSettled(t *testing.T, got, want []analysis.Classified) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d reports settled, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.Status != w.Status || g.Item != w.Item || g.Report != w.Report || (g.Of == 0) != (w.Of == 0) {
			t.Fatalf("report %d: %+v, want %+v", i, g, w)
		}
	}
}

func identifySome(t *testing.T, m *receivedMaker, s *Store, like analysis.Sources, round int) {
	t.Helper()
	var found []analysis.Identity
	for n := range 8 {
		found = append(found, analysis.Identity{
			Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), From: memory.DayOf(receivedStart.AddDate(0, 0, round)),
			Host: pick(m.r, "mx1.esp.example", "mx2.esp.example", ""), Service: pick(m.r, "esp.example", "other.example", analysis.ServiceUnknown),
			Again: receivedStart.AddDate(1, 0, 0),
		})
	}
	if err := errors.Join(s.Identify(t.Context(), found), like.Identify(t.Context(), found)); err != nil {
		t.Fatal(err)
	}
}

// TestReceivedFigures compares every figure for random filters with a store that counts
// row by row, from rollups and from rows, and adds the views up against each other.
func TestReceivedFigures(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, like := db.open(t), analysistest.New()
		fillReceived(t, s, like, 7)
		labelSome(t, s, like)
		r := rand.New(rand.NewPCG(3, 4))
		filters := 200
		if db.kind == "postgres" {
			filters = 50 // each takes longer there
		}
		for n := range filters {
			q := analysis.Query{Filter: randomFilter(t, r)}
			if r.IntN(3) == 0 {
				q.Managed = []dns.Name{dns.MustParse("acme.example"), dns.MustParse("gamma.example")}[:1+r.IntN(2)]
			}
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				compareFigures(t, s, like, q)
			})
		}
	})
}

func labelSome(t *testing.T, s *Store, like *analysistest.Store) {
	t.Helper()
	acme, beta := dns.MustParse("acme.example"), dns.MustParse("beta.example")
	for _, l := range []analysis.LabelSet{
		{Domain: acme, Service: "esp.example", Label: analysis.LabelAuthorised},
		{Domain: beta, Service: "esp.example", Label: analysis.LabelForwarder},
		{Domain: acme, Host: "mx2.esp.example", Label: analysis.LabelIgnore},
		{Domain: acme, Network: netip.MustParsePrefix("192.0.2.0/30"), Label: analysis.LabelForwarder},
	} {
		if err := errors.Join(s.SetLabel(t.Context(), l), like.SetLabel(t.Context(), l)); err != nil {
			t.Fatal(err)
		}
	}
}

func randomFilter(t *testing.T, r *rand.Rand) analysis.Filter {
	t.Helper()
	c := analysis.Criteria{Since: fmt.Sprintf("2026-10-%02d", 1+r.IntN(15)), Until: fmt.Sprintf("2026-10-%02d", 15+r.IntN(16))}
	if r.IntN(6) == 0 {
		c = analysis.Criteria{Period: "all"}
	}
	maybe := func(into *[]string, values ...string) {
		if r.IntN(7) == 0 {
			*into = []string{pick(r, values...)}
		}
	}
	maybe(&c.Domain, "acme.example", "!beta.example")
	maybe(&c.Service, "esp.example", "*.example", "!esp.example", "unknown")
	maybe(&c.Host, "mx*.esp.example", "!mx1.esp.example")
	maybe(&c.IP, "192.0.2.0/29", "192.0.2.1", "192.0.", "2001:db8::/32", "!192.0.2.4/31")
	maybe(&c.Reporter, "two", "*one*", "%_", "!two")
	maybe(&c.Result, "compliant", "not_compliant")
	maybe(&c.Disposition, "none,reject", "!quarantine")
	maybe(&c.Reason, "forwarded", "!local_policy")
	maybe(&c.Policy, "reject", "!none")
	maybe(&c.HeaderFrom, "mail.acme.example", "*acme*")
	maybe(&c.EnvelopeFrom, "x_y.example", "!bounce.*")
	maybe(&c.SPFDomain, "esp.example", "!acme.example")
	maybe(&c.DKIMDomain, "100%.example", "!esp.*")
	maybe(&c.Selector, "k_2", "s*", "!s1")
	maybe(&c.Label, "authorised", "!forwarder")
	c.IncludeFailed = r.IntN(6) == 0
	f, _, err := c.Parse(receivedStart.AddDate(0, 2, 0))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func compareFigures(t *testing.T, s *Store, like analysis.Figures, q analysis.Query) {
	t.Helper()
	ctx := t.Context()
	q.Limit = 9
	overview := sameRows(t, "overview", allPages(t, q, s.Overview), allPages(t, q, like.Overview))
	sums := map[string]analysis.Counts{}
	for _, row := range overview {
		sums["overview"] = sums["overview"].Plus(row.Counts)
	}
	for _, level := range []analysis.Level{analysis.LevelService, analysis.LevelHost, analysis.LevelIP} {
		ours := func(ctx context.Context, q analysis.Query) (analysis.Page[analysis.SourceRow], error) {
			return s.Sources(ctx, q, level)
		}
		theirs := func(ctx context.Context, q analysis.Query) (analysis.Page[analysis.SourceRow], error) {
			return like.Sources(ctx, q, level)
		}
		for _, row := range sameRows(t, string(level), allPages(t, q, ours), allPages(t, q, theirs)) {
			sums[string(level)] = sums[string(level)].Plus(row.Counts)
		}
	}
	for _, row := range sameRows(t, "trend", must(s.Trend(ctx, q)), must(like.Trend(ctx, q))) {
		sums["trend"] = sums["trend"].Plus(row.Counts)
	}
	details := allPages(t, q, s.Details)
	var exported []analysis.Detail
	if err := s.Export(ctx, q, func(d *analysis.Detail) error { exported = append(exported, *d); return nil }); err != nil {
		t.Fatal(err)
	}
	sameRows(t, "export", exported, details)
	compareDetails(t, details, allPages(t, q, like.Details))
	for _, d := range details {
		one := sums["details"]
		one.Add(d.Messages, d.SPF, d.DKIM, d.Disposition)
		sums["details"] = one
	}
	for view, sum := range sums {
		if sum != sums["overview"] {
			t.Errorf("%s adds up to %+v, overview to %+v", view, sum, sums["overview"])
		}
	}
	totals := must(s.Totals(ctx, q))
	sameRows(t, "totals", []analysis.Totals{totals}, []analysis.Totals{must(like.Totals(ctx, q))})
	if totals.Messages != sums["overview"].Messages {
		t.Errorf("totals have %d messages, overview %d", totals.Messages, sums["overview"].Messages)
	}
}

// allPages reads a list page by page.
func allPages[T any](t *testing.T, q analysis.Query, read func(context.Context, analysis.Query) (analysis.Page[T], error)) []T {
	t.Helper()
	var all []T
	for {
		page, err := read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Rows...)
		if q.After = page.Next; q.After == "" {
			return all
		}
	}
}

func sameRows[T any](t *testing.T, what string, got, want []T) []T {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d\n%+v\n%+v", what, len(got), len(want), got, want)
		return got
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%s, row %d:\n%+v, want\n%+v", what, i, got[i], want[i])
		}
	}
	return got
}

// compareDetails compares all but the numbers of reports, which stores choose.
func compareDetails(t *testing.T, got, want []analysis.Detail) {
	t.Helper()
	for _, list := range [][]analysis.Detail{got, want} {
		for i := range list {
			list[i].Report = 0
		}
	}
	sameRows(t, "details", got, want)
}
