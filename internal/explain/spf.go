package explain

import (
	"errors"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/text"
)

func (x *explainer) spf() SPF {
	s := &x.v.SPF
	out := SPF{
		Result: string(s.Status), Domain: s.Domain.String(), Identity: string(s.Scope), Mechanism: s.Mechanism,
		WalkCut: s.WalkCut, Lookups: s.Lookups, Voids: s.Voids, Explanation: s.Explanation,
		Alignment: string(x.v.SPFAlignment), Error: text.Error(s.Err), Means: x.spfMeans(),
	}
	for i := range s.Walk {
		w := &s.Walk[i]
		out.Walk = append(out.Walk, Term{
			Domain: w.Domain.String(), Term: w.Term, Depth: w.Depth, Outcome: string(w.Outcome), Result: string(w.Result),
			Target: w.Target.String(), Private: w.LocalPart,
		})
	}
	if out.Result == "" {
		out.Result = string(spf.None)
	}
	if !s.Domain.IsZero() && s.Status == spf.Pass { // "aligned" of another result reads like a success
		out.Aligns = x.alignment(s.Domain, x.v.SPFAlignment, func(r *dmarc.Record) dmarc.Mode { return r.ASPF })
	}
	return out
}

// spfMeans explains the SPF result.
func (x *explainer) spfMeans() string {
	s := &x.v.SPF
	who, client := s.Domain.String(), x.client()
	by := ""
	if s.Mechanism != "" {
		by = x.say(spfBy, s.Mechanism)
	}
	switch s.Status {
	case spf.Pass:
		return x.say(spfPass, who, client, by)
	case spf.Fail:
		return x.say(spfFail, who, client, by)
	case spf.Softfail:
		return x.say(spfSoftfail, who, client, by)
	case spf.Neutral:
		if by == "" {
			return x.say(spfNoTerm, who, client)
		}
		return x.say(spfNeutral, who, client, by)
	case spf.None:
		return x.noSPF()
	case spf.TempError:
		return x.say(spfTemp, who)
	case spf.PermError:
		return x.say(spfPerm, who, x.spfFault(s.Err))
	}
	return x.say(spfUnchecked)
}

// noSPF says why there is no SPF result.
func (x *explainer) noSPF() string {
	s := &x.v.SPF
	switch {
	case s.Domain.IsZero() && s.Scope == spf.Helo:
		return x.say(spfNoHelo)
	case s.Domain.IsZero():
		return x.say(spfNoSender)
	case !s.ClientIP.IsValid() && !x.r.ClientIP.IsValid():
		return x.say(spfNoClient)
	}
	return x.say(spfNoRecord, s.Domain)
}

// spfFault explains the fault of a record.
func (x *explainer) spfFault(err error) string {
	for _, f := range []struct {
		is   error
		text phrase
	}{
		{spf.ErrLookupLimit, spfLookups},
		{spf.ErrVoidLimit, spfVoids},
		{spf.ErrMultipleRecords, spfSeveral},
		{spf.ErrNoRecord, spfTargetRecord},
		{spf.ErrTarget, spfTarget},
		{spf.ErrMXLimit, spfMX},
		{spf.ErrRecordSize, spfSize},
		{spf.ErrSyntax, spfSyntax},
	} {
		if errors.Is(err, f.is) {
			return x.say(f.text)
		}
	}
	return x.say(spfFault)
}

// client is the client's address for a sentence.
func (x *explainer) client() string {
	if x.r.ClientIP.IsValid() {
		return x.r.ClientIP.String()
	}
	return x.say(clientUnknown)
}

// alignment explains why a domain aligns with the author's, or does not.
func (x *explainer) alignment(name dns.Name, a dmarc.Alignment, modeOf func(*dmarc.Record) dmarc.Mode) string {
	author, org := x.d.Author, x.d.OrgDomain
	mode := dmarc.Relaxed
	if x.d.Record != nil {
		mode = modeOf(x.d.Record)
	}
	switch {
	case a == "":
		return ""
	case a == dmarc.AlignmentUnknown:
		return x.say(alignUnknown)
	case a == dmarc.Aligned && name == author:
		return x.say(alignSame)
	case a == dmarc.Aligned && org.IsZero():
		return x.say(alignShared, author, author)
	case a == dmarc.Aligned:
		return x.say(alignShared, org, author)
	case mode == dmarc.Strict && !org.IsZero() && (name == org || name.IsBelow(org)):
		return x.say(alignStrict, x.d.PolicyDomain, author)
	case name.IsZero():
		return x.say(alignNoDomain)
	case !org.IsZero() && org != author:
		return x.say(alignOtherOrg, author, org)
	}
	return x.say(alignUnrelated, author)
}
