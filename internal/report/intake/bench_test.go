package intake

import (
	"bytes"
	"io"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRead reads reports of 10,000 records in gzip.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name string
		h    func() []byte
	}{
		{"equal", func() []byte { return made(b, inGzip(whole(repeat(record("192.0.2.1", 1), 10_000)))) }},
		{"signatures", func() []byte { return made(b, inGzip(whole(distinct(500, manySignatures)))) }},
		{"tags", func() []byte { return made(b, inGzip(whole(repeat("<a b='c'/>", 1<<20)))) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			raw := string(c.h())
			b.ReportAllocs()
			begin := cpu(b)
			for b.Loop() {
				read(b, raw, false)
			}
			b.ReportMetric(float64(cpu(b)-begin)/float64(b.N)/1000, "cpu-µs/op")
		})
	}
}

func made(tb testing.TB, step func(io.Writer) error) []byte {
	tb.Helper()
	var out bytes.Buffer
	must(tb, step(&out))
	return out.Bytes()
}

// cpu is what the process has taken, the garbage collector included.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	must(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
