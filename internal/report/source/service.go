package source

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
)

// Kind is what a service does.
type Kind string

// Kinds. KindOwn is that of own infrastructure, not of a service.
const (
	KindMailbox    Kind = "mailbox"    // mailboxes of people or companies
	KindDelivery   Kind = "delivery"   // sends what programs submit
	KindMarketing  Kind = "marketing"  // newsletters and campaigns
	KindBusiness   Kind = "business"   // software that also sends mail
	KindSecurity   Kind = "security"   // filters through which mail passes
	KindForwarding Kind = "forwarding" // forwards mail to other mailboxes
	KindLists      Kind = "lists"      // mailing lists
	KindHosting    Kind = "hosting"    // servers and web sites of customers
	KindAccess     Kind = "access"     // Internet access, and its customers' mailboxes
	KindOther      Kind = "other"      // an organization of no other kind
	KindOwn        Kind = "own"
)

// kinds are those of services.
var kinds = [...]Kind{
	KindMailbox, KindDelivery, KindMarketing, KindBusiness, KindSecurity, KindForwarding, KindLists, KindHosting, KindAccess, KindOther,
}

// Sends reports whether a service of that kind sends mail for its customers itself, so that
// mail from it is not forwarded mail.
func (k Kind) Sends() bool { return k == KindDelivery || k == KindMarketing || k == KindBusiness }

// Service is one row of the map.
type Service struct {
	Domain    dns.Name // its key
	Label     string   // for people
	Kind      Kind
	Hosts     []dns.Name // further suffixes of its hosts' names; Domain is one
	Signers   []dns.Name // further domains of its signatures and return paths; Domain is one
	Includes  []dns.Name // names that its customers' SPF records include
	Selectors []Selector // of its customers' keys
	Networks  []netip.Prefix
	// SignStep and PathStep are the service's names for signing with a customer's domain, and
	// for a return path below it; "" if unknown or not offered.
	SignStep, PathStep string
	Evidence           []string // sources for the row; empty for rows of an operator's file
}

// Selector is a pattern of DKIM selectors in lower case: "*" stands for any run of
// characters, "#" for a run of at least one digit.
type Selector string

// Match reports whether a selector matches the pattern, ignoring case.
func (p Selector) Match(selector string) bool {
	return matchSelector(string(p), strings.ToLower(selector))
}

func matchSelector(pattern, s string) bool {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*':
			for n := 0; n <= len(s); n++ {
				if matchSelector(pattern[i+1:], s[n:]) {
					return true
				}
			}
			return false
		case '#':
			n := 0
			for n < len(s) && '0' <= s[n] && s[n] <= '9' {
				n++
			}
			if n == 0 {
				return false
			}
			s = s[n:]
		default:
			if s == "" || s[0] != pattern[i] {
				return false
			}
			s = s[1:]
		}
	}
	return s == ""
}

// Map is an immutable set of services, safe for concurrent use. The zero Map has none.
type Map struct {
	services  map[dns.Name]*Service
	hosts     map[dns.Name]*Service
	signers   map[dns.Name]*Service
	includes  map[dns.Name]*Service
	selectors map[string]*Service // patterns without "*" and "#"
	patterns  []selectorOf        // the others
	networks  []networkOf         // the longest prefix first
}

type selectorOf struct {
	pattern Selector
	service *Service
}

type networkOf struct {
	network netip.Prefix
	service *Service
}

// newMap returns a map of services. It returns an error for each conflicting claim.
func newMap(services []Service) (*Map, []error) {
	m := &Map{
		services: map[dns.Name]*Service{}, hosts: map[dns.Name]*Service{}, signers: map[dns.Name]*Service{},
		includes: map[dns.Name]*Service{}, selectors: map[string]*Service{},
	}
	var faults []error
	claim := func(of map[dns.Name]*Service, what string, names []dns.Name, s *Service) {
		for _, n := range names {
			if other := of[n]; other != nil {
				faults = append(faults, fmt.Errorf("%s and %s both claim the %s %s", other.Domain, s.Domain, what, n))
				continue
			}
			of[n] = s
		}
	}
	for i := range services {
		s := &services[i]
		claim(m.services, "domain", []dns.Name{s.Domain}, s)
		claim(m.hosts, "host suffix", append([]dns.Name{s.Domain}, s.Hosts...), s)
		claim(m.signers, "signing domain", append([]dns.Name{s.Domain}, s.Signers...), s)
		claim(m.includes, "include", s.Includes, s)
		for _, n := range s.Networks {
			m.networks = append(m.networks, networkOf{n, s})
		}
		for _, p := range s.Selectors {
			if strings.ContainsAny(string(p), "*#") {
				m.patterns = append(m.patterns, selectorOf{p, s})
			} else if other := m.selectors[string(p)]; other != nil {
				faults = append(faults, fmt.Errorf("%s and %s both claim the selector %s", other.Domain, s.Domain, p))
			} else {
				m.selectors[string(p)] = s
			}
		}
	}
	slices.SortStableFunc(m.networks, func(a, b networkOf) int { return b.network.Bits() - a.network.Bits() })
	return m, append(faults, m.ambiguous()...)
}

// ambiguous finds selectors that two patterns claim. It fills in the wildcards of each
// pattern, which finds the overlap of a pattern with a narrower one.
func (m *Map) ambiguous() (faults []error) {
	both := func(a, b *Service, selector string) {
		if a != b {
			faults = append(faults, fmt.Errorf("%s and %s both claim the selector %s", a.Domain, b.Domain, selector))
		}
	}
	for i, p := range m.patterns {
		for selector, s := range m.selectors {
			if p.pattern.Match(selector) {
				both(p.service, s, selector)
			}
		}
		for j, q := range m.patterns {
			if sample := strings.NewReplacer("*", "1", "#", "1").Replace(string(q.pattern)); i != j && p.pattern.Match(sample) {
				both(p.service, q.service, sample)
			}
		}
	}
	return faults
}

// Len counts the services.
func (m *Map) Len() int { return len(m.services) }

// Get returns the service of that domain; nil for none.
func (m *Map) Get(domain dns.Name) *Service { return m.services[domain] }

// ByHost returns the service that runs a host of that name; nil for none.
func (m *Map) ByHost(host dns.Name) *Service { return above(m.hosts, host) }

// BySigner returns the service whose own signatures have that d=, or whose return paths have
// that domain; nil for none.
func (m *Map) BySigner(domain dns.Name) *Service {
	if s := above(m.signers, domain); s != nil {
		return s
	}
	return above(m.hosts, domain)
}

// ByInclude returns the service that a name in an SPF record belongs to; nil for none.
func (m *Map) ByInclude(name dns.Name) *Service { return above(m.includes, name) }

// BySelector returns the service that hands out keys under that selector; nil if none or
// several do.
func (m *Map) BySelector(selector string) *Service {
	if s := m.selectors[strings.ToLower(selector)]; s != nil {
		return s
	}
	var found *Service
	for _, p := range m.patterns {
		if p.pattern.Match(selector) {
			if found != nil && found != p.service {
				return nil
			}
			found = p.service
		}
	}
	return found
}

// ByNetwork returns the service of the narrowest network with an address; nil for none.
func (m *Map) ByNetwork(addr netip.Addr) *Service {
	addr = addr.Unmap()
	for _, n := range m.networks {
		if n.network.Contains(addr) {
			return n.service
		}
	}
	return nil
}

// above returns the entry of a name, or of the nearest name above it.
func above(of map[dns.Name]*Service, name dns.Name) *Service {
	for n := name; !n.IsZero(); n = n.Parent() {
		if s := of[n]; s != nil {
			return s
		}
	}
	return nil
}

// Services returns all services, by domain.
func (m *Map) Services() []*Service {
	out := make([]*Service, 0, len(m.services))
	for _, s := range m.services {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Service) int { return strings.Compare(a.Domain.String(), b.Domain.String()) })
	return out
}
