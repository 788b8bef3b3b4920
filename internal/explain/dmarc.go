package explain

import (
	"errors"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/text"
)

func (x *explainer) dmarc() DMARC {
	d := x.d
	out := DMARC{
		Result: string(d.Status), Domain: d.Author.String(), OrgDomain: d.OrgDomain.String(), PolicyDomain: d.PolicyDomain.String(),
		Tag: d.Source, Requested: string(d.Requested), Policy: string(d.Policy), NonExistent: d.NonExistent, PSL: x.r.PSL,
		SPFAligned: d.SPFAligned, DKIMAligned: d.DKIMAligned, Error: text.Error(d.Err), Means: x.dmarcMeans(), PolicyMeans: x.policyMeans(),
	}
	if d.Record != nil {
		out.Record, out.Testing, out.Warnings = d.Record.Text, d.Record.Testing, d.Record.Warnings
		out.ADKIM, out.ASPF = modeWord(d.Record.ADKIM), modeWord(d.Record.ASPF)
	}
	for i := range d.Walk {
		s := &d.Walk[i]
		step := Step{Name: "_dmarc." + s.Name.String(), Record: s.Text, Error: text.Error(s.Err)}
		if s.Record != nil {
			step.Warnings = s.Record.Warnings
		}
		out.Walk = append(out.Walk, step)
	}
	return out
}

func modeWord(m dmarc.Mode) string {
	if m == dmarc.Strict {
		return "strict"
	}
	return "relaxed"
}

// dmarcMeans explains the DMARC result.
func (x *explainer) dmarcMeans() string {
	d := x.d
	switch d.Status {
	case dmarc.Pass:
		return x.say(dmarcPass, d.Author, x.passedBy())
	case dmarc.Fail:
		return x.say(dmarcFail, d.Author)
	case dmarc.None:
		if d.Err != nil {
			return x.say(dmarcBadRecord, d.Author, text.Error(d.Err))
		}
		return x.say(dmarcNoRecord, d.Author)
	case dmarc.TempError:
		if d.Record == nil {
			return x.say(dmarcTempRecord, d.Author)
		}
		return x.say(dmarcTemp, d.Author)
	case dmarc.PermError:
		return x.noAuthor()
	}
	return x.say(dmarcUnevaluated)
}

// noAuthor says why there is no single author domain.
func (x *explainer) noAuthor() string {
	why := x.say(fromMany)
	for _, f := range []struct {
		is   error
		text phrase
	}{
		{message.ErrNoFrom, fromNone},
		{message.ErrNoAddress, fromNoAddress},
		{message.ErrSeveralFields, fromFields},
		{message.ErrSeveralAddresses, fromAddresses},
		{message.ErrBadFrom, fromBad},
	} {
		if errors.Is(x.d.Err, f.is) {
			why = x.say(f.text)
			break
		}
	}
	if authors := names(x.v.Authors); len(authors) > 0 {
		return x.say(fromOf, why, x.listed(authors))
	}
	return why
}

// passedBy names what gave the aligned pass.
func (x *explainer) passedBy() string {
	switch {
	case x.d.SPFAligned && x.d.DKIMAligned:
		return x.say(bySPFAndDKIM)
	case x.d.SPFAligned:
		return x.say(bySPF, x.v.SPF.Domain)
	case x.d.DKIMAligned:
		return x.say(byDKIM, x.alignedSigner())
	}
	return x.say(byCriteria)
}

// alignedSigner is the domain of the signature that counted.
func (x *explainer) alignedSigner() string {
	if i := x.v.Shown(); i >= 0 {
		return "d=" + x.v.DKIM[i].Domain.String()
	}
	return x.say(aSignature)
}

// policyMeans explains which policy applies, and from which record.
func (x *explainer) policyMeans() string {
	d := x.d
	if d.Record == nil || d.Source == "" {
		return ""
	}
	means := x.say(policyOf, d.Source, d.Requested, d.PolicyDomain)
	switch {
	case d.Source == "p" && d.Author != d.PolicyDomain:
		means = x.say(policyNoSub, means)
	case d.Source == "sp":
		means = x.say(policyBelow, means, d.Author)
	case d.Source == "np":
		means = x.say(policyNonexist, means, d.Author)
	}
	if d.Policy != d.Requested {
		means = x.say(policyLowered, means, d.Policy)
	} else if d.Record.Testing {
		means = x.say(policyTest, means)
	}
	if d.Record.Voided {
		means = x.say(policyVoided, means)
	}
	return means
}

func names(list []dns.Name) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		if !n.IsZero() {
			out = append(out, n.String())
		}
	}
	return out
}
