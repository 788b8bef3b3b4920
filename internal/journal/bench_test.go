package journal

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

// places are where benchmarks write: disk, and memory where there is a tmpfs.
func places(b *testing.B) map[string]string {
	out := map[string]string{"disk": b.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "journal"); err == nil {
		b.Cleanup(func() { os.RemoveAll(dir) })
		out["tmpfs"] = dir
	}
	return out
}

// nowhere is a store that takes all.
type nowhere struct{ at memory.Position }

func (s *nowhere) Position(context.Context, string) (memory.Position, error) { return s.at, nil }
func (s *nowhere) Load(_ context.Context, b memory.Batch) error {
	s.at = b.To
	return nil
}

func kibibyte(b *testing.B) []byte {
	r := newRecord(1)
	r.Helo = strings.Repeat("x", 1024-len(encode(b, r)))
	return encode(b, r)
}

// BenchmarkAppend is what a message pays, with this many sessions at once. Reported
// are also the slowest of a thousand and the slowest of all.
func BenchmarkAppend(b *testing.B) {
	for startAt, dir := range places(b) {
		for _, c := range []struct {
			name     string
			sessions int
			sink     Sink
		}{{"1", 1, nil}, {"100", 100, nil}, {"100+load", 100, &nowhere{}}} {
			b.Run(startAt+"/"+c.name, func(b *testing.B) {
				j, err := Open(Config{Dir: dir + "/" + c.name, Sink: c.sink, MaxBytes: 64 << 30})
				if err != nil {
					b.Fatal(err)
				}
				payload := kibibyte(b)
				b.SetBytes(int64(len(payload)))
				b.ReportAllocs()
				b.ResetTimer()
				took := appendFrom(b, j, payload, c.sessions)
				b.StopTimer()
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "µs-p99.9")
				b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs-max")
				if st := j.Stats(); st.Lost != (Lost{}) {
					b.Errorf("lost: %+v", st.Lost)
				}
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				j.Close(ctx)
				os.RemoveAll(dir + "/" + c.name)
			})
		}
	}
}

// appendFrom appends b.N records from so many goroutines, and returns what each
// took.
func appendFrom(b *testing.B, j *Journal, payload []byte, sessions int) []time.Duration {
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	for g := range sessions {
		wg.Go(func() {
			for i := g; i < b.N; i += sessions {
				start := time.Now()
				if err := j.Append(payload); err != nil && err != ErrLate {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	return took
}

// BenchmarkAppendPaced is what a message pays where 2,000 come each second, in 100
// sessions, while they are loaded and synced.
func BenchmarkAppendPaced(b *testing.B) {
	for startAt, dir := range places(b) {
		b.Run(startAt, func(b *testing.B) {
			j, err := Open(Config{Dir: dir + "/paced", Sink: &nowhere{}})
			if err != nil {
				b.Fatal(err)
			}
			payload := kibibyte(b)
			took := make([]time.Duration, b.N)
			var wg sync.WaitGroup
			for g := range 100 {
				wg.Go(func() {
					tick := time.NewTicker(50 * time.Millisecond)
					defer tick.Stop()
					for i := g; i < b.N; i += 100 {
						<-tick.C
						start := time.Now()
						j.Append(payload)
						took[i] = time.Since(start)
					}
				})
				time.Sleep(500 * time.Microsecond) // not all at once
			}
			wg.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
			b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "µs-p99.9")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs-max")
			b.ReportMetric(float64(j.Stats().Late), "late")
			j.Close(b.Context())
		})
	}
}

// BenchmarkLoad is the way from disk to a store that costs nothing.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	j, err := Open(Config{Dir: dir, Patience: time.Minute, MaxBytes: 64 << 30})
	if err != nil {
		b.Fatal(err)
	}
	payload := kibibyte(b)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	appendFrom(b, j, payload, 100)
	if err := j.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	j, err = Open(Config{Dir: dir, Sink: &nowhere{}})
	if err != nil {
		b.Fatal(err)
	}
	if err := j.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	j.Close(b.Context())
}

// BenchmarkCompaction turns a full segment into counts.
func BenchmarkCompaction(b *testing.B) {
	dir := b.TempDir()
	j, err := Open(Config{Dir: dir, Patience: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	records := 0
	for n := 0; j.Stats().Segments < 2; n++ {
		r := similar(n)
		r.Helo = strings.Repeat("x", 700)
		if err := j.Append(encode(b, r)); err != nil {
			b.Fatal(err)
		}
		records++
	}
	list, _ := j.index.snapshot()
	b.SetBytes(list[0].size)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		var failed error
		d, rows, err := countRecords(dir, list[0])
		if err != nil {
			b.Fatal(err)
		}
		if _, err := writeCompacted(dir, 1, d, rows, &failed); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	j.Close(b.Context())
}

// BenchmarkStats is what a page of metrics pays.
func BenchmarkStats(b *testing.B) {
	j, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close(b.Context())
	for b.Loop() {
		j.Stats()
	}
}
