package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// benchRowsEnv is how many messages the benchmarks of reads have: 200,000 if unset.
const benchRowsEnv = "DMARCD_BENCH_RECORDS"

func benchRows(b *testing.B) int {
	text := os.Getenv(benchRowsEnv)
	if text == "" {
		return 200_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// eachBench is eachDialect for benchmarks.
func eachBench(b *testing.B, bench func(b *testing.B, db database)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, sqliteDatabase(b)) })
	b.Run("postgres", func(b *testing.B) { bench(b, postgresDatabase(b)) })
}

// BenchmarkLoad loads batches of 2,000 records, as the journal makes them when there
// are many, one in eight with a trace; ns/op is for one record.
func BenchmarkLoad(b *testing.B) {
	eachBench(b, func(b *testing.B, db database) {
		const size = 2000
		s, d := db.open(b), newTraffic(1, 2000)
		var batches [][]memory.Record
		for i := range min(b.N/size+1, 150) {
			batches = append(batches, d.batch(size, epoch0.Add(time.Duration(i)*2*time.Second), 2*time.Second))
		}
		at := memory.Position{}
		cpu := cpuTime(b)
		b.ResetTimer()
		for done := 0; done < b.N; done += size {
			batch := next("a", at, batches[(done/size)%len(batches)])
			if err := s.Load(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
			at = batch.To
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/record")
	})
}

// cpuTime is what this process has used: on a machine that others use too it says
// more than the clock. PostgreSQL's share is not in it.
func cpuTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// filled is a store with many messages over thirty days, 2,000 policy domains.
func filled(b *testing.B, db database) (*Store, int) {
	n := benchRows(b)
	s, d := db.open(b), newTraffic(1, 2000)
	start := time.Now()
	const chunk = 2000
	span := 30 * 24 * time.Hour / time.Duration((n+chunk-1)/chunk)
	for i := 0; i*chunk < n; i++ {
		load(b, s, "a", d.batch(min(chunk, n-i*chunk), epoch0.Add(time.Duration(i)*span), span))
	}
	took := time.Since(start)
	size, err := s.Size(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%s: %d records in %v: %.0f records/s, %d bytes each", db.kind, n, took.Round(time.Second), float64(n)/took.Seconds(), size/int64(n))
	if db.kind == "postgres" {
		rawChange(b, s, `ANALYZE`)
	}
	return s, n
}

// BenchmarkRead measures reads of a large store: its size is DMARCD_BENCH_RECORDS.
func BenchmarkRead(b *testing.B) {
	eachBench(b, func(b *testing.B, db database) {
		s, n := filled(b, db)
		ctx := context.Background()
		sample, err := s.Search(ctx, memory.Query{Until: epoch0.Add(15 * 24 * time.Hour), Limit: 200})
		if err != nil || len(sample.Found) == 0 {
			b.Fatal(err)
		}
		pick := func(i int) *memory.Record { return sample.Found[i%len(sample.Found)].Record }
		rare := dns.MustParse("sender1999.example")
		run := func(name string, do func(i int) error) {
			b.Run(name, func(b *testing.B) {
				times := make([]time.Duration, 0, b.N)
				for i := range b.N {
					start := time.Now()
					if err := do(i); err != nil {
						b.Fatal(err)
					}
					times = append(times, time.Since(start))
				}
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)*95/100].Microseconds())/1000, "p95-ms")
			})
		}
		run("Find/queue", func(i int) error { _, err := s.Find(ctx, pick(i).QueueID, 20); return err })
		run("Find/message", func(i int) error { _, err := s.Find(ctx, "<"+pick(i).MessageID+">", 20); return err })
		run("Find/nothing", func(i int) error { _, err := s.Find(ctx, fmt.Sprint("none", i), 20); return err })
		search := func(q memory.Query) func(int) error {
			return func(int) error { _, err := s.Search(ctx, q); return err }
		}
		net := func(p string) netip.Prefix { return netip.MustParsePrefix(p) }
		run("Search/all", search(memory.Query{}))
		run("Search/domain", search(memory.Query{Domain: pick(0).Verdict.DMARC.Author}))
		run("Search/rare-domain", search(memory.Query{Domain: rare}))
		run("Search/ours", search(memory.Query{Domain: dns.MustParse("ours3.example")}))
		run("Search/ours-and-reject", search(memory.Query{Domain: dns.MustParse("ours3.example"), Action: "reject"}))
		run("Search/rare-and-ours", search(memory.Query{Domain: rare, Recipients: []dns.Name{dns.MustParse("ours3.example")}}))
		run("Search/ours-and-no-such-action", search(memory.Query{Domain: dns.MustParse("ours3.example"), Action: "discard"}))
		run("Search/viewer", search(memory.Query{Recipients: []dns.Name{dns.MustParse("ours3.example"), dns.MustParse("ours4.example")}}))
		run("Search/client", search(memory.Query{Client: net("192.0.7.2/32")}))
		run("Search/net24", search(memory.Query{Client: net("192.0.7.0/24")}))
		run("Search/net8", search(memory.Query{Client: net("192.0.0.0/8")}))
		run("Search/net8-no-such-action", search(memory.Query{Client: net("192.0.0.0/8"), Action: "discard"}))
		run("Search/reject", search(memory.Query{Action: "reject"}))
		run("Search/result", search(memory.Query{Result: "fail"}))
		run("Search/no-such-result", search(memory.Query{Result: "temperror"}))
		run("Count", func(int) error { _, err := s.Count(ctx, time.Time{}, time.Time{}); return err })
		run("Domains", func(int) error {
			_, err := s.Reports().Domains(ctx, memory.DayOf(epoch0)+15, dns.Name{}, 500)
			return err
		})
		b.Run("Records", func(b *testing.B) { // of the first hundred thousand
			enough := errors.New("enough")
			most := min(n, 100_000)
			for range b.N {
				got := 0
				err := s.Records(ctx, time.Time{}, time.Time{}, func(*memory.Record) error {
					if got++; got == most {
						return enough
					}
					return nil
				})
				if err != enough {
					b.Fatal(got, err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(most)/b.Elapsed().Seconds(), "records/s")
		})
	})
}

// BenchmarkAggregateDay writes and reads a day of 100,000 rows over 2,000 domains.
func BenchmarkAggregateDay(b *testing.B) {
	eachBench(b, func(b *testing.B, db database) {
		s := db.open(b)
		ctx := context.Background()
		at := memory.Position{}
		for i := range b.N {
			day := memory.DayOf(epoch0) + memory.Day(i)
			for part := range 100 {
				batch := next("a", at, nil)
				for row := range 1000 {
					n := part*1000 + row
					domain := fmt.Sprintf("sender%d.example", n%2000)
					batch.Aggregates = append(batch.Aggregates, memory.Aggregate{
						Day: day, PolicyDomain: dns.MustParse(domain), Record: "v=DMARC1; p=reject; rua=mailto:d@" + domain,
						Row: fmt.Sprintf("192.0.2.%d|%s|pass|pass|some more of a key, as long as they usually are|%d", n%250, domain, n/2000), Count: 1, Last: day.Begin().Unix(),
					})
				}
				if err := s.Load(ctx, batch); err != nil {
					b.Fatal(err)
				}
				at = batch.To
			}
			wrote := b.Elapsed()
			domains, err := s.Reports().Domains(ctx, day, dns.Name{}, 3000)
			if err != nil || len(domains) != 2000 {
				b.Fatal(len(domains), err)
			}
			for _, d := range domains {
				if _, err := s.Reports().Rows(ctx, day, d.Domain, false, 0, 4096); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((b.Elapsed() - wrote).Seconds(), "s/read")
		}
		if db.kind == "sqlite" {
			info, err := os.Stat(filepath.Join(db.dir, "test.db"))
			if err == nil {
				b.ReportMetric(float64(info.Size())/float64(b.N)/100_000, "bytes/row")
			}
		}
	})
}
