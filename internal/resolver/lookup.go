package resolver

import (
	"context"
	"net/netip"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

// LookupTXT returns the TXT records of name as raw octets, the character-strings of each
// joined without a separator (RFC 7208 section 3.3). The slice is shared with other
// callers: do not change it. An error is a *dns.Error that wraps dns.ErrNXDomain,
// dns.ErrNoData or dns.ErrTemporary.
func (c *Client) LookupTXT(ctx context.Context, name dns.Name) ([]string, error) {
	r := c.lookup(ctx, name, mdns.TypeTXT)
	return r.txt, r.err
}

// LookupTTL is LookupTXT without the cache. It also returns how long the caller may keep
// the answer.
func (c *Client) LookupTTL(ctx context.Context, name dns.Name) ([]string, time.Duration, error) {
	k := key{name, mdns.TypeTXT}
	if name.IsZero() {
		return nil, 0, failed(k, dns.ErrNXDomain).err
	}
	r, ttl := c.place(ctx, k)
	return r.txt, ttl, r.err
}

// Cached is LookupTXT for names in the cache; ok is false if a query is needed. It never
// waits.
func (c *Client) Cached(name dns.Name) (texts []string, err error, ok bool) {
	if name.IsZero() {
		return nil, nil, false
	}
	k := key{name, mdns.TypeTXT}
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.get(k, c.now())
	if r == nil {
		return nil, nil, false
	}
	s.stats.Hits++
	return r.txt, r.err, true
}

// LookupAddr returns the A records of name, or the AAAA records if v6. Slice and errors
// are as for LookupTXT.
func (c *Client) LookupAddr(ctx context.Context, name dns.Name, v6 bool) ([]netip.Addr, error) {
	qtype := mdns.TypeA
	if v6 {
		qtype = mdns.TypeAAAA
	}
	r := c.lookup(ctx, name, qtype)
	return r.addrs, r.err
}

// LookupMX returns the hosts of the MX records of name by preference. Slice and errors are
// as for LookupTXT. It omits the null MX (RFC 7505) and hosts that no dns.Name can hold,
// so the list may be empty without an error. It takes the first 500 records.
func (c *Client) LookupMX(ctx context.Context, name dns.Name) ([]dns.Name, error) {
	r := c.lookup(ctx, name, mdns.TypeMX)
	return r.names, r.err
}

// LookupPTR returns the names of the PTR records of addr, with the same bounds as
// LookupMX. An IPv4-mapped IPv6 address counts as IPv4.
func (c *Client) LookupPTR(ctx context.Context, addr netip.Addr) ([]dns.Name, error) {
	r := c.lookup(ctx, reverse(addr), mdns.TypePTR)
	return r.names, r.err
}

// reverse is the name of an address's PTR records (RFC 1035 section 3.5 and RFC 3596
// section 2.5); the zero Name for the zero Addr.
func reverse(addr netip.Addr) dns.Name {
	if !addr.IsValid() {
		return dns.Name{}
	}
	addr = addr.Unmap().WithZone("")
	text, suffix := addr.String(), ".in-addr.arpa"
	sep := "."
	if addr.Is6() {
		text, suffix = strings.ReplaceAll(addr.StringExpanded(), ":", ""), ".ip6.arpa"
		sep = ""
	}
	parts := strings.Split(text, sep)
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	name, err := dns.Parse(strings.Join(parts, ".") + suffix)
	if err != nil {
		return dns.Name{}
	}
	return name
}
