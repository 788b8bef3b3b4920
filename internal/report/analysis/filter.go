package analysis

import (
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// Filter is a parsed form of Criteria. All set fields must match; the zero value of a field
// is no criterion.
type Filter struct {
	From, To memory.Day // both included
	All      bool       // all days instead

	Domain  []dns.Name // managed domains, any of them
	Without []dns.Name // and none of these

	Service      Match // on the service's domain or its name
	Host         Match
	IP           Addresses
	Reporter     Match // on org_name, e-mail address or authenticated domain
	Result       Result
	Disposition  Words[report.Disposition]
	Reason       Match // on the types of override reasons
	Policy       Words[report.Policy]
	HeaderFrom   Match
	EnvelopeFrom Match
	SPFDomain    Match // of any SPF result
	DKIMDomain   Match // d= of any signature
	Selector     Match // of any signature
	Label        Words[Label]

	IncludeFailed bool // reports that do not count for want of trust, too
}

// RollupOnly reports whether rollups suffice for the filter: domain, period, service and its
// label, result and disposition, of reports that count.
func (f *Filter) RollupOnly() bool {
	return f.Host.Empty() && f.IP.Empty() && f.Reporter.Empty() && f.Reason.Empty() && f.Policy.Empty() && f.HeaderFrom.Empty() &&
		f.EnvelopeFrom.Empty() && f.SPFDomain.Empty() && f.DKIMDomain.Empty() && f.Selector.Empty() && !f.IncludeFailed
}

// Has reports whether a day is in the period.
func (f *Filter) Has(day memory.Day) bool { return f.All || f.From <= day && day <= f.To }

// Result is whether messages are compliant.
type Result string

// Results. The zero Result is both.
const (
	ResultCompliant    Result = "compliant"
	ResultNotCompliant Result = "not_compliant"
)

// Match is a criterion on a text: one of Any, if there are some, and none of None. A row
// without the text has "". If there may be several texts, Any needs one that matches, None
// forbids one that does.
type Match struct{ Any, None []Pattern }

// Empty reports whether there is no criterion.
func (m Match) Empty() bool { return len(m.Any) == 0 && len(m.None) == 0 }

// Texts reports whether a row with those texts matches. A missing text is "" and matches no
// pattern.
func (m Match) Texts(texts ...string) bool {
	some := func(patterns []Pattern) bool {
		return slices.ContainsFunc(texts, func(text string) bool {
			return text != "" && slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(text) })
		})
	}
	return (len(m.Any) == 0 || some(m.Any)) && !some(m.None)
}

// Pattern is a lower-case text in which "*" stands for any sequence of characters, even an
// empty one. No other character is special. It must match the whole value.
type Pattern string

// Literal returns the text of a pattern without "*".
func (p Pattern) Literal() (string, bool) { return string(p), !strings.Contains(string(p), "*") }

// Parts returns the texts between the "*".
func (p Pattern) Parts() []string { return strings.Split(string(p), "*") }

// Match reports whether a text matches the pattern, ignoring case.
func (p Pattern) Match(text string) bool {
	text = strings.ToLower(text)
	parts := p.Parts()
	if len(parts) == 1 {
		return text == parts[0]
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] { // the first position where a part fits leaves most to the others
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// Like returns the pattern for LIKE in SQL with that escape character.
func (p Pattern) Like(escape string) string {
	return strings.NewReplacer(escape, escape+escape, "%", escape+"%", "_", escape+"_", "*", "%").Replace(string(p))
}

// Words is a criterion on a word of a list: one of Any, if there are some, and none of None.
type Words[T ~string] struct{ Any, None []T }

// Empty reports whether there is no criterion.
func (w Words[T]) Empty() bool { return len(w.Any) == 0 && len(w.None) == 0 }

// Has reports whether a row with that word matches.
func (w Words[T]) Has(word T) bool {
	return (len(w.Any) == 0 || slices.Contains(w.Any, word)) && !slices.Contains(w.None, word)
}

// Addresses is a criterion on the source address: one of Any, if there are some, and none of
// None.
type Addresses struct{ Any, None []AddressRange }

// Empty reports whether there is no criterion.
func (a Addresses) Empty() bool { return len(a.Any) == 0 && len(a.None) == 0 }

// Has reports whether a row with that address matches.
func (a Addresses) Has(addr netip.Addr) bool {
	some := func(list []AddressRange) bool {
		return slices.ContainsFunc(list, func(r AddressRange) bool { return r.Has(addr) })
	}
	return (len(a.Any) == 0 || some(a.Any)) && !some(a.None)
}

// AddressRange is a network, a single address as a network, or the beginning of an address in
// canonical form (RFC 5952).
type AddressRange struct {
	Network   netip.Prefix // masked; zero for a beginning
	Beginning string       // "" for a network
}

// Has reports whether an address is in the range.
func (r AddressRange) Has(addr netip.Addr) bool {
	addr = addr.Unmap()
	if r.Beginning != "" {
		return strings.HasPrefix(addr.String(), r.Beginning)
	}
	return r.Network.Contains(addr)
}
