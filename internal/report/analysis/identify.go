package analysis

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// NameResolver looks up the names of addresses.
type NameResolver interface {
	LookupPTR(ctx context.Context, addr netip.Addr) ([]dns.Name, error)
	LookupAddr(ctx context.Context, name dns.Name, v6 bool) ([]netip.Addr, error)
}

// How long a look-up of a source is valid.
const (
	nameKept    = 7 * 24 * time.Hour
	noNameKept  = 24 * time.Hour
	troubleKept = time.Hour
	maxPTRNames = 5 // of one address that are looked at; some have hundreds
)

// LookUpSource looks up the names of a source. Its host is the first forward-confirmed name
// of its reverse records; its service is the organizational domain of the host, by the public
// suffix list.
func LookUpSource(ctx context.Context, r NameResolver, source netip.Addr, now time.Time) Identity {
	out := Identity{Source: source, From: memory.DayOf(now), Service: ServiceUnknown, Again: now.Add(noNameKept)}
	names, err := r.LookupPTR(ctx, source)
	if err != nil && !dns.IsNone(err) {
		out.Unsure, out.Again = true, now.Add(troubleKept)
		return out
	}
	for i, name := range names {
		if i == maxPTRNames {
			break
		}
		if out.Claimed == "" {
			out.Claimed = name.String()
		}
		addrs, err := r.LookupAddr(ctx, name, source.Unmap().Is6())
		switch {
		case err != nil && !dns.IsNone(err):
			out.Unsure, out.Again = true, now.Add(troubleKept)
		case slices.Contains(addrs, source.Unmap()):
			out.Host, out.Service, out.Unsure, out.Again = name.String(), dmarc.ListOrg(name).String(), false, now.Add(nameKept)
			return out
		}
	}
	return out
}
