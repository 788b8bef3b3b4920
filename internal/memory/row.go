package memory

import (
	"errors"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/policy"
	"dmarcd/internal/report"
)

// Aggregate is the record's count for a report to the sender's domain. It is false where
// none is due: DMARC did not run for a domain whose mail is counted, no policy was found
// or it requests no reports (RFC 9990 section 3.1: no "rua", no report), the mail was
// deferred and will come again, or it is itself a report.
func (r *Record) Aggregate() (Aggregate, bool) {
	v := &r.Verdict.DMARC
	if r.CarriesReport || r.Decision.Action == policy.Defer || !r.ClientIP.IsValid() {
		return Aggregate{}, false
	}
	if v.Record == nil || v.Record.Unusable || len(v.Record.RUA) == 0 || v.PolicyDomain.IsZero() {
		return Aggregate{}, false
	}
	o := r.counted()
	if o == nil {
		return Aggregate{}, false
	}
	row := r.row(o)
	return Aggregate{
		Day: DayOf(r.At), PolicyDomain: v.PolicyDomain, Record: v.Record.Text, PSL: r.PSL,
		Row: string(row.AppendKey(nil)), Failed: !v.SPFAligned && !v.DKIMAligned, Count: 1, Last: r.At.Unix(),
	}, true
}

// counted is the outcome that the row reports: the one carried out, or else the first for
// which DMARC ran; nil where no domain's mail is counted.
func (r *Record) counted() *Outcome {
	due := func(o *Outcome) bool { return o.DailyReports && o.Decision.Evaluated }
	if r.Chosen >= 0 && due(&r.Outcomes[r.Chosen]) {
		return &r.Outcomes[r.Chosen]
	}
	for i := range r.Outcomes {
		if due(&r.Outcomes[i]) {
			return &r.Outcomes[i]
		}
	}
	return nil
}

// row is the record as a row of a report, RFC 9990 section 3.1.
func (r *Record) row(o *Outcome) report.Row {
	v := &r.Verdict
	row := report.Row{
		SourceIP: r.ClientIP, Count: 1,
		Disposition: r.disposition(),
		DKIM:        aligned(v.DMARC.DKIMAligned), SPF: aligned(v.DMARC.SPFAligned),
		HeaderFrom:   v.DMARC.Author.String(),
		EnvelopeFrom: r.EnvelopeFrom.String(), NullSender: r.NullSender,
		AuthDKIM: r.signatures(),
	}
	row.Reasons = r.reasons(o, row.Disposition)
	if v.SPF.Status != "" && !v.SPF.Domain.IsZero() {
		// With a null sender the domain is that of HELO, as part of the MAIL FROM
		// identity (RFC 7208 section 2.4); RFC 9990 has no other scope.
		row.AuthSPF = &report.SPFResult{Domain: v.SPF.Domain.String(), Scope: report.ScopeMFrom, Result: report.Result(v.SPF.Status)}
	}
	return row
}

func aligned(pass bool) report.DMARCResult {
	if pass {
		return report.DMARCPass
	}
	return report.DMARCFail
}

// disposition is the action on the message, in the terms of RFC 9990.
func (r *Record) disposition() report.Disposition {
	switch r.Decision.Action {
	case policy.Reject, policy.Discard: // there is no word for discarding
		return report.DispositionReject
	case policy.Quarantine:
		return report.DispositionQuarantine
	}
	d := &r.Verdict.DMARC
	if d.Status == dmarc.Pass && d.Policy != dmarc.PolicyNone {
		return report.DispositionPass
	}
	return report.DispositionNone
}

// reasons say why the disposition differs from the owner's policy: at least one where
// they differ (RFC 9990 section 3.1.5), none where they do not.
func (r *Record) reasons(o *Outcome, done report.Disposition) []report.Reason {
	d := &r.Verdict.DMARC
	if o.Decision.Standalone() && o.Decision.Action != policy.Bypass {
		return []report.Reason{r.override(o)}
	}
	if d.Status == dmarc.Pass {
		if done == report.DispositionPass || done == report.DispositionNone {
			return nil
		}
		return []report.Reason{r.override(o)}
	}
	var out []report.Reason
	if d.Policy != d.Requested {
		out = append(out, report.Reason{Type: report.ReasonPolicyTestMode, Comment: "t=y: " + string(d.Requested) + " applied as " + string(d.Policy)})
	}
	if string(done) != string(d.Policy) {
		out = append(out, r.override(o))
	}
	return out
}

// override says which local rule decided otherwise. It names no tenant and no tenant's
// setting: reports go to strangers.
func (r *Record) override(o *Outcome) report.Reason {
	local := func(comment string) report.Reason {
		return report.Reason{Type: report.ReasonLocalPolicy, Comment: comment}
	}
	if r.Chosen < 0 || o != &r.Outcomes[r.Chosen] {
		return local("recipients with different settings")
	}
	d := &o.Decision
	if o.Mode == policy.Monitor && d.Would != d.Action {
		return local("monitoring only")
	}
	switch d.Reason {
	case policy.ReasonForwarder:
		return report.Reason{Type: report.ReasonTrustedForwarder}
	case policy.ReasonARC:
		return local(d.Comment)
	case policy.ReasonEnforcedPeer:
		return local("stricter rules for this domain")
	case policy.ReasonSPF:
		return local("local check of SPF")
	case policy.ReasonDKIM:
		return local("local check of DKIM")
	case policy.ReasonSenderIP:
		if d.Action != policy.Bypass {
			return local("not from a known sending network")
		}
		return local("known sending network")
	case policy.ReasonTemperror:
		return local("temporary DNS failure left the result open")
	case policy.ReasonForged:
		return local("too many forged results in the header")
	case policy.ReasonPass:
		return local("local criteria")
	}
	return local("")
}

// signatures are the results of DKIM that a row can report: those with a domain and a
// selector, best first.
func (r *Record) signatures() []report.DKIMResult {
	v := &r.Verdict
	if len(v.DKIM) == 0 {
		return nil
	}
	out := make([]report.DKIMResult, 0, len(v.DKIM))
	related := map[string]report.Aligned{}
	for i := range v.DKIM {
		s := &v.DKIM[i]
		if s.Domain.IsZero() || s.Selector == "" {
			continue
		}
		domain := s.Domain.String()
		switch {
		case s.Domain == v.DMARC.Author:
			related[domain] = report.StrictAligned
		case i < len(v.DKIMAlignments) && v.DKIMAlignments[i] == dmarc.Aligned:
			related[domain] = report.RelaxedAligned
		}
		out = append(out, report.DKIMResult{Domain: domain, Selector: s.Selector, Result: report.Result(s.Status), HumanResult: whyNot(s)})
	}
	return report.RankDKIM(out, func(domain string) report.Aligned { return related[domain] })
}

// whyNot is the kind of a signature's failure: one of few texts, so that equal mail
// stays one row.
func whyNot(s *dkim.Result) string {
	if s.Status == dkim.Pass {
		return ""
	}
	for _, c := range causesKnown {
		if text, ours := strings.CutPrefix(c.Error(), "dkim: "); ours && errors.Is(s.Err, c) {
			return text
		}
	}
	return ""
}
