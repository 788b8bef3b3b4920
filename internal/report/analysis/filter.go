package analysis

import (
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// Filter is search criteria, read by Criteria.Parse. All that is set must hold; the
// zero value of a field is no criterion.
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

// RollupOnly tells whether rollups know all that the filter asks for: domain, period,
// service and its label, result and disposition, of reports that count.
func (f *Filter) RollupOnly() bool {
	return f.Host.Empty() && f.IP.Empty() && f.Reporter.Empty() && f.Reason.Empty() && f.Policy.Empty() && f.HeaderFrom.Empty() &&
		f.EnvelopeFrom.Empty() && f.SPFDomain.Empty() && f.DKIMDomain.Empty() && f.Selector.Empty() && !f.IncludeFailed
}

// Has tells whether a day is in the period.
func (f *Filter) Has(day memory.Day) bool { return f.All || f.From <= day && day <= f.To }

// Result is whether messages are compliant.
type Result string

// Results. The zero Result is both.
const (
	ResultCompliant    Result = "compliant"
	ResultNotCompliant Result = "not_compliant"
)

// Match is a criterion on a text: one of Any, where there are some, and none of None.
// A row without the text has "". Where there may be several texts, Any needs one that
// matches, None forbids one that does.
type Match struct{ Any, None []Pattern }

// Empty tells that there is no criterion.
func (m Match) Empty() bool { return len(m.Any) == 0 && len(m.None) == 0 }

// Texts tells whether a row with those texts is chosen. A text is "" where the row has
// none: it matches no pattern.
func (m Match) Texts(texts ...string) bool {
	some := func(patterns []Pattern) bool {
		return slices.ContainsFunc(texts, func(text string) bool {
			return text != "" && slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(text) })
		})
	}
	return (len(m.Any) == 0 || some(m.Any)) && !some(m.None)
}

// Pattern is a text in small letters in which "*" stands for any run of characters, an
// empty one too. No other character is special. It is of the whole value.
type Pattern string

// Literal is the text that a pattern without "*" stands for.
func (p Pattern) Literal() (string, bool) { return string(p), !strings.Contains(string(p), "*") }

// Parts are the texts between the "*".
func (p Pattern) Parts() []string { return strings.Split(string(p), "*") }

// Match tells whether a text is of the pattern, whatever its letter case.
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
	for _, part := range parts[1 : len(parts)-1] { // the first place where a part fits leaves most to the others
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// Like is the pattern for the LIKE of SQL with that escape character.
func (p Pattern) Like(escape string) string {
	return strings.NewReplacer(escape, escape+escape, "%", escape+"%", "_", escape+"_", "*", "%").Replace(string(p))
}

// Words is a criterion on a word of a list: one of Any, where there are some, and none
// of None.
type Words[T ~string] struct{ Any, None []T }

// Empty tells that there is no criterion.
func (w Words[T]) Empty() bool { return len(w.Any) == 0 && len(w.None) == 0 }

// Has tells whether a row with that word is chosen.
func (w Words[T]) Has(word T) bool {
	return (len(w.Any) == 0 || slices.Contains(w.Any, word)) && !slices.Contains(w.None, word)
}

// Addresses is a criterion on the source address: one of Any, where there are some,
// and none of None.
type Addresses struct{ Any, None []AddressRange }

// Empty tells that there is no criterion.
func (a Addresses) Empty() bool { return len(a.Any) == 0 && len(a.None) == 0 }

// Has tells whether a row with that address is chosen.
func (a Addresses) Has(addr netip.Addr) bool {
	some := func(list []AddressRange) bool {
		return slices.ContainsFunc(list, func(r AddressRange) bool { return r.Has(addr) })
	}
	return (len(a.Any) == 0 || some(a.Any)) && !some(a.None)
}

// AddressRange is a network, an address as one, or the beginning of an address as it
// is written canonically (RFC 5952).
type AddressRange struct {
	Network   netip.Prefix // masked; zero for a beginning
	Beginning string       // "" for a network
}

// Has tells whether an address is in the range.
func (r AddressRange) Has(addr netip.Addr) bool {
	addr = addr.Unmap()
	if r.Beginning != "" {
		return strings.HasPrefix(addr.String(), r.Beginning)
	}
	return r.Network.Contains(addr)
}
