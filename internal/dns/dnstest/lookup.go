package dnstest

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

// LookupTXT gives the TXT records of name, the character-strings of each joined.
func (z *Zone) LookupTXT(ctx context.Context, name dns.Name) ([]string, error) {
	records, err := z.lookup(ctx, name, mdns.TypeTXT)
	var out []string
	for _, rr := range records {
		data, err := rdata(rr)
		if err != nil {
			return nil, err
		}
		out = append(out, characterStrings(data))
	}
	return out, err
}

// LookupAddr gives the A records of name, or the AAAA records if v6.
func (z *Zone) LookupAddr(ctx context.Context, name dns.Name, v6 bool) ([]netip.Addr, error) {
	typ := mdns.TypeA
	if v6 {
		typ = mdns.TypeAAAA
	}
	records, err := z.lookup(ctx, name, typ)
	var out []netip.Addr
	for _, rr := range records {
		data, err := rdata(rr)
		if err != nil {
			return nil, err
		}
		if addr, ok := netip.AddrFromSlice(data); ok {
			out = append(out, addr)
		}
	}
	return out, err
}

// LookupMX gives the hosts of the MX records of name by preference. The null MX
// and hosts that no Name can hold are left out; that may leave an empty list
// without an error.
func (z *Zone) LookupMX(ctx context.Context, name dns.Name) ([]dns.Name, error) {
	records, err := z.lookup(ctx, name, mdns.TypeMX)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(records, func(a, b mdns.RR) int {
		return cmp.Compare(a.(*mdns.MX).Preference, b.(*mdns.MX).Preference)
	})
	return hosts(records, func(rr mdns.RR) string { return rr.(*mdns.MX).Mx })
}

// LookupPTR gives the names of the PTR records of addr; those that no Name can
// hold are left out.
func (z *Zone) LookupPTR(ctx context.Context, addr netip.Addr) ([]dns.Name, error) {
	records, err := z.lookup(ctx, reverse(addr), mdns.TypePTR)
	if err != nil {
		return nil, err
	}
	return hosts(records, func(rr mdns.RR) string { return rr.(*mdns.PTR).Ptr })
}

func hosts(records []mdns.RR, of func(mdns.RR) string) ([]dns.Name, error) {
	out := []dns.Name{}
	for _, rr := range records {
		key, err := pack(of(rr))
		if err != nil {
			return nil, err
		}
		if n, ok := host(key); ok {
			out = append(out, n)
		}
	}
	return out, nil
}

// lookup gives the records of the type asked for, aliases followed, or an error
// as the resolver would.
func (z *Zone) lookup(ctx context.Context, name dns.Name, qtype uint16) ([]mdns.RR, error) {
	fail := func(reason error, alias bool) ([]mdns.RR, error) {
		return nil, &dns.Error{Name: name, Type: mdns.TypeToString[qtype], Err: reason, Alias: alias}
	}
	if name.IsZero() {
		return fail(dns.ErrNXDomain, false)
	}
	a := z.ask(wire(name), qtype, false)
	reason := a.wait(ctx)
	if reason != nil {
		reason = fmt.Errorf("%w: %w", dns.ErrTemporary, reason)
	} else {
		reason = a.reason(qtype)
	}
	if reason != nil {
		return fail(reason, reason == dns.ErrNXDomain && a.isAlias())
	}
	return slices.DeleteFunc(a.records, func(rr mdns.RR) bool { return rr.Header().Rrtype != qtype }), nil
}

// reason is why the answer gives no records; nil if it gives some.
func (a *answer) reason(qtype uint16) error {
	switch a.kind {
	case NXDomain:
		return dns.ErrNXDomain
	case NoData:
		return dns.ErrNoData
	case Timeout, ServFail, Refused, Garbage, WrongID, WrongQuestion:
		return fmt.Errorf("%w: %s", dns.ErrTemporary, a.kind)
	case Huge:
		if qtype != mdns.TypeMX && qtype != mdns.TypePTR {
			return fmt.Errorf("%w: over %d records or %d octets", dns.ErrTemporary, maxRecords, maxBytes)
		}
		a.records = a.records[:maxRecords]
	}
	if a.loop || a.aliases > maxFollowed {
		return fmt.Errorf("%w: CNAME loop, or over %d aliases", dns.ErrTemporary, maxFollowed)
	}
	if a.rcode == mdns.RcodeNameError {
		return dns.ErrNXDomain
	}
	if !slices.ContainsFunc(a.records, func(rr mdns.RR) bool { return rr.Header().Rrtype == qtype }) {
		return dns.ErrNoData
	}
	return nil
}
