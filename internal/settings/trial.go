package settings

import (
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Trial is the result of one of the policy's tests.
type Trial struct {
	Test  *Test
	Index int // of the test in the file, from 0
	// Decision is that of the recipient's domain. Would is what counts: a test states
	// what mode enforce does, so that it is valid while the domain is in mode monitor.
	Decision policy.Decision
}

// Passed reports whether the decision is the expected one.
func (t *Trial) Passed() bool { return t.Decision.Would == t.Test.Expect }

// String states what was expected and what was decided, with reason and key.
func (t *Trial) String() string {
	d := &t.Decision
	by := string(d.Reason)
	if d.Rule != "" {
		by += " by " + d.Rule
	}
	if t.Passed() {
		return fmt.Sprintf("%s: %s", d.Would, by)
	}
	return fmt.Sprintf("expected %s, got %s: %s", t.Test.Expect, d.Would, by)
}

// Try decides every test of the policy as a message, in the order of the file.
func (p *Policy) Try() []Trial {
	out := make([]Trial, len(p.Tests))
	for i := range p.Tests {
		out[i] = Trial{Test: &p.Tests[i], Index: i, Decision: p.Decide(&p.Tests[i])}
	}
	return out
}

// Decide applies the rules of the recipient's domain to the message that the test
// describes. A recipient that is not ours is let through. Ended list entries count, so
// that a test does not fail merely because time has passed.
func (p *Policy) Decide(t *Test) policy.Decision { return p.decideOn(t, 0) }

// decideOn is Decide on a day; on day 0 whatever has ended.
func (p *Policy) decideOn(t *Test, on policy.Day) policy.Decision {
	rules, ours := p.RulesFor(t.Rcpt.Domain)
	if !ours {
		return policy.Decision{Action: policy.Bypass, Would: policy.Bypass, Reason: policy.ReasonNotOurs}
	}
	v := t.verdict()
	f := policy.Facts{ClientIP: t.IP, NullSender: t.nullSender()}
	if on != 0 {
		f.Received = on.Begin()
	}
	return policy.Decide(&v, f, rules)
}

// failures are the faults of the tests that fail.
func (p *Policy) failures() Faults {
	l := faultList{}
	for _, t := range p.Try() {
		if t.Passed() {
			continue
		}
		problem := t.String()
		if t.Test.Name != "" {
			problem = fmt.Sprintf("%q: %s", t.Test.Name, problem)
		}
		at := t.Test.At
		l.add(Fault{File: at.File, Line: at.Line, Column: at.Column, Key: fmt.Sprintf("tests[%d]", t.Index), Problem: problem}, "")
	}
	return l.all()
}

func (t *Test) nullSender() bool { return t.MailFrom.Host == "" && t.MailFrom.Local == "" }

// verdict is the verdict for the message. The published policy is assumed to be at the
// From domain, with relaxed alignment.
func (t *Test) verdict() policy.Verdict {
	author := t.From.Domain
	v := policy.Verdict{SPF: t.spfResult(), Authors: []dns.Name{author}}
	v.SPFAlignment = alignment(v.SPF.Domain, author)
	if t.DKIM.Result != dkim.None {
		v.DKIM = []dkim.Result{t.dkimResult()}
		v.DKIMAlignments = []dmarc.Alignment{alignment(v.DKIM[0].Domain, author)}
	}
	v.DMARC = dmarc.Result{Status: dmarc.None, Author: author, OrgDomain: organization(author)}
	if t.Policy == PublishedNoRecord {
		return v
	}
	asked := dmarc.Policy(t.Policy)
	d := &v.DMARC
	d.Record = &dmarc.Record{P: asked, ADKIM: dmarc.Relaxed, ASPF: dmarc.Relaxed}
	d.PolicyDomain, d.Source, d.Requested, d.Policy = author, "p", asked, asked
	d.SPFAligned = v.SPF.Status == spf.Pass && v.SPFAlignment == dmarc.Aligned
	undecided := v.SPF.Status == spf.TempError && v.SPFAlignment == dmarc.Aligned
	for i, s := range v.DKIM {
		aligned := v.DKIMAlignments[i] == dmarc.Aligned
		d.DKIMAligned = d.DKIMAligned || aligned && s.Status == dkim.Pass
		undecided = undecided || aligned && s.Status == dkim.TempError
	}
	switch { // RFC 9989 sections 5.3.5 and 5.3.6
	case d.SPFAligned || d.DKIMAligned:
		d.Status = dmarc.Pass
	case undecided:
		d.Status = dmarc.TempError
	default:
		d.Status = dmarc.Fail
	}
	return v
}

// spfResult is the SPF check of the message. With the null sender it checks the HELO name
// (RFC 7208 section 2.4).
func (t *Test) spfResult() spf.Result {
	r := spf.Result{Status: t.SPF.Result, Domain: t.SPF.Domain, Scope: spf.MailFrom, ClientIP: t.IP}
	domain := t.MailFrom.Domain
	if t.nullSender() {
		r.Scope = spf.Helo
		domain, _ = dns.Parse(t.Helo) // an address literal is no domain
	}
	if r.Domain.IsZero() {
		r.Domain = domain
	}
	return r
}

// dkimResult is the one signature of the message.
func (t *Test) dkimResult() dkim.Result {
	r := dkim.Result{Status: t.DKIM.Result, Domain: t.DKIM.Domain}
	r.Processed = r.Status == dkim.Pass || r.Status == dkim.Fail
	if r.Domain.IsZero() {
		r.Domain = t.From.Domain
	}
	return r
}

// alignment is relaxed alignment as far as it can be determined without DNS: the names
// are the same, one is below the other, or both belong to one organization by the public
// suffix list, as RFC 7489 section 3.2 had it.
func alignment(a, b dns.Name) dmarc.Alignment {
	if a.IsZero() {
		return dmarc.Unaligned
	}
	if a == b || isBelow(a, b) || isBelow(b, a) || organization(a) == organization(b) {
		return dmarc.Aligned
	}
	return dmarc.Unaligned
}

func isBelow(n, ancestor dns.Name) bool { return n.IsBelow(ancestor) && !publicSuffix(ancestor) }

// organization is the name registered below a public suffix; that of a public suffix is
// itself.
func organization(n dns.Name) dns.Name {
	suffix, _ := publicsuffix.PublicSuffix(n.String())
	return n.Last(strings.Count(suffix, ".") + 2)
}
