package settings

import (
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/policy"
)

// ListKind is a list of the rules that may be in a file of its own.
type ListKind string

// Lists that can be taken in and given out as text, by the last part of their keys.
const (
	ListSenders    ListKind = "senders"
	ListExceptions ListKind = "exceptions"
	ListPeers      ListKind = "enforced_peers"
)

// List returns a list of the rules one entry a line, in the one form that ParseList gives
// too: sorted, domains in A-labels, addresses without a length.
func List(kind ListKind, r *policy.Rules) []string {
	var entries []entry
	switch kind {
	case ListSenders:
		entries = domainEntries(r.DMARC.Senders)
	case ListExceptions:
		entries = networkEntries(r.DMARC.Exceptions)
	case ListPeers:
		entries = peerEntries(r.DMARC.EnforcedPeers)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.String())
	}
	return out
}

// ParseList reads the text of a list: one entry a line, or the first column of CSV, with # before a
// comment. It returns the entries as List does. A repeated entry is a warning, and of a peer with
// both requirements the stricter applies; the error is Faults, with every wrong line, and the list
// has the others. Name is the file name in all of them.
func ParseList(kind ListKind, name string, data []byte) (lines []string, warnings []Fault, err error) {
	d := newDecoder(name, "")
	var r policy.Rules
	form, add := senderForm, func(e *entry) { addDomain(&r.DMARC.Senders, e) }
	switch kind {
	case ListExceptions:
		form, add = exceptionForm, func(e *entry) { addNetwork(&r.DMARC.Exceptions, e) }
	case ListPeers:
		form, add = peerForm, func(e *entry) { addPeer(&r.DMARC.EnforcedPeers, e) }
	}
	first := map[string]int{}
	d.lines(data, &yaml.Node{Line: 1, Column: 1}, func(at *yaml.Node, s string) {
		if isHeading(at, s) {
			d.warn(at, "taken for the heading of the columns: %s", clip(s))
			return
		}
		e, ok := form.line(d, at, FirstColumn(s))
		if !ok {
			return
		}
		if line, twice := first[e.named()]; twice {
			d.warn(at, "duplicate entry %s; the first is on line %d", e.named(), line)
		} else {
			first[e.named()] = at.Line
		}
		add(&e)
	})
	if faults := d.faults.all(); len(faults) > 0 {
		return List(kind, &r), d.warnings.all(), faults
	}
	return List(kind, &r), d.warnings.all(), nil
}

// FirstColumn is the entry of a line of CSV, whose first column it is, with the
// other columns left out. A line without separators is itself.
func FirstColumn(s string) string {
	if i := strings.IndexAny(s, ",;"); i >= 0 {
		s = s[:i]
	}
	return strings.Trim(strings.TrimSpace(s), `"`)
}

// isHeading reports whether the line is the heading of a CSV file.
func isHeading(at *yaml.Node, line string) bool {
	if at.Line != 1 || !strings.ContainsAny(line, ",;") {
		return false
	}
	switch strings.ToLower(FirstColumn(line)) {
	case "domain", "domains", "sender", "ip", "ip address", "address", "network", "host", "peer", "entry", "name":
		return true
	}
	return false
}
