package explain

import (
	"strings"
	"time"

	"dmarcd/internal/auth/spf"
)

func (s *SPF) write(p *page) {
	p.section("SPF", s.Result, s.Means)
	if s.Domain != "" {
		identity := "MAIL FROM"
		if s.Identity == string(spf.Helo) {
			identity = p.say(textHeloIdentity)
		}
		p.labelled(labelIdentity, p.say(textIdentity, s.Domain, identity))
	}
	p.labelled(labelAligned, s.Aligns)
	domain, label := "", p.say(labelWalk)
	for i := range s.Walk {
		t := &s.Walk[i]
		if i == 0 || t.Domain != domain {
			shown := t.Domain
			if shown == "" {
				shown = p.say(textLocalName)
			}
			p.row(label, indent(t.Depth)+shown)
			domain, label = t.Domain, ""
		}
		p.row("", indent(t.Depth)+"  "+t.words(p))
	}
	if s.WalkCut {
		p.row("", p.say(textWalkCut))
	}
	if s.Lookups > 0 || s.Voids > 0 {
		p.labelled(labelLookups, p.say(textLookups, s.Lookups, spf.MaxLookups, s.Voids, spf.MaxVoids))
	}
	if s.Explanation != "" {
		p.labelled(labelExplanation, quoted(s.Explanation))
	}
	p.labelled(labelError, s.Error)
}

func indent(depth int) string { return strings.Repeat("  ", min(max(depth, 0), spf.MaxLookups)) }

// words is a term with its result.
func (t *Term) words(p *page) string {
	words := pad(t.Term, 28) + " " + t.Outcome
	var more []string
	if t.Result != "" {
		more = append(more, p.say(textTermResult, t.Result))
	}
	switch {
	case t.Private && t.Target == "":
		more = append(more, p.say(textTermLocal))
	case t.Target != "" && t.Target != t.Domain && !strings.Contains(strings.ToLower(t.Term), t.Target):
		more = append(more, p.say(textTermTarget, t.Target))
	}
	if len(more) > 0 {
		words += " (" + strings.Join(more, "; ") + ")"
	}
	return words
}

// writeSignatures writes those that were checked, and how many were not.
func writeSignatures(p *page, list []DKIM, unchecked int) {
	if len(list)+unchecked == 0 {
		p.section("DKIM", "none", p.say(dkimUnsigned))
	}
	for i := range list {
		if list[i].Unchecked {
			unchecked++
			continue
		}
		list[i].write(p)
	}
	if unchecked > 0 {
		p.section("DKIM", "policy", p.say(dkimOverLimit, unchecked))
	}
}

func (d *DKIM) write(p *page) {
	p.section("DKIM", d.Result, d.Means)
	var parts []string
	for _, part := range []struct{ name, value string }{
		{"d=", d.Domain}, {"s=", d.Selector}, {"i=", d.Identity}, {"a=", d.Algorithm}, {"b=", d.Signature},
	} {
		if part.value != "" {
			parts = append(parts, part.name+part.value)
		}
	}
	if d.Header != "" {
		parts = append(parts, "c="+d.Header+"/"+d.Body)
	}
	p.labelled(labelSignature, strings.Join(parts, " "))
	key := d.KeyAt
	if key != "" && d.KeyBits > 0 {
		key = p.say(textBits, key, d.KeyBits)
	}
	p.labelled(labelKey, key)
	p.labelled(labelAligned, d.Aligns)
	p.labelled(labelError, d.Error)
}

func (d *DMARC) write(p *page) {
	p.section("DMARC", d.Result, d.Means)
	label := p.say(labelWalk)
	for _, s := range d.Walk {
		switch {
		case s.Record != "":
			p.row(label, s.Name+": "+quoted(s.Record))
		case s.Error != "":
			p.row(label, s.Name+": "+s.Error)
		default:
			p.row(label, p.say(textNoRecordAt, s.Name))
		}
		label = ""
		if s.Record != "" && s.Error != "" {
			p.row("", "  "+s.Error)
		}
		for _, warning := range s.Warnings {
			p.row("", "  "+p.say(textWarning, warning))
		}
	}
	org := d.OrgDomain
	if org != "" && d.PSL {
		org = p.say(textByPSL, org)
	}
	p.labelled(labelOrgDomain, org)
	p.labelled(labelPolicy, d.PolicyMeans)
	if d.Record != "" {
		p.labelled(labelAlignment, p.say(textModes, d.ASPF, d.ADKIM))
	}
	p.labelled(labelError, d.Error)
}

func (a *ARC) write(p *page) {
	p.section("ARC", a.Result, a.Means)
	for _, h := range a.Hops {
		verified := p.say(arcVerified)
		if !h.Verified {
			verified = p.say(arcChanged)
		}
		p.row(p.say(labelHop, h.Instance), p.say(arcHop, h.SealDomain, h.Selector, verified))
		if h.Results != "" {
			p.row("", p.say(arcStates, quoted(strings.TrimSpace(h.Results))))
		}
	}
	p.labelled(labelError, a.Error)
}

func (d *DNS) write(p *page) {
	p.section("DNS", "", "")
	if d.Missing != "" {
		p.row("", p.say(dnsNotKept, d.Missing))
	}
	for i := range d.Answers {
		d.Answers[i].write(p)
	}
	if d.Cut {
		p.row("", p.say(dnsMore))
	}
}

func (a *Answer) write(p *page) {
	took := (time.Duration(a.Took) * time.Microsecond).String()
	if a.Took == 0 {
		took = p.say(dnsCached)
	}
	mark := " "
	if a.Failed {
		mark = "!"
	}
	answer := a.Error
	if answer == "" {
		answer = p.say(dnsRecords, len(a.Records))
		if len(a.Records) == 1 {
			answer = quotedTXT(a.Type, a.Records[0])
		}
	}
	p.line(mark + " " + pad(a.Type, 5) + " " + a.Name + ": " + answer + " (" + took + ")")
	if len(a.Records) > 1 {
		for _, r := range a.Records {
			p.line("          " + quotedTXT(a.Type, r))
		}
	}
}

func quotedTXT(kind, words string) string {
	if kind == "TXT" {
		return quoted(words)
	}
	return words
}
