package source

import (
	"context"
	"net/netip"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// Cover evaluates a managed domain's SPF record for an address. It returns a Covered, and ok
// if the record lets the address send; it returns an error if that is currently unknown. A
// match of "all", or of a mechanism with a macro, identifies nobody and does not count.
func Cover(ctx context.Context, r spf.Resolver, domain dns.Name, addr netip.Addr) (c Covered, ok bool, err error) {
	checker := spf.Checker{Resolver: r}
	res := checker.Check(ctx, spf.Request{IP: addr, Local: "postmaster", Host: domain.String(), Helo: domain.String()})
	switch {
	case res.Status == spf.TempError:
		return Covered{}, false, res.Err
	case res.Status != spf.Pass || !names(res.Mechanism):
		return Covered{}, false, nil
	}
	c = Covered{Domain: domain, Term: res.Mechanism}
	for _, text := range res.Chain {
		name, err := dns.Parse(text)
		if err != nil {
			continue // made by a macro
		}
		c.Chain = append(c.Chain, name)
	}
	return c, len(c.Chain) > 0, nil
}

// names reports whether a mechanism by itself distinguishes some addresses from others.
func names(mechanism string) bool {
	for i := 0; i < len(mechanism); i++ {
		if mechanism[i] == '%' {
			return false
		}
	}
	return mechanism != "" && mechanism != "all" && mechanism != "+all"
}
