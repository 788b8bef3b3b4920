package resolver

import (
	"context"
	"fmt"
	"testing"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// BenchmarkHit is the common case: the answer is kept.
func BenchmarkHit(b *testing.B) {
	srv := dnstest.New(b, "*.example TXT \"v=DMARC1; p=reject\"")
	c := open(b, Config{CacheEntries: 200000}, srv)
	var names []dns.Name
	for i := range 200 {
		names = append(names, name(fmt.Sprintf("_dmarc.n%d.example", i)))
		if _, err := c.LookupTXT(context.Background(), names[i]); err != nil {
			b.Fatal(err)
		}
	}
	gone := name("_dmarc.gone.test")
	for what, ask := range map[string]func(i int) dns.Name{
		"one name":   func(int) dns.Name { return names[0] },
		"200 names":  func(i int) dns.Name { return names[i%len(names)] },
		"no records": func(int) dns.Name { return gone },
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, _ = c.LookupTXT(context.Background(), ask(i))
			}
		})
		b.Run(what+", parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					_, _ = c.LookupTXT(context.Background(), ask(i))
				}
			})
		})
	}
}

// BenchmarkMiss asks the server each time. The server's own work, in the same
// process, is most of it.
func BenchmarkMiss(b *testing.B) {
	srv := dnstest.New(b, "*.example 0 TXT \"v=DMARC1; p=reject\"")
	c := open(b, Config{}, srv)
	for _, how := range []string{"reused socket", "fresh socket"} {
		b.Run(how, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if how == "fresh socket" {
					c.servers[0].close()
				}
				if _, err := c.LookupTXT(context.Background(), name("_dmarc.example")); err != nil {
					b.Fatal(err)
				}
				c.servers[0].closed = false
			}
		})
	}
}

func BenchmarkAnswer(b *testing.B) {
	msg := message(b, mdns.TypeTXT, 0, `a.example. 60 IN TXT "v=DMARC1; p=reject"`)
	q := mustQuery(b, "a.example", mdns.TypeTXT)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := judge(msg, q); err != nil {
			b.Fatal(err)
		}
	}
}
