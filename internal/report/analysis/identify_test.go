package analysis

import (
	"net/netip"
	"testing"
	"time"

	"dmarcd/internal/dns/dnstest"
)

func TestLookUpSource(t *testing.T) {
	zone := dnstest.MustZone(`
1.2.0.192.in-addr.arpa PTR mail.mailer.co.uk
mail.mailer.co.uk A 192.0.2.1
2.2.0.192.in-addr.arpa PTR liar.google.com
liar.google.com A 203.0.113.1
3.2.0.192.in-addr.arpa PTR nowhere.example
3.2.0.192.in-addr.arpa PTR second.example
second.example A 192.0.2.3
4.2.0.192.in-addr.arpa FAULT servfail
5.2.0.192.in-addr.arpa PTR away.example
away.example FAULT servfail
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.mailer.example
six.mailer.example AAAA 2001:db8::1
`)
	now := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	for source, want := range map[string]struct {
		host, claimed, service string
		unsure                 bool
		again                  time.Duration
	}{
		"192.0.2.1":   {"mail.mailer.co.uk", "mail.mailer.co.uk", "mailer.co.uk", false, 7 * 24 * time.Hour},
		"192.0.2.2":   {"", "liar.google.com", "unknown", false, 24 * time.Hour},
		"192.0.2.3":   {"second.example", "nowhere.example", "second.example", false, 7 * 24 * time.Hour},
		"192.0.2.4":   {"", "", "unknown", true, time.Hour},
		"192.0.2.5":   {"", "away.example", "unknown", true, time.Hour},
		"192.0.2.9":   {"", "", "unknown", false, 24 * time.Hour},
		"2001:db8::1": {"six.mailer.example", "six.mailer.example", "mailer.example", false, 7 * 24 * time.Hour},
	} {
		got := LookUpSource(t.Context(), zone, netip.MustParseAddr(source), now)
		if got.Host != want.host || got.Claimed != want.claimed || got.Service != want.service || got.Unsure != want.unsure || got.Again.Sub(now) != want.again {
			t.Errorf("%s: %+v", source, got)
		}
	}
}
