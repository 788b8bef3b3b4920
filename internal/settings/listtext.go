package settings

import (
	"slices"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/policy"
)

// ListKind is a list of the rules that may stand in a file of its own.
type ListKind string

// Lists that can be taken in and given out as text, by the last part of their keys.
const (
	ListSenders    ListKind = "senders"
	ListExceptions ListKind = "exceptions"
	ListPeers      ListKind = "enforced_peers"
)

// List gives a list of the rules one entry a line, in the one form that ParseList
// gives too: sorted, domains in A-labels, addresses without a length.
func List(kind ListKind, r *policy.Rules) []string {
	switch kind {
	case ListSenders:
		return r.DMARC.Senders.Patterns()
	case ListExceptions:
		var out []string
		for _, p := range r.DMARC.Exceptions.Prefixes() {
			out = append(out, showPrefix(p))
		}
		return out
	case ListPeers:
		return peerLines(&r.DMARC.EnforcedPeers)
	}
	return nil
}

// peerLines leaves out a peer that the list has with the stricter requirement too.
func peerLines(l *policy.PeerList) []string {
	both, either := l.Patterns()
	out := both
	for _, s := range either {
		if _, stricter := slices.BinarySearch(both, s); stricter {
			continue
		}
		if p, err := parsePattern(s); err == nil { // it was read before
			out = append(out, peer{p, policy.RequireEither}.String())
		}
	}
	return out
}

// ParseList reads the text of a list: one entry a line, or the first column of CSV,
// with # before a comment. It gives the entries as List does. An entry that stands there again is a
// warning, and of a peer with both requirements the stricter holds; the error is
// Faults, with every line that is wrong. Name stands in both.
func ParseList(kind ListKind, name string, data []byte) (lines []string, warnings []Fault, err error) {
	d := newDecoder(name, "")
	var r policy.Rules
	first := map[string]int{}
	again := func(at *yaml.Node, entry string) {
		if line, twice := first[entry]; twice {
			d.warn(at, "duplicate entry %s; the first is on line %d", entry, line)
			return
		}
		first[entry] = at.Line
	}
	d.lines(data, &yaml.Node{Line: 1, Column: 1}, func(at *yaml.Node, s string) {
		if isHeading(at, s) {
			d.warn(at, "taken for the heading of the columns: %s", clip(s))
			return
		}
		s = firstColumn(s)
		switch kind {
		case ListSenders:
			if p, ok := d.pattern(at, s); ok {
				again(at, p.String())
				addPattern(&r.DMARC.Senders, p)
			}
		case ListExceptions:
			if p, ok := d.network(at, s); ok {
				again(at, showPrefix(p))
				r.DMARC.Exceptions.Add(p)
			}
		case ListPeers:
			if p, ok := d.peer(at, s); ok {
				again(at, p.pattern.String())
				p.addTo(&r.DMARC.EnforcedPeers)
			}
		}
	})
	if faults := d.faults.all(); len(faults) > 0 {
		return nil, d.warnings.all(), faults
	}
	return List(kind, &r), d.warnings.all(), nil
}
