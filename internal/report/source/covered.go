package source

import (
	"context"
	"net/netip"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// Cover evaluates a managed domain's SPF record for an address. It gives a Covered with
// ok where the record lets the address send, and an error where that cannot be found
// out now. A match of "all", or of a mechanism with a macro, names nobody and is none.
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

// names tells whether a mechanism tells some addresses from others by itself.
func names(mechanism string) bool {
	for i := 0; i < len(mechanism); i++ {
		if mechanism[i] == '%' {
			return false
		}
	}
	return mechanism != "" && mechanism != "all" && mechanism != "+all"
}
