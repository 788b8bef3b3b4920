package policy

import (
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/spf"
)

// source is the result of a sender IP match.
type source struct {
	rule   *IPMatch // the entry that a failure matched; nil if there is none
	passed bool     // the client may send for the From domain
}

func (s source) failed() bool { return s.rule != nil }

// matchSource compares the client's address with the networks allowed for the From
// domain. Several entries for a domain are combined. Without an address, or a single From
// domain, nothing matches.
func matchSource(v *Verdict, f Facts, entries []IPMatch) source {
	if !v.singleAuthor() || !f.ClientIP.IsValid() {
		return source{}
	}
	var s source
	for i := range entries {
		e := &entries[i]
		if !e.Domain.Match(v.DMARC.Author) {
			continue
		}
		if e.Networks.Match(f.ClientIP) {
			return source{passed: true}
		}
		if s.rule == nil {
			s.rule = e
		}
	}
	return s
}

func (s source) decision(v *Verdict, f Facts) Decision {
	d := Decision{Action: s.rule.Action, Reason: ReasonSenderIP, Rule: RuleSenderIPMatch}
	if d.Action == Reject {
		d.Reply = rejection("5.7.1 mail from " + v.DMARC.Author.String() + " is not accepted from " + f.clientIP())
	}
	return d
}

// applies reports whether the standalone SPF check looks at the message at all.
func (r *SPFRules) applies(v *Verdict, f Facts) bool {
	if !r.Enabled {
		return false
	}
	ignored, _ := r.Ignored.Match(v.SPF.Domain, f.ClientIP, f.day())
	return !ignored
}

// decideSPF is the standalone SPF check.
func decideSPF(v *Verdict, f Facts, r *SPFRules) Decision {
	action, key := r.Actions.of(v.SPF.Status)
	d := Decision{Action: action, Reason: ReasonSPF, Rule: RuleSPFActions + key}
	switch action {
	case Reject:
		d.Reply = rejection(v.spfRejectText(f))
	case Defer:
		if f.DeferExpired {
			return Decision{Action: Bypass, Reason: ReasonSPF, Rule: RuleDeferLimit}
		}
		d.Reply = deferral("4.7.24", "SPF for "+v.spfIdentity())
	}
	return d
}

// spfRejectText is the reply of the standalone SPF check, worded for the result. 7.23 is
// from RFC 7372 section 3.2.
func (v *Verdict) spfRejectText(f Facts) string {
	result := "5.7.23 SPF " + string(v.SPF.Status) + ": " + v.spfIdentity()
	switch v.SPF.Status {
	case spf.PermError:
		return result + " has an SPF record that cannot be evaluated"
	case spf.TempError:
		return result + " could not be checked because of DNS trouble"
	case spf.None, spf.Neutral:
		return result + " does not say that " + f.clientIP() + " may send its mail"
	}
	text := result + " does not permit " + f.clientIP() + " to send its mail"
	if v.SPF.Explanation != "" {
		text += "; it explains: " + v.SPF.Explanation
	}
	return text
}

func (v *Verdict) spfIdentity() string {
	if v.SPF.Domain.IsZero() {
		return "the sender"
	}
	return v.SPF.Domain.String()
}

// of is the action for a result and its key; a pass is let through.
func (a *SPFActions) of(s spf.Status) (Action, string) {
	switch s {
	case spf.Fail:
		return a.Fail, "fail"
	case spf.Softfail:
		return a.Softfail, "softfail"
	case spf.Neutral:
		return a.Neutral, "neutral"
	case spf.None:
		return a.None, "none"
	case spf.PermError:
		return a.Permerror, "permerror"
	case spf.TempError:
		return a.Temperror, "temperror"
	}
	return Bypass, "pass"
}

// applies reports whether the standalone DKIM check looks at the message at all.
func (r *DKIMRules) applies(f Facts) bool {
	return r.Enabled && !(f.NullSender && r.SkipNullSender)
}

// dkimRejectText is the reply of the standalone DKIM check, worded for the result.
func (v *Verdict) dkimRejectText(rule string) string {
	switch {
	case rule == RuleDKIMEnforcedPeers:
		return "mail from " + v.DMARC.Author.String() + " must have a signature here that verifies"
	case len(v.DKIM) == 0 && v.Unchecked == 0:
		return "the message has no signature, which this site does not accept"
	}
	return "no signature of the message verifies"
}

// DKIMSummary is the standalone DKIM check's result for all signatures.
type DKIMSummary string

// Summaries.
const (
	DKIMVerified    DKIMSummary = "verified"    // at least one verified
	DKIMFailed      DKIMSummary = "failed"      // some were processed, none verified
	DKIMTemporary   DKIMSummary = "temporary"   // none verified, a key could not be fetched
	DKIMUnprocessed DKIMSummary = "unprocessed" // there are signatures, none could be processed
	DKIMUnsigned    DKIMSummary = "unsigned"
)

// SummarizeDKIM sums the signatures up for the standalone check. A key that could
// not be fetched leaves it open whether that signature would have verified.
func (v *Verdict) SummarizeDKIM() DKIMSummary {
	s := v.dkimSummary()
	switch {
	case s.verified:
		return DKIMVerified
	case s.temporary:
		return DKIMTemporary
	case s.processed:
		return DKIMFailed
	case len(v.DKIM) > 0:
		return DKIMUnprocessed
	}
	return DKIMUnsigned
}

// Enforces reports whether the standalone DKIM check demands a signature of the
// message's author.
func (r *DKIMRules) Enforces(v *Verdict, f Facts) bool {
	if !v.singleAuthor() {
		return false
	}
	ok, _ := r.EnforcedPeers.MatchOn(v.DMARC.Author, f.day())
	return ok
}

// decideDKIM is the standalone DKIM check: an enforced peer without a verified
// signature fails.
func decideDKIM(v *Verdict, f Facts, r *DKIMRules) Decision {
	d := Decision{Action: Bypass, Reason: ReasonDKIM}
	switch v.SummarizeDKIM() {
	case DKIMFailed:
		d.Action, d.Rule = r.Actions.Fail, RuleDKIMActionFail
	case DKIMTemporary:
		d.Action, d.Rule = r.Actions.Temperror, RuleDKIMActionTemp
	case DKIMUnsigned, DKIMUnprocessed:
		d.Action, d.Rule = r.Actions.None, RuleDKIMActionNone
		if r.Enforces(v, f) {
			d.Action, d.Rule = stricter(r.Actions.Fail, r.Actions.None), RuleDKIMEnforcedPeers
		}
	}
	switch d.Action {
	case Reject: // 7.20 by RFC 7372 section 3.1
		d.Reply = rejection("5.7.20 DKIM " + v.DKIMWord() + ": " + v.dkimRejectText(d.Rule))
	case Defer:
		if f.DeferExpired {
			return Decision{Action: Bypass, Reason: ReasonDKIM, Rule: RuleDeferLimit}
		}
		d.Reply = deferral("4.7.1", "DKIM "+string(dkim.TempError)+": the signature's key")
	}
	return d
}
