package source_test

import (
	"net/netip"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/report/source"
)

func TestCover(t *testing.T) {
	zone, err := dnstest.ParseZone(`
acme.example.       TXT "v=spf1 ip4:192.0.2.0/28 include:_spf.google.com -all"
_spf.google.com.    TXT "v=spf1 include:_netblocks.google.com ~all"
_netblocks.google.com. TXT "v=spf1 ip4:203.0.113.0/24 ~all"
open.example.       TXT "v=spf1 +all"
macro.example.      TXT "v=spf1 exists:%{i}.list.example -all"
7.2.0.192.list.example. A 127.0.0.2
none.example.       A 192.0.2.1
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, domain, addr string
		ok                 bool
		last               string
	}{
		{"own", "acme.example", "192.0.2.7", true, "acme.example"},
		{"included", "acme.example", "203.0.113.9", true, "_netblocks.google.com"},
		{"not covered", "acme.example", "198.51.100.1", false, ""},
		{"everybody is covered", "open.example", "192.0.2.7", false, ""},
		{"a macro", "macro.example", "192.0.2.7", false, ""},
		{"no record", "none.example", "192.0.2.1", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok, err := source.Cover(t.Context(), zone, dns.MustParse(c.domain), netip.MustParseAddr(c.addr))
			if err != nil || ok != c.ok {
				t.Fatalf("got %+v, %v, %v", got, ok, err)
			}
			if ok && got.Chain[len(got.Chain)-1].String() != c.last {
				t.Errorf("chain %v, want %s last", got.Chain, c.last)
			}
		})
	}
}
