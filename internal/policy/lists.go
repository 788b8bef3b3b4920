package policy

import (
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
)

// DomainList is a set of domain patterns: a name alone, every name below a name, or all.
// Each may have an end. The zero DomainList matches nothing. Build it with Add; once
// built, several goroutines may read it. A match costs one map lookup per label, whatever
// the size of the list.
type DomainList struct {
	All      bool
	allUntil Day // the end of an entry for all that ends; 0 for none
	exact    map[dns.Name]Day
	below    map[dns.Name]Day
	ends     bool // an entry was added that ends
}

// Add puts a pattern in: n itself, or with wildcard every name below n but not n.
func (l *DomainList) Add(n dns.Name, wildcard bool) { l.AddUntil(n, wildcard, 0) }

// AddUntil is Add for a pattern that is valid until the end of a day. If a pattern is
// added twice, the later end counts.
func (l *DomainList) AddUntil(n dns.Name, wildcard bool, until Day) {
	m := &l.exact
	if wildcard {
		m = &l.below
	}
	if *m == nil {
		*m = make(map[dns.Name]Day)
	}
	addUntil(*m, n, until)
	l.ends = l.ends || until != 0
}

// AddAll adds every domain, until the end of a day.
func (l *DomainList) AddAll(until Day) {
	switch {
	case until == 0:
		l.All, l.allUntil = true, 0
	case !l.All:
		l.allUntil, l.ends = max(l.allUntil, until), true
	}
}

func addUntil[K comparable](m map[K]Day, k K, until Day) {
	if before, twice := m[k]; twice && (before == 0 || until != 0 && before > until) {
		until = before
	}
	m[k] = until
}

// Match reports whether n is in the list, whatever has ended. The zero Name matches
// only All.
func (l *DomainList) Match(n dns.Name) bool {
	ok, _ := l.MatchOn(n, 0)
	return ok
}

// MatchOn reports whether n is in the list on a day; on day 0 whatever has ended. If
// it is not, ended is the latest end of an entry that held for n, 0 for none.
func (l *DomainList) MatchOn(n dns.Name, on Day) (ok bool, ended Day) {
	if l.All {
		return true, 0
	}
	s := spell{on: on}
	if l.allUntil != 0 {
		s.see(l.allUntil)
	}
	if until, found := l.exact[n]; found {
		s.see(until)
	}
	if len(l.below) > 0 {
		for p := n.Parent(); !p.IsZero() && !s.holds; p = p.Parent() {
			if until, found := l.below[p]; found {
				s.see(until)
			}
		}
	}
	return s.result()
}

// spell sums up the entries that match.
type spell struct {
	on    Day
	holds bool
	ended Day
}

func (s *spell) see(until Day) {
	if until == 0 || s.on <= until {
		s.holds = true
		return
	}
	s.ended = max(s.ended, until)
}

func (s *spell) result() (ok bool, ended Day) {
	if s.holds {
		return true, 0
	}
	return false, s.ended
}

// Empty reports whether the list can match nothing on any day.
func (l *DomainList) Empty() bool {
	return !l.All && l.allUntil == 0 && len(l.exact) == 0 && len(l.below) == 0
}

// Patterns lists the entries as the policy file spells them, sorted; see PatternsUntil
// for their ends.
func (l *DomainList) Patterns() []string {
	var out []string
	for _, e := range l.PatternsUntil() {
		out = append(out, e.Pattern)
	}
	return out
}

// DomainEntry is a pattern of a DomainList with its end, 0 for none.
type DomainEntry struct {
	Pattern string
	Until   Day
}

// PatternsUntil lists the entries with their ends, sorted by pattern.
func (l *DomainList) PatternsUntil() []DomainEntry {
	var out []DomainEntry
	if l.All || l.allUntil != 0 {
		out = append(out, DomainEntry{"*", l.allUntil})
	}
	for n, until := range l.exact {
		out = append(out, DomainEntry{n.String(), until})
	}
	for n, until := range l.below {
		out = append(out, DomainEntry{"*." + n.String(), until})
	}
	slices.SortFunc(out, func(a, b DomainEntry) int { return strings.Compare(a.Pattern, b.Pattern) })
	return out
}

// PeerList is a list of enforced peers: patterns, each with what it requires, which
// may end. The zero PeerList matches nothing.
type PeerList struct {
	both   DomainList
	either DomainList
}

// Add puts a peer in. With all, n and wildcard are ignored and every domain is a peer.
func (l *PeerList) Add(n dns.Name, wildcard, all bool, r Require) { l.AddUntil(n, wildcard, all, r, 0) }

// AddUntil is Add for a peer that is one until the end of a day.
func (l *PeerList) AddUntil(n dns.Name, wildcard, all bool, r Require, until Day) {
	d := &l.both
	if r == RequireEither {
		d = &l.either
	}
	if all {
		d.AddAll(until)
		return
	}
	d.AddUntil(n, wildcard, until)
}

// Match reports whether n is an enforced peer and what it must show, whatever has
// ended. Where entries of both kinds match, the stricter decides.
func (l *PeerList) Match(n dns.Name) (Require, bool) { return l.MatchOn(n, 0) }

// MatchOn is Match on a day; on day 0 whatever has ended.
func (l *PeerList) MatchOn(n dns.Name, on Day) (Require, bool) {
	if ok, _ := l.both.MatchOn(n, on); ok {
		return RequireBoth, true
	}
	ok, _ := l.either.MatchOn(n, on)
	return RequireEither, ok
}

// Ended is the latest end of an entry that was valid for n; 0 if one is valid on the day,
// or none ever was.
func (l *PeerList) Ended(n dns.Name, on Day) Day {
	both, first := l.both.MatchOn(n, on)
	either, second := l.either.MatchOn(n, on)
	if both || either {
		return 0
	}
	return max(first, second)
}

// Empty reports whether there are no peers on any day.
func (l *PeerList) Empty() bool { return l.both.Empty() && l.either.Empty() }

// Patterns lists the peers by requirement, sorted.
func (l *PeerList) Patterns() (both, either []DomainEntry) {
	return l.both.PatternsUntil(), l.either.PatternsUntil()
}

// NetList is a set of addresses and CIDR blocks, each of which may end. The zero NetList
// matches nothing. Build it with Add; it may be read from several goroutines once built.
// A match costs one map lookup for each distinct prefix length.
type NetList struct {
	prefixes map[netip.Prefix]Day
	bits4    []int // distinct lengths, longest first
	bits6    []int
	ends     bool // a block was added that ends
}

// Add puts a block in; host bits are cleared and IPv4-mapped blocks unmapped.
func (l *NetList) Add(p netip.Prefix) { l.AddUntil(p, 0) }

// AddUntil is Add for a block that is valid until the end of a day. If a block is added
// twice, the later end counts.
func (l *NetList) AddUntil(p netip.Prefix, until Day) {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	if l.prefixes == nil {
		l.prefixes = make(map[netip.Prefix]Day)
	}
	addUntil(l.prefixes, p, until)
	l.ends = l.ends || until != 0
	bits := &l.bits6
	if p.Addr().Is4() {
		bits = &l.bits4
	}
	if !slices.Contains(*bits, p.Bits()) {
		*bits = append(*bits, p.Bits())
		slices.SortFunc(*bits, func(a, b int) int { return b - a })
	}
}

// Match reports whether a is in one of the blocks, whatever has ended. The zero Addr
// matches nothing.
func (l *NetList) Match(a netip.Addr) bool {
	ok, _ := l.MatchOn(a, 0)
	return ok
}

// MatchOn reports whether a is in one of the blocks on a day; on day 0 whatever has
// ended. If it is not, ended is the latest end of a block that held a, 0 for none.
func (l *NetList) MatchOn(a netip.Addr, on Day) (ok bool, ended Day) {
	s := spell{on: on}
	l.blocks(a, func(_ netip.Prefix, until Day) bool {
		s.see(until)
		return !s.holds
	})
	return s.result()
}

// Find returns the longest block that contains a, ended or not.
func (l *NetList) Find(a netip.Addr) (found netip.Prefix, ok bool) {
	l.blocks(a, func(p netip.Prefix, _ Day) bool {
		found, ok = p, true
		return false
	})
	return found, ok
}

// blocks calls see for the blocks that contain a, the longest prefix first, until it
// returns false.
func (l *NetList) blocks(a netip.Addr, see func(p netip.Prefix, until Day) bool) {
	a = a.Unmap().WithZone("")
	bits := l.bits6
	if a.Is4() {
		bits = l.bits4
	}
	for _, b := range bits {
		p, err := a.Prefix(b)
		if err != nil {
			return
		}
		if until, ok := l.prefixes[p]; ok && !see(p, until) {
			return
		}
	}
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

// Until is the end of a block of Prefixes, 0 for none.
func (l *NetList) Until(p netip.Prefix) Day { return l.prefixes[p] }
