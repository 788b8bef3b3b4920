package filter_test

import (
	"testing"

	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/filter"
)

// BenchmarkRecord is what it costs to make the record of a message that passed,
// and of one that failed, with its trace.
func BenchmarkRecord(b *testing.B) {
	s := load(b, "{}")
	for _, domain := range []string{"good.example", "bank.example"} {
		b.Run(domain, func(b *testing.B) {
			o := judge(b, dnstest.MustZone(zone), s, "a@"+domain, "From: a@"+domain+"\n", "bob@example.org")
			b.ReportAllocs()
			for b.Loop() {
				o.Record(filter.Remember{Settings: s, Sampled: o.Sampled()})
			}
		})
	}
}
