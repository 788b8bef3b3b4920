package resolver

import (
	"context"
	"errors"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// TestAliasToNothing: a name that is an alias exists, also where the alias leads nowhere;
// one that a DNAME makes up does not. The cache keeps which it was.
func TestAliasToNothing(t *testing.T) {
	s := dnstest.New(t, `
alias.example        CNAME nowhere.test
chain.example        CNAME alias.example
old.example          DNAME new.example
moved.example        CNAME x.old.example
there.new.example    TXT   "text"
bare.example         CNAME nowhere.test
bare.example         FAULT bare
one.example          CNAME text.example
text.example         TXT   "text"
`)
	c := open(t, Config{}, s)
	for _, q := range []struct {
		name        string
		none, exist bool
	}{
		{"alias.example", true, true},
		{"chain.example", true, true},
		{"moved.example", true, true},
		{"bare.example", true, true},
		{"x.old.example", true, false},
		{"x.y.old.example", true, false},
		{"nowhere.test", true, false},
		{"there.old.example", false, true},
		{"one.example", false, true},
		{"old.example", true, true},
	} {
		for _, from := range []string{"server", "cache"} {
			_, err := c.LookupTXT(context.Background(), name(q.name))
			if dns.IsNone(err) != q.none || err != nil && !q.none || dns.Exists(err) != q.exist {
				t.Errorf("%s, %s: %v, exists %v; want exists %v", q.name, from, err, dns.Exists(err), q.exist)
			}
		}
		zoneErr := func() error { _, err := s.Zone.LookupTXT(context.Background(), name(q.name)); return err }()
		if dns.Exists(zoneErr) != q.exist || q.name != "old.example" && q.none && !errors.Is(zoneErr, dns.ErrNXDomain) {
			t.Errorf("%s, the zone by itself: %v, exists %v", q.name, zoneErr, dns.Exists(zoneErr))
		}
	}
}
