package resolver

import (
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// TestLookupTTL asks past the cache, and tells for how long others may keep the
// answer, however short we keep it.
func TestLookupTTL(t *testing.T) {
	zone := dnstest.MustZone(`day.example 86400 TXT "old"`)
	server, err := dnstest.Start("127.0.0.1:0", zone)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := open(t, Config{}, server)
	if got, err := c.LookupTXT(t.Context(), name("day.example")); err != nil || got[0] != "old" {
		t.Fatalf("got %v, %v", got, err)
	}
	zone.Remove(name("day.example"))
	if err := zone.Add(`day.example 86400 TXT "new"`); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.LookupTXT(t.Context(), name("day.example")); got[0] != "old" {
		t.Errorf("the cache says %q", got)
	}
	if got, ttl, err := c.LookupTTL(t.Context(), name("day.example")); err != nil || got[0] != "new" || ttl != 24*time.Hour {
		t.Errorf("got %q, %v, %v", got, ttl, err)
	}
	if _, _, err := c.LookupTTL(t.Context(), dns.Name{}); !dns.IsNone(err) {
		t.Errorf("no name: %v", err)
	}
}
