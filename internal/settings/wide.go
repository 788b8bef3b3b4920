package settings

import (
	"net/netip"

	"dmarcd/internal/policy"
)

// Networks shorter than these are larger than what one operator has: a block of that size
// is probably a typing error.
const (
	shortest4 = 8
	shortest6 = 16
)

// wide reports whether a network is a large part of all addresses.
func wide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < shortest4
	}
	return p.Bits() < shortest6
}

func family(p netip.Prefix) string {
	if p.Addr().Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// warnWide warns of networks with all addresses, or a large part of them. So describes
// the effect on mail from there.
func (s *scope) warnWide(name string, l *policy.NetList, so string) {
	for _, text := range wideText(l) {
		s.warn(name, "%s: %s", text, so)
	}
}

// wideText describes the networks of the list that are too large to be intended.
func wideText(l *policy.NetList) []string {
	prefixes := l.Prefixes()
	all4, all6 := covered(prefixes, true), covered(prefixes, false)
	var out []string
	switch {
	case all4 && all6:
		return []string{"the list holds every address"}
	case all4:
		out = append(out, "the list holds every IPv4 address")
	case all6:
		out = append(out, "the list holds every IPv6 address")
	}
	for _, p := range prefixes {
		if known := p.Addr().Is4() && all4 || p.Addr().Is6() && all6; wide(p) && !known {
			out = append(out, p.String()+" is a large part of all "+family(p)+" addresses")
		}
	}
	return out
}

// covered reports whether the networks, which are sorted, hold every address of a
// family. Blocks either hold each other or have nothing in common, so that the
// parts of the whole that they are add up to one.
func covered(prefixes []netip.Prefix, v4 bool) bool {
	var sum float64
	var last netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is4() != v4 || last.IsValid() && last.Contains(p.Addr()) {
			continue
		}
		last = p
		part := 1.0
		for range p.Bits() {
			part /= 2
		}
		sum += part
	}
	return sum == 1
}
