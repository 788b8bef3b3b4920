package policy

import (
	"net/netip"
	"slices"

	"dmarcd/internal/dns"
)

// DomainList is a set of domain patterns: a name alone, every name below a
// name, or all. The zero DomainList matches nothing. Build it with Add; it may
// be read from several goroutines once built. A match costs one map look-up a
// label, whatever the size of the list.
type DomainList struct {
	All   bool
	exact map[dns.Name]struct{}
	below map[dns.Name]struct{}
}

// Add puts a pattern in: n itself, or with wildcard every name below n but not n.
func (l *DomainList) Add(n dns.Name, wildcard bool) {
	m := &l.exact
	if wildcard {
		m = &l.below
	}
	if *m == nil {
		*m = make(map[dns.Name]struct{})
	}
	(*m)[n] = struct{}{}
}

// Match reports whether n is in the list. The zero Name matches only All.
func (l *DomainList) Match(n dns.Name) bool {
	if l.All {
		return true
	}
	if _, ok := l.exact[n]; ok {
		return true
	}
	if len(l.below) == 0 {
		return false
	}
	for p := n.Parent(); !p.IsZero(); p = p.Parent() {
		if _, ok := l.below[p]; ok {
			return true
		}
	}
	return false
}

// Empty reports whether the list can match nothing.
func (l *DomainList) Empty() bool { return !l.All && len(l.exact) == 0 && len(l.below) == 0 }

// Patterns lists the entries as the policy file spells them, sorted.
func (l *DomainList) Patterns() []string {
	var out []string
	if l.All {
		out = append(out, "*")
	}
	for n := range l.exact {
		out = append(out, n.String())
	}
	for n := range l.below {
		out = append(out, "*."+n.String())
	}
	slices.Sort(out)
	return out
}

// PeerList is a list of enforced peers: patterns, each with what it requires.
// The zero PeerList matches nothing.
type PeerList struct {
	both   DomainList
	either DomainList
}

// Add puts a peer in. With all, n and wildcard are ignored and every domain is a peer.
func (l *PeerList) Add(n dns.Name, wildcard, all bool, r Require) {
	d := &l.both
	if r == RequireEither {
		d = &l.either
	}
	if all {
		d.All = true
		return
	}
	d.Add(n, wildcard)
}

// Match reports whether n is an enforced peer and what it must show. Where
// entries of both kinds match, the stricter decides.
func (l *PeerList) Match(n dns.Name) (Require, bool) {
	if l.both.Match(n) {
		return RequireBoth, true
	}
	return RequireEither, l.either.Match(n)
}

// Empty reports whether there are no peers.
func (l *PeerList) Empty() bool { return l.both.Empty() && l.either.Empty() }

// Patterns lists the peers by requirement, sorted.
func (l *PeerList) Patterns() (both, either []string) {
	return l.both.Patterns(), l.either.Patterns()
}

// NetList is a set of addresses and CIDR blocks. The zero NetList matches
// nothing. Build it with Add; it may be read from several goroutines once
// built. A match costs one map look-up for each distinct prefix length.
type NetList struct {
	prefixes map[netip.Prefix]struct{}
	bits4    []int // distinct lengths, longest first
	bits6    []int
}

// Add puts a block in; host bits are cleared and IPv4-mapped blocks unmapped.
func (l *NetList) Add(p netip.Prefix) {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	if l.prefixes == nil {
		l.prefixes = make(map[netip.Prefix]struct{})
	}
	l.prefixes[p] = struct{}{}
	bits := &l.bits6
	if p.Addr().Is4() {
		bits = &l.bits4
	}
	if !slices.Contains(*bits, p.Bits()) {
		*bits = append(*bits, p.Bits())
		slices.SortFunc(*bits, func(a, b int) int { return b - a })
	}
}

// Match reports whether a is in one of the blocks. The zero Addr matches nothing.
func (l *NetList) Match(a netip.Addr) bool {
	_, ok := l.Find(a)
	return ok
}

// Find gives the longest block that holds a.
func (l *NetList) Find(a netip.Addr) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	bits := l.bits6
	if a.Is4() {
		bits = l.bits4
	}
	for _, b := range bits {
		p, err := a.Prefix(b)
		if err != nil {
			return netip.Prefix{}, false
		}
		if _, ok := l.prefixes[p]; ok {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// Empty reports whether the list can match nothing.
func (l *NetList) Empty() bool { return len(l.prefixes) == 0 }

// Prefixes lists the blocks, sorted.
func (l *NetList) Prefixes() []netip.Prefix {
	out := make([]netip.Prefix, 0, len(l.prefixes))
	for p := range l.prefixes {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return out
}
