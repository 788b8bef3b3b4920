package spf_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	blitiri "blitiri.com.ar/go/spf"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// benchZone needs two includes, an a and an ip4 match.
var benchZone = map[string]string{
	"example.com":       "v=spf1 include:_spf1.example.net include:_spf2.example.net a:mail.example.com ip4:192.0.2.0/24 -all",
	"_spf1.example.net": "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/25 ip6:2001:db8:1::/48 ~all",
	"_spf2.example.net": "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.128/25 ip6:2001:db8:2::/48 ~all",
}

const benchHost = "mail.example.com"

// mapResolver is the cheapest resolver there can be, so that the benchmark
// measures the check.
type mapResolver struct {
	txts  map[dns.Name][]string
	addrs map[dns.Name][]netip.Addr
}

func newMapResolver() *mapResolver {
	m := &mapResolver{txts: map[dns.Name][]string{}, addrs: map[dns.Name][]netip.Addr{}}
	for name, txt := range benchZone {
		m.txts[dns.MustParse(name)] = []string{txt}
	}
	m.addrs[dns.MustParse(benchHost)] = []netip.Addr{netip.MustParseAddr("203.0.113.77")}
	return m
}

func (m *mapResolver) LookupTXT(_ context.Context, name dns.Name) ([]string, error) {
	if t, ok := m.txts[name]; ok {
		return t, nil
	}
	return nil, dns.ErrNXDomain
}

func (m *mapResolver) LookupAddr(_ context.Context, name dns.Name, _ bool) ([]netip.Addr, error) {
	if a, ok := m.addrs[name]; ok {
		return a, nil
	}
	return nil, dns.ErrNXDomain
}

func (m *mapResolver) LookupMX(context.Context, dns.Name) ([]dns.Name, error) {
	return nil, dns.ErrNXDomain
}

func (m *mapResolver) LookupPTR(context.Context, netip.Addr) ([]dns.Name, error) {
	return nil, dns.ErrNXDomain
}

func BenchmarkCheck(b *testing.B) {
	r := newMapResolver()
	c := &spf.Checker{Resolver: r}
	req := spf.Request{IP: netip.MustParseAddr("192.0.2.77"), Helo: "mail.example.com", Local: "user", Host: "example.com"}
	b.ReportAllocs()
	for b.Loop() {
		if res := c.Check(context.Background(), req); res.Status != spf.Pass {
			b.Fatal(res)
		}
	}
}

// BenchmarkCheckPrefetch measures the cost of Prefetch if it gains nothing.
func BenchmarkCheckPrefetch(b *testing.B) {
	r := newMapResolver()
	c := &spf.Checker{Resolver: r, Prefetch: true}
	req := spf.Request{IP: netip.MustParseAddr("192.0.2.77"), Helo: "mail.example.com", Local: "user", Host: "example.com"}
	b.ReportAllocs()
	for b.Loop() {
		if res := c.Check(context.Background(), req); res.Status != spf.Pass {
			b.Fatal(res)
		}
	}
}

// stringResolver is mapResolver for blitiri.
type stringResolver struct {
	txts  map[string][]string
	addrs map[string][]net.IPAddr
}

func (m *stringResolver) LookupTXT(_ context.Context, name string) ([]string, error) {
	return m.txts[name], nil
}
func (m *stringResolver) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, nil }
func (m *stringResolver) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	return m.addrs[name], nil
}
func (m *stringResolver) LookupAddr(context.Context, string) ([]string, error) { return nil, nil }

func BenchmarkBlitiri(b *testing.B) {
	m := &stringResolver{txts: map[string][]string{}, addrs: map[string][]net.IPAddr{}}
	for name, txt := range benchZone {
		m.txts[name] = []string{txt}
	}
	m.addrs[benchHost] = []net.IPAddr{{IP: net.ParseIP("203.0.113.77")}}
	ip := net.ParseIP("192.0.2.77")
	b.ReportAllocs()
	for b.Loop() {
		res, err := blitiri.CheckHostWithSender(ip, "mail.example.com", "user@example.com", blitiri.WithResolver(m))
		if res != blitiri.Pass {
			b.Fatal(res, err)
		}
	}
}

// BenchmarkLatency has the look-ups that BenchmarkCheck has, and an mx with two
// hosts, at 20 ms each.
func BenchmarkLatency(b *testing.B) {
	z := dnstest.MustZone(`
example.com        TXT "v=spf1 include:_spf1.example.net include:_spf2.example.net a:mail.example.com mx -all"
example.com        MX 10 mx1.example.com.
example.com        MX 20 mx2.example.com.
mx1.example.com    A 203.0.113.1
mx2.example.com    A 203.0.113.2
mail.example.com   A 203.0.113.77
_spf1.example.net  TXT "v=spf1 ip4:198.51.100.0/24 ~all"
_spf2.example.net  TXT "v=spf1 ip4:198.51.100.0/24 ~all"
`)
	z.SetDelay(20 * time.Millisecond)
	req := spf.Request{IP: netip.MustParseAddr("203.0.113.2"), Local: "user", Host: "example.com"}
	for _, prefetch := range []bool{false, true} {
		b.Run(map[bool]string{false: "serial", true: "prefetch"}[prefetch], func(b *testing.B) {
			c := &spf.Checker{Resolver: z, Prefetch: prefetch}
			for b.Loop() {
				if res := c.Check(context.Background(), req); res.Status != spf.Pass {
					b.Fatal(res)
				}
			}
		})
	}
}
