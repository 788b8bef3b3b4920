package analysis

import (
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/settings"
)

// Managed are the domains whose reports are ours. The zero Managed has none. It is safe for
// concurrent use.
type Managed struct {
	names map[dns.Name]struct{}
	below map[dns.Name]struct{} // names all of whose children are managed, each for itself
}

// ManagedBy returns the domains of analysis.domains or, if that is empty, those of the policy:
// its entries and its list of recipient domains.
func ManagedBy(s *settings.Settings) Managed {
	m := Managed{names: map[dns.Name]struct{}{}, below: map[dns.Name]struct{}{}}
	for _, name := range s.Analysis.Domains {
		m.names[name] = struct{}{}
	}
	if len(m.names) > 0 {
		return m
	}
	for name := range s.Policy.Domains {
		m.names[name] = struct{}{}
	}
	for _, pattern := range s.Policy.Managed.Patterns() {
		text, wildcard := strings.CutPrefix(pattern, "*.")
		name, err := dns.Parse(text)
		switch {
		case err != nil: // "all", which names nothing
		case wildcard:
			m.below[name] = struct{}{}
		default:
			m.names[name] = struct{}{}
		}
	}
	return m
}

// Empty reports whether no domain is managed.
func (m Managed) Empty() bool { return len(m.names) == 0 && len(m.below) == 0 }

// Names returns the managed domains known by name, sorted.
func (m Managed) Names() []dns.Name {
	var out []dns.Name
	for name := range m.names {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b dns.Name) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// Owner returns the managed domain that a name belongs to: itself or the nearest above it;
// zero for none.
func (m Managed) Owner(name dns.Name) dns.Name {
	for n := name; !n.IsZero(); n = n.Parent() {
		if _, ok := m.names[n]; ok {
			return n
		}
		if _, ok := m.below[n.Parent()]; ok {
			return n
		}
	}
	return dns.Name{}
}

// OurAddress is an address of ours that receives reports.
type OurAddress struct {
	Address string // local@host, its host in lower case
	Own     bool   // for this domain, or its customer, only
}

// OurAddresses returns our addresses for reports on a managed domain: its own first, then
// those shared by all.
func OurAddresses(s *settings.Settings, domain dns.Name) []OurAddress {
	var own, shared []OurAddress
	for _, a := range s.Analysis.Addresses {
		if a.DomainsByLocalPart == nil {
			shared = append(shared, OurAddress{Address: a.Address})
			continue
		}
		_, host, _ := strings.Cut(a.Address, "@")
		for local, domains := range a.DomainsByLocalPart {
			if covers(domains, domain) {
				own = append(own, OurAddress{Address: local + "@" + host, Own: true})
			}
		}
	}
	slices.SortFunc(own, func(a, b OurAddress) int { return strings.Compare(a.Address, b.Address) })
	return append(own, shared...)
}

// Customer returns the domains whose reports may come to an address of ours; any if some is
// true and the list empty. some is false if the address is not ours.
func Customer(s *settings.Settings, address string) (domains []dns.Name, some bool) {
	at := strings.LastIndexByte(address, '@')
	local, host := strings.ToLower(address[:max(at, 0)]), strings.ToLower(address[at+1:])
	for _, a := range s.Analysis.Addresses {
		i := strings.LastIndexByte(a.Address, '@')
		switch {
		case !strings.EqualFold(a.Address[i+1:], host):
		case a.DomainsByLocalPart != nil:
			if list, ok := a.DomainsByLocalPart[local]; ok {
				return list, true
			}
		case strings.EqualFold(a.Address[:max(i, 0)], local):
			return nil, true
		}
	}
	return nil, false
}

// covers reports whether a domain is in a list or below an entry of it.
func covers(list []dns.Name, domain dns.Name) bool {
	return slices.ContainsFunc(list, func(n dns.Name) bool { return n == domain || domain.IsBelow(n) })
}
