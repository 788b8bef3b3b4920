package intake

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/intake/intaketest"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

var (
	ingestMails    = flag.Int("ingest.mails", 3000, "report mails that the benchmark of ingest makes")
	ingestPostgres = flag.Bool("ingest.postgres", false, "let the benchmark of ingest use the PostgreSQL of scripts/with-postgres")
)

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
	g := intaketest.NewGenerator(7)
	file := filepath.Join(b.TempDir(), "reports.mbox")
	records, err := g.Mailbox(file, *ingestMails)
	must(b, err)
	config := settings.Default("mx.example.org")
	config.Analysis.Domains = names(g.Domains...)
	path := NewPath(Config{Store: s, Settings: func() *settings.Settings { return config }, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	ended := make(chan struct{})
	began, used := time.Now(), cpu(b)
	go func() { path.Run(context.Background()); close(ended) }()
	in, err := os.Open(file)
	must(b, err)
	must(b, Split(file, in, defaults.MailBytes, func(u Unit) error {
		return path.Put(b.Context(), Entry{Input: u.input("bench", time.Now()), Origin: Origin{Admin: true}, Done: func(ItemResult) {}})
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
