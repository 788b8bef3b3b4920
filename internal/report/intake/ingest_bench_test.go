package intake

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

var (
	ingestMails    = flag.Int("ingest.mails", 3000, "report mails that the benchmark of ingest makes")
	ingestPostgres = flag.Bool("ingest.postgres", false, "let the benchmark of ingest use the PostgreSQL of scripts/with-postgres")
)

// generator makes report mails like those of a small provider: most with one or two
// records, few with thousands.
type generator struct {
	rng     *rand.Rand
	domains []string
	sources []string
	n       int
	z       *gzip.Writer
}

func newGenerator() *generator {
	g := &generator{rng: rand.New(rand.NewPCG(7, 11)), z: gzip.NewWriter(nil)}
	for i := range 30 {
		g.domains = append(g.domains, fmt.Sprintf("customer%02d.example", i))
	}
	for i := range 20_000 {
		g.sources = append(g.sources, fmt.Sprintf("%d.%d.%d.%d", 20+i>>14, i>>8&63, i&255, 1+i%250))
	}
	return g
}

// mail gives the next mail and how many records it has.
func (g *generator) mail() ([]byte, int) {
	g.n++
	records := min(1+int(math.Pow(1/(1-g.rng.Float64()), 0.8)*0.9), 3000)
	domain := g.domains[g.rng.IntN(len(g.domains))]
	day := 1764547200 + g.n/300*86400
	var xml bytes.Buffer
	fmt.Fprintf(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n <version>1.0</version>\n <report_metadata>\n  <org_name>Reporter %d</org_name>\n  <email>dmarc@r%d.example</email>\n"+
		"  <report_id>%d.%s</report_id>\n  <date_range>\n   <begin>%d</begin>\n   <end>%d</end>\n  </date_range>\n </report_metadata>\n <policy_published>\n  <domain>%s</domain>\n"+
		"  <adkim>r</adkim>\n  <aspf>r</aspf>\n  <p>quarantine</p>\n  <sp>quarantine</sp>\n  <pct>100</pct>\n </policy_published>\n", g.n%200, g.n%200, g.n, domain, day, day+86399, domain)
	for range records {
		word := []string{"pass", "pass", "pass", "fail"}[g.rng.IntN(4)]
		fmt.Fprintf(&xml, " <record>\n  <row>\n   <source_ip>%s</source_ip>\n   <count>%d</count>\n   <policy_evaluated>\n    <disposition>none</disposition>\n    <dkim>%s</dkim>\n    <spf>pass</spf>\n"+
			"   </policy_evaluated>\n  </row>\n  <identifiers>\n   <header_from>%s</header_from>\n   <envelope_from>bounce.%s</envelope_from>\n  </identifiers>\n  <auth_results>\n   <dkim>\n    <domain>%s</domain>\n"+
			"    <selector>s%d</selector>\n    <result>%s</result>\n   </dkim>\n   <spf>\n    <domain>bounce.%s</domain>\n    <scope>mfrom</scope>\n    <result>pass</result>\n   </spf>\n  </auth_results>\n </record>\n",
			g.sources[int(float64(len(g.sources))*math.Pow(g.rng.Float64(), 3))], 1+g.rng.IntN(20), word, domain, domain, domain, g.rng.IntN(3), word, domain)
	}
	xml.WriteString("</feedback>\n")
	var packed bytes.Buffer
	g.z.Reset(&packed)
	_, _ = g.z.Write(xml.Bytes()) // a buffer takes all
	_ = g.z.Close()
	name := fmt.Sprintf("r%d.example!%s!%d!%d.xml.gz", g.n%200, domain, day, day+86399)
	mail := strings.NewReplacer("dmarc@reporter.example", fmt.Sprintf("dmarc@r%d.example", g.n%200)).Replace(attached("application/gzip", name, packed.String()))
	return []byte(mail), records
}

// mailbox writes n mails to an mbox file, and counts their records.
func (g *generator) mailbox(tb testing.TB, n int) (path string, records int) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "reports.mbox")
	f, err := os.Create(path)
	must(tb, err)
	out := bufio.NewWriter(f)
	for range n {
		mail, some := g.mail()
		records += some
		must(tb, second(out.WriteString("From reporter@example Mon Jun  1 00:00:00 2026\n")))
		must(tb, second(out.Write(bytes.ReplaceAll(mail, []byte("\r\n"), []byte("\n")))))
		must(tb, second(out.WriteString("\n")))
	}
	must(tb, out.Flush())
	must(tb, f.Close())
	return path, records
}

// benchStore is SQLite, or the PostgreSQL of scripts/with-postgres where
// -ingest.postgres says so.
func benchStore(b *testing.B) *store.Store {
	b.Helper()
	url := "sqlite:ingest.db"
	if *ingestPostgres {
		url = os.Getenv("DMARCD_TEST_POSTGRES")
	}
	s, err := store.Open(b.Context(), store.Config{URL: url, Dir: b.TempDir()})
	must(b, err)
	b.Cleanup(func() { _ = s.Close() })
	must(b, s.Ready(b.Context()))
	return s
}

// BenchmarkIngest takes generated mails from an mbox file into the store, and says how
// fast. -ingest.mails says how many; 100,000 are the aim's.
func BenchmarkIngest(b *testing.B) {
	s := benchStore(b)
	g := newGenerator()
	file, records := g.mailbox(b, *ingestMails)
	config := settings.Default("mx.example.org")
	config.Analysis.Domains = names(g.domains...)
	path := NewPath(Config{Store: s, Settings: func() *settings.Settings { return config }, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	ended := make(chan struct{})
	began, used := time.Now(), cpu(b)
	go func() { path.Run(context.Background()); close(ended) }()
	in, err := os.Open(file)
	must(b, err)
	must(b, Split(file, in, defaults.MailBytes, func(u Unit) error {
		return path.Put(b.Context(), Entry{Input: u.input("bench", time.Now()), Origin: Origin{Admin: true}, Done: func(Outcome) {}})
	}))
	path.Close()
	<-ended
	took := time.Since(began)
	if st := path.Stats(); st.Reports[analysis.StatusStored] != uint64(*ingestMails) || st.Records != uint64(records) {
		b.Fatalf("%+v, want %d records", st, records)
	}
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	b.ReportMetric(float64(*ingestMails)/took.Seconds(), "reports/s")
	b.ReportMetric(float64(records)/took.Seconds(), "records/s")
	b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(records), "cpu-µs/record")
	b.ReportMetric(float64(u.Maxrss>>10), "MB")
	b.ReportMetric(0, "ns/op")
	b.Logf("%d mails, %d records in %v; load %.1f", *ingestMails, records, took.Round(time.Millisecond), loadAverage())
}
