package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

var (
	receivedRecords = flag.Int("received.records", 0, "how many records TestReceivedScale ingests; 0 skips it")
	receivedPlans   = flag.Bool("received.plans", false, "TestReceivedScale prints the plan of each query")
)

const (
	scaleDomains = 30
	scaleSources = 20_000
	scaleDays    = 365
)

// scaleBatch makes reports of some records each, as reporters send them: one domain and
// day, few sources often, many seldom.
func scaleBatch(r *rand.Rand, n int, serial *int, day int) *analysis.Batch {
	b := &analysis.Batch{}
	for range n {
		*serial++
		domain := dns.MustParse(fmt.Sprintf("d%d.example", min(r.IntN(scaleDomains), r.IntN(scaleDomains))))
		begin := receivedStart.AddDate(0, 0, day-scaleDays-r.IntN(3))
		one := analysis.Report{Domain: domain, Trust: analysis.TrustAuthenticated, Status: analysis.StatusStored, Dialect: report.DialectRFC7489,
			Policy: report.Published{Domain: domain.String(), P: report.PolicyNone},
			Metadata: report.Metadata{OrgName: fmt.Sprintf("Reporter %d", r.IntN(40)), Email: "dmarc@reporter.example", ReportID: fmt.Sprint(*serial),
				Begin: begin, End: begin.Add(24*time.Hour - time.Second)},
			AuthDomain: dns.MustParse("reporter.example"), Raw: make([]byte, 500)}
		for i := range 1 + int(r.ExpFloat64()*4) {
			one.Rows = append(one.Rows, scaleRow(r, i+1, domain))
		}
		one.Digest[0], one.Digest[1], one.Digest[2] = byte(*serial), byte(*serial>>8), byte(*serial>>16)
		b.Items = append(b.Items, analysis.Item{Feed: "folder", Token: fmt.Sprint(*serial), TakenAt: begin.AddDate(0, 0, 2), Kind: analysis.KindAggregate, Reports: []analysis.Report{one}})
	}
	return b
}

func scaleRow(r *rand.Rand, number int, domain dns.Name) analysis.Row {
	// A domain has some forty services of its own, whose mail passes as it always does.
	esp := (len(domain.String())*31 + int(domain.String()[1])*7 + min(r.IntN(40), r.IntN(40))) % 200
	n := min(r.IntN(scaleSources/200), r.IntN(scaleSources/200))*200 + esp
	row := analysis.Row{Number: number, Source: netip.AddrFrom4([4]byte{198, byte(n >> 16), byte(n >> 8), byte(n)}), Count: 1 + int64(r.ExpFloat64()*20),
		SPF: report.DMARCPass, DKIM: report.DMARCPass, Disposition: report.DispositionNone,
		HeaderFrom: domain.String(), EnvelopeFrom: fmt.Sprintf("bounce%d.esp%d.example", n%7, n%200),
		Auth: &analysis.AuthSet{SPF: []analysis.SPFResult{{Domain: fmt.Sprintf("esp%d.example", n%200), Result: "pass"}},
			DKIM: []analysis.DKIMResult{{Domain: domain.String(), Selector: fmt.Sprintf("s%d", n%5), Result: "pass"}}}}
	if r.IntN(10) == 0 {
		row.SPF, row.DKIM = report.DMARCFail, pick(r, report.DMARCPass, report.DMARCFail)
		row.Disposition = pick(r, report.DispositionNone, report.DispositionReject)
	}
	return row
}

// TestReceivedScale fills a store and prints what ingest, queries and export take. Its
// figures are for docs/performance.md; it is run by make received-scale.
func TestReceivedScale(t *testing.T) {
	if *receivedRecords == 0 {
		t.Skip("-received.records is not given (make received-scale gives it)")
	}
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		fillScale(t, s)
		if db.kind == "sqlite" {
			info := must(os.Stat(filepath.Join(db.dir, "test.db")))
			t.Logf("size %d MB", info.Size()>>20)
		}
		for _, period := range []int{30, 365} {
			timeQueries(t, s, period)
		}
		timeExport(t, s)
	})
}

func fillScale(t *testing.T, s *Store) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	serial, records, start, cpu := 0, 0, time.Now(), processCPU(t)
	var slowest time.Duration
	for records < *receivedRecords {
		b := scaleBatch(r, 200, &serial, records*scaleDays / *receivedRecords) // in the order of arrival
		for i := range b.Items {
			records += len(b.Items[i].Reports[0].Rows)
		}
		from := time.Now()
		if _, err := s.Ingest(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(from))
	}
	took := time.Since(start)
	t.Logf("ingested %d reports, %d records in %v: %.0f reports/s, %.0f records/s, %.1f µs of our CPU a record; the slowest batch of 200 took %v",
		serial, records, took.Round(time.Millisecond), float64(serial)/took.Seconds(), float64(records)/took.Seconds(),
		(processCPU(t)-cpu).Seconds()*1e6/float64(records), slowest.Round(time.Millisecond))
	from := time.Now()
	var found []analysis.Identity
	for n := range scaleSources {
		found = append(found, analysis.Identity{Source: netip.AddrFrom4([4]byte{198, byte(n >> 16), byte(n >> 8), byte(n)}), Host: fmt.Sprintf("h%d.esp%d.example", n%40, n%200),
			Service: fmt.Sprintf("esp%d.example", n%200), Again: receivedStart.AddDate(1, 0, 0)})
	}
	if err := s.Identify(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	t.Logf("identified %d sources in %v", len(found), time.Since(from).Round(time.Millisecond))
}

// processCPU is what this process has used: with SQLite that is what an idle machine takes.
func processCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func timeQueries(t *testing.T, s *Store, days int) {
	t.Helper()
	to := memory.DayOf(receivedStart)
	all := analysis.Query{Filter: analysis.Filter{From: to - memory.Day(days), To: to}, Limit: 100}
	with := func(change func(*analysis.Filter)) analysis.Query {
		q := all
		change(&q.Filter)
		return q
	}
	one := func(f *analysis.Filter) { f.Domain = []dns.Name{dns.MustParse("d0.example")} }
	host := analysis.Match{Any: []analysis.Pattern{"h3.*"}}
	network := analysis.Addresses{Any: []analysis.AddressRange{{Network: netip.MustParsePrefix("198.0.16.0/20")}}}
	ctx := t.Context()
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"overview", func() error { _, err := s.Overview(ctx, all); return err }},
		{"overview, host h3.*", func() error {
			_, err := s.Overview(ctx, with(func(f *analysis.Filter) { f.Host = host }))
			return err
		}},
		{"services", func() error { _, err := s.Sources(ctx, all, analysis.LevelService); return err }},
		{"services of a domain", func() error { _, err := s.Sources(ctx, with(one), analysis.LevelService); return err }},
		{"hosts of a domain", func() error { _, err := s.Sources(ctx, with(one), analysis.LevelHost); return err }},
		{"addresses of all", func() error { _, err := s.Sources(ctx, all, analysis.LevelIP); return err }},
		{"trend", func() error { _, err := s.Trend(ctx, all); return err }},
		{"trend, DKIM domain", func() error {
			_, err := s.Trend(ctx, with(func(f *analysis.Filter) { f.DKIMDomain = analysis.Match{Any: []analysis.Pattern{"d3.example"}} }))
			return err
		}},
		{"details of a domain", func() error { _, err := s.Details(ctx, with(one)); return err }},
		{"details, network /20", func() error {
			_, err := s.Details(ctx, with(func(f *analysis.Filter) { f.IP = network }))
			return err
		}},
		{"details, host h3.*", func() error {
			_, err := s.Details(ctx, with(func(f *analysis.Filter) { f.Host = host }))
			return err
		}},
		{"totals", func() error { _, err := s.Totals(ctx, all); return err }},
		{"reporters", func() error { _, err := s.Reporters(ctx, all); return err }},
		{"reports", func() error { _, err := s.ListReports(ctx, analysis.ReportsQuery{Query: all}); return err }},
	} {
		var took []time.Duration
		cpu := processCPU(t)
		for range 5 {
			start := time.Now()
			if err := c.run(); err != nil {
				t.Fatal(c.name, err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		t.Logf("%3d days  %-24s median %8v  worst %8v  our CPU %8v", days, c.name, took[2].Round(100*time.Microsecond),
			took[4].Round(100*time.Microsecond), ((processCPU(t) - cpu) / 5).Round(100*time.Microsecond))
	}
	if *receivedPlans {
		printPlans(t, s, all)
	}
}

func timeExport(t *testing.T, s *Store) {
	t.Helper()
	to, rows, start := memory.DayOf(receivedStart), 0, time.Now()
	q := analysis.Query{Filter: analysis.Filter{From: to - 60, To: to}}
	if err := s.Export(t.Context(), q, func(*analysis.Detail) error { rows++; return nil }); err != nil {
		t.Fatal(err)
	}
	t.Logf("exported %d rows, %.0f rows/s", rows, float64(rows)/time.Since(start).Seconds())
}

// printPlans prints how the database answers the main questions.
func printPlans(t *testing.T, s *Store, q analysis.Query) {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if s.dialect.shared {
		explain = "EXPLAIN "
	}
	blocks, attention := &conditions{}, &conditions{}
	blocks.period(&q.Filter, "day", 0)
	attention.add(wantsAttention)
	attention.period(&q.Filter, "p.day", 0)
	for _, c := range []struct {
		query string
		w     *conditions
	}{
		{`SELECT day, body FROM received_blocks WHERE ` + blocks.and() + ` ORDER BY day, number`, blocks},
		{`SELECT count(*) FROM received_reports p WHERE ` + attention.and(), attention},
	} {
		query := c.query
		rows := must(s.reader.QueryContext(t.Context(), explain+query, c.w.args...))
		var lines []string
		columns := must(rows.Columns())
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprint(*values[len(values)-1].(*any)))
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n%s", query, strings.Join(lines, "\n"))
	}
}
