package explain

import (
	"fmt"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

func (t *teller) dmarc() DMARC {
	d := t.d
	out := DMARC{
		Result: word(d.Status), Domain: clean(d.Author.String(), maxShort), OrgDomain: clean(d.OrgDomain.String(), maxShort),
		PolicyDomain: clean(d.PolicyDomain.String(), maxShort), Tag: word(d.Source), Requested: word(d.Requested), Policy: word(d.Policy),
		NonExistent: d.NonExistent, PSL: t.r.PSL, SPFAligned: d.SPFAligned, DKIMAligned: d.DKIMAligned, Error: errorText(d.Err),
		Means: clean(t.dmarcMeans(), maxField), PolicyMeans: clean(t.policyMeans(), maxField),
	}
	if d.Record != nil {
		out.Record, out.Testing = clean(d.Record.Text, maxRecord), d.Record.Testing
		out.Warnings = warnings(d.Record)
		out.ADKIM, out.ASPF = modeWord(d.Record.ADKIM), modeWord(d.Record.ASPF)
	}
	for i := range d.Walk {
		s := &d.Walk[i]
		step := Step{Name: "_dmarc." + clean(s.Name.String(), maxShort), Record: clean(s.Text, maxRecord), Error: errorText(s.Err)}
		if s.Record != nil {
			step.Warnings = warnings(s.Record)
		}
		out.Walk = append(out.Walk, step)
	}
	return out
}

func warnings(r *dmarc.Record) []string {
	if len(r.Warnings) == 0 {
		return nil
	}
	return cleanAll(r.Warnings, maxField)
}

func modeWord(m dmarc.Mode) string {
	if m == dmarc.Strict {
		return "strict"
	}
	return "relaxed"
}

// dmarcMeans says in words what DMARC found.
func (t *teller) dmarcMeans() string {
	d := t.d
	author := d.Author.String()
	switch d.Status {
	case dmarc.Pass:
		return author + " is authenticated by " + t.passedBy()
	case dmarc.Fail:
		return "neither SPF nor a signature gave an aligned pass for " + author
	case dmarc.None:
		if d.Err != nil {
			return author + " publishes no record that counts: " + errorText(d.Err)
		}
		return author + " publishes no DMARC record"
	case dmarc.TempError:
		if d.Record == nil {
			return "DNS did not tell what " + author + " publishes"
		}
		return "DNS left open whether SPF or a signature passes for " + author
	case dmarc.PermError:
		return t.noAuthor()
	}
	return "DMARC was not evaluated"
}

// noAuthor says why there is no single author domain.
func (t *teller) noAuthor() string {
	why := strings.TrimPrefix(errorText(t.d.Err), "no single author domain: ")
	why = "there is no single From domain: " + strings.TrimPrefix(why, "message: ")
	if authors := names(t.v.Authors); len(authors) > 0 {
		why += ", of " + listed(authors)
	}
	return why
}

// passedBy names what gave the aligned pass.
func (t *teller) passedBy() string {
	switch {
	case t.d.SPFAligned && t.d.DKIMAligned:
		return "SPF and DKIM"
	case t.d.SPFAligned:
		return "SPF (" + t.v.SPF.Domain.String() + ")"
	case t.d.DKIMAligned:
		return "DKIM (" + t.alignedSigner() + ")"
	}
	return "the criteria in force"
}

// alignedSigner is the domain of the signature that counted.
func (t *teller) alignedSigner() string {
	if i := t.v.Shown(); i >= 0 {
		return "d=" + t.v.DKIM[i].Domain.String()
	}
	return "a signature"
}

// policyMeans says in words which policy applies, and on whose word.
func (t *teller) policyMeans() string {
	d := t.d
	if d.Record == nil || d.Source == "" {
		return ""
	}
	text := fmt.Sprintf("%s=%s", d.Source, d.Requested)
	switch d.Source {
	case "p":
		text += " of " + d.PolicyDomain.String()
		if d.Author != d.PolicyDomain {
			text += ", for want of a policy for subdomains"
		}
	case "sp":
		text += " of " + d.PolicyDomain.String() + ", because " + d.Author.String() + " is below it"
	case "np":
		text += " of " + d.PolicyDomain.String() + ", because " + d.Author.String() + " does not exist"
	}
	if d.Policy != d.Requested {
		text += fmt.Sprintf("; the record is in test mode (t=y), so %s applies", d.Policy)
	} else if d.Record.Testing {
		text += "; the record is in test mode (t=y)"
	}
	if d.Record.Voided {
		text += "; the record has no valid policy and acts as p=none"
	}
	return text
}

func names(list []dns.Name) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		if !n.IsZero() {
			out = append(out, clean(n.String(), maxShort))
		}
	}
	return out
}
