package explain

import (
	"errors"
	"fmt"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

func (t *teller) spf() SPF {
	s := &t.v.SPF
	out := SPF{
		Result: word(s.Status), Domain: clean(s.Domain.String(), maxShort), Identity: word(s.Scope),
		Mechanism: clean(s.Mechanism, maxShort), WalkCut: s.WalkCut, Lookups: s.Lookups, Voids: s.Voids,
		Explanation: clean(s.Explanation, maxShort), Alignment: word(t.v.SPFAlignment), Error: errorText(s.Err),
		Means: clean(t.spfMeans(), maxField),
	}
	for i := range s.Walk {
		w := &s.Walk[i]
		out.Walk = append(out.Walk, Term{
			Domain: clean(w.Domain.String(), maxShort), Term: clean(w.Term, maxShort), Depth: w.Depth,
			Outcome: word(w.Outcome), Result: word(w.Result), Target: clean(w.Target.String(), maxShort), Private: w.Personal,
		})
	}
	if out.Result == "" {
		out.Result = word(spf.None)
	}
	out.Aligns = t.alignment(s.Domain, t.v.SPFAlignment, func(r *dmarc.Record) dmarc.Mode { return r.ASPF })
	if s.Domain.IsZero() {
		out.Aligns = ""
	}
	return out
}

// spfMeans says in words what SPF found.
func (t *teller) spfMeans() string {
	s := &t.v.SPF
	who, client := s.Domain.String(), t.client()
	by := ""
	if s.Mechanism != "" {
		by = fmt.Sprintf(" (by %q)", s.Mechanism)
	}
	switch s.Status {
	case spf.Pass:
		return fmt.Sprintf("%s permits %s to send its mail%s", who, client, by)
	case spf.Fail:
		return fmt.Sprintf("%s forbids %s to send its mail%s", who, client, by)
	case spf.Softfail:
		return fmt.Sprintf("%s says that %s probably may not send its mail%s", who, client, by)
	case spf.Neutral:
		if by == "" {
			return fmt.Sprintf("no term of the record of %s speaks of %s", who, client)
		}
		return fmt.Sprintf("%s says neither yes nor no to %s%s", who, client, by)
	case spf.None:
		switch {
		case s.Domain.IsZero() && s.Scope == spf.Helo:
			return "the null sender has no domain, and HELO is no domain name either"
		case s.Domain.IsZero():
			return "the sender has no domain that could publish a record"
		case !s.ClientIP.IsValid() && !t.r.ClientIP.IsValid():
			return "the client's address is not known"
		}
		return who + " publishes no SPF record"
	case spf.TempError:
		return "DNS did not answer, so it is not known what " + who + " permits"
	case spf.PermError:
		return fmt.Sprintf("the record of %s cannot be evaluated: %s", who, spfFault(s.Err))
	}
	return "SPF was not checked"
}

// spfFault says in words what is wrong with a record.
func spfFault(err error) string {
	for _, f := range []struct {
		is   error
		text string
	}{
		{spf.ErrLookupLimit, "it takes more than 10 DNS look-ups"},
		{spf.ErrVoidLimit, "more than 2 of its look-ups find nothing"},
		{spf.ErrMultipleRecords, "the domain publishes more than one"},
		{spf.ErrNoRecord, "an include or redirect leads to a domain without a record"},
		{spf.ErrTarget, "an include or redirect leads to what is no domain name"},
		{spf.ErrMXLimit, "a domain that it names has more than 10 MX hosts"},
		{spf.ErrRecordSize, "it is too large"},
		{spf.ErrSyntax, "it has a syntax error"},
	} {
		if errors.Is(err, f.is) {
			return f.text
		}
	}
	return "it is faulty"
}

// client is the client's address for a sentence.
func (t *teller) client() string {
	if t.r.ClientIP.IsValid() {
		return t.r.ClientIP.String()
	}
	return "the client"
}

// alignment says in words why a domain aligns with the author's, or does not.
func (t *teller) alignment(name dns.Name, a dmarc.Alignment, modeOf func(*dmarc.Record) dmarc.Mode) string {
	author := t.d.Author.String()
	mode := dmarc.Relaxed
	if t.d.Record != nil {
		mode = modeOf(t.d.Record)
	}
	switch {
	case a == "":
		return ""
	case a == dmarc.AlignmentUnknown:
		return "not known: DNS did not tell the organizational domain"
	case a == dmarc.Aligned && name == t.d.Author:
		return "yes: it is the From domain"
	case a == dmarc.Aligned:
		return fmt.Sprintf("yes: it shares the organizational domain %s with %s (relaxed)", orAuthor(t.d.OrgDomain, author), author)
	case mode == dmarc.Strict && !t.d.OrgDomain.IsZero() && (name == t.d.OrgDomain || name.IsBelow(t.d.OrgDomain)):
		return fmt.Sprintf("no: %s asks for strict alignment, and it is not %s itself", t.d.PolicyDomain, author)
	case name.IsZero():
		return "no: there is no domain"
	case !t.d.OrgDomain.IsZero() && t.d.OrgDomain != t.d.Author:
		return fmt.Sprintf("no: it has nothing to do with %s, whose organizational domain is %s", author, t.d.OrgDomain)
	}
	return "no: it has nothing to do with " + author
}

func orAuthor(n dns.Name, author string) string {
	if n.IsZero() {
		return author
	}
	return n.String()
}
