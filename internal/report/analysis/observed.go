package analysis

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/report/source"
)

// maxObserved bounds the names kept of one source.
const maxObserved = 20

// Observed is what reports state about one address. The zero Observed with a Source is ready
// for Add.
type Observed struct {
	Source  netip.Addr
	Managed []dns.Name // managed domains of its mail
	Signed  []source.Seen
	Passed  []source.Seen
	Traffic source.Traffic

	reporters map[string]struct{}
}

// Record is one record in the form for Observed.Add.
type Record struct {
	Domain       dns.Name // managed
	Reporter     string
	HeaderFrom   string
	EnvelopeFrom string
	Messages     int64
	SPF, DKIM    report.DMARCResult
	Auth         *AuthSet
}

// Add counts a record.
func (o *Observed) Add(r *Record) {
	if !slices.Contains(o.Managed, r.Domain) && len(o.Managed) < maxObserved {
		o.Managed = append(o.Managed, r.Domain)
	}
	if o.reporters == nil {
		o.reporters = map[string]struct{}{}
	}
	o.reporters[r.Reporter] = struct{}{}
	t := &o.Traffic
	t.Messages += r.Messages
	t.Records++
	t.Reporters = int64(len(o.reporters))
	if r.SPF == report.DMARCPass {
		t.SPFAligned += r.Messages
	}
	if r.DKIM == report.DMARCPass {
		t.DKIMAligned += r.Messages
	}
	for _, d := range r.Auth.DKIM {
		if d.Result == report.ResultPass {
			o.Signed = count(o.Signed, d.Domain, d.Selector, r.Messages)
		}
	}
	o.returnPath(r)
	o.reasons(r)
}

// returnPath evaluates the identity that SPF was checked for.
func (o *Observed) returnPath(r *Record) {
	from := organization(cmp.Or(r.HeaderFrom, r.Domain.String()))
	rewritten, kept := false, false
	for _, s := range r.Auth.SPF {
		org := organization(s.Domain)
		if s.Result == report.ResultPass {
			o.Passed = count(o.Passed, s.Domain, "", r.Messages)
		}
		if s.Scope == report.ScopeHelo || org.IsZero() {
			continue
		}
		rewritten = rewritten || s.Result == report.ResultPass && org != from
		kept = kept || s.Result != report.ResultPass && org == from
	}
	if rewritten {
		o.Traffic.Rewritten += r.Messages
	}
	if kept {
		o.Traffic.Kept += r.Messages
	}
}

// reasons evaluates what reporters state about forwarding. They mention ARC in the comment of
// a reason, such as "arc=pass" (RFC 8617 section 7.2.2).
func (o *Observed) reasons(r *Record) {
	forwarded, listed, arc := false, false, false
	for _, reason := range r.Auth.Reasons {
		switch reason.Type {
		case report.ReasonForwarded, report.ReasonTrustedForwarder:
			forwarded = true
		case report.ReasonMailingList:
			listed = true
		}
		arc = arc || strings.Contains(strings.ToLower(reason.Comment), "arc=pass")
	}
	for _, one := range []struct {
		holds bool
		into  *int64
	}{{forwarded, &o.Traffic.Forwarded}, {listed, &o.Traffic.Listed}, {arc, &o.Traffic.ARC}} {
		if one.holds {
			*one.into += r.Messages
		}
	}
}

// organization returns the organizational domain of a text; zero if it is no name.
func organization(text string) dns.Name {
	name, err := dns.Parse(text)
	if err != nil {
		return dns.Name{}
	}
	return dmarc.ListOrg(name)
}

// count adds messages to the entry of a domain and selector in a list.
func count(list []source.Seen, text, selector string, messages int64) []source.Seen {
	name, err := dns.Parse(text)
	if err != nil {
		return list
	}
	i := slices.IndexFunc(list, func(s source.Seen) bool { return s.Domain == name && s.Selector == selector })
	if i >= 0 {
		list[i].Messages += messages
		return list
	}
	if len(list) == maxObserved {
		return list
	}
	return append(list, source.Seen{Domain: name, Selector: selector, Messages: messages})
}

// Facts returns the facts for an identification.
func (o *Observed) Facts() source.Facts {
	return source.Facts{Address: o.Source, Managed: o.Managed, Signed: o.Signed, Passed: o.Passed}
}
