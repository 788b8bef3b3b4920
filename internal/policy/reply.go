package policy

import (
	"errors"
	"fmt"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/text"
)

// replyFor is the SMTP answer for a decision; zero unless it rejects or defers.
func replyFor(v *Verdict, f Facts, r *DMARCRules, d Decision) Reply {
	switch d.Action {
	case Reject:
		return rejection(rejectText(v, f, r, d))
	case Defer:
		return deferral("4.7.1", "DMARC for "+v.DMARC.Author.String())
	}
	return Reply{}
}

// deferral is the answer to mail that DNS trouble keeps from being checked.
func deferral(enhanced, what string) Reply {
	return Reply{Code: 451, Enhanced: enhanced, Text: text.ASCII(what+" cannot be checked now because of DNS trouble; please try again later", maxReplyText)}
}

// rejectText is the operator's text for DMARC failures under p=reject, and otherwise a
// built-in one that names the rule.
func rejectText(v *Verdict, f Facts, r *DMARCRules, d Decision) string {
	author := v.DMARC.Author.String()
	found := fmt.Sprintf("SPF %s, DKIM %s", v.spfFound(), v.dkimFound())
	switch {
	case d.Reason == ReasonMultipleFrom || author == "":
		return "5.7.1 " + whyNoAuthor(v) + ", so DMARC cannot be checked"
	case d.Reason == ReasonEnforcedPeer && v.DMARC.Record == nil:
		return fmt.Sprintf("5.7.1 %s must pass DMARC here, but publishes no DMARC record", author)
	case d.Reason == ReasonEnforcedPeer:
		return fmt.Sprintf("5.7.1 %s %s: %s", author, r.demand(v, f), found)
	case d.Reason == ReasonNoRecord && r.NoRecordWhen == NoRecordUnauthenticated:
		return fmt.Sprintf("5.7.1 %s publishes no DMARC record, and neither SPF nor DKIM passes for it: %s", author, found)
	case d.Reason == ReasonNoRecord:
		return fmt.Sprintf("5.7.1 %s publishes no DMARC record, which this site does not accept", author)
	case v.DMARC.Policy != dmarc.PolicyReject:
		return fmt.Sprintf("5.7.1 mail from %s fails DMARC (p=%s)%s, which this site does not accept: %s",
			author, v.DMARC.Policy, r.byCriteria(), found)
	case r.Criteria == CriteriaHES && r.RejectText.String() == DefaultRejectText:
		return fmt.Sprintf("5.7.1 %s asks to reject mail that fails DMARC, which it does here%s: %s", author, r.byCriteria(), found)
	}
	return r.RejectText.Expand(func(name string) string { return v.variable(name, f) })
}

// DefaultRejectText is the reply to mail that fails DMARC under p=reject, where the
// operator has no other.
const DefaultRejectText = "5.7.1 {domain} asks to reject mail that fails DMARC: SPF {spf}, DKIM {dkim}"

// demand is what an enforced peer must pass.
func (r *DMARCRules) demand(v *Verdict, f Facts) string {
	if require, _ := r.EnforcedPeers.MatchOn(v.DMARC.Author, f.day()); require == RequireEither {
		return "must pass SPF or DKIM here, aligned"
	}
	return "must pass both SPF and DKIM here, one of them aligned"
}

// byCriteria names criteria that are not those of RFC 9989: what fails by them may pass
// elsewhere.
func (r *DMARCRules) byCriteria() string {
	if r.Criteria == CriteriaHES {
		return " by the criteria hes (SPF must not fail, DKIM must not fail, one must align)"
	}
	return ""
}

// spfFound states the SPF result. A pass for another domain reads like a success, so it
// names the domain.
func (v *Verdict) spfFound() string {
	if v.SPF.Status != spf.Pass {
		return string(v.SPF.Status)
	}
	return passFound(v.SPF.Domain, v.SPFAlignment)
}

// dkimFound states likewise the result of the signature shown.
func (v *Verdict) dkimFound() string {
	if i := v.Shown(); i >= 0 && v.verified(i) {
		return passFound(v.DKIM[i].Domain, v.alignment(i))
	}
	return v.DKIMWord()
}

func passFound(domain dns.Name, a dmarc.Alignment) string {
	switch a {
	case dmarc.Unaligned:
		return "pass for " + domain.String() + ", which does not align"
	case dmarc.AlignmentUnknown:
		return "pass for " + domain.String() + ", of which DNS does not tell whether it aligns"
	}
	return "pass"
}

// whyNoAuthor says why the message has no single author domain.
func whyNoAuthor(v *Verdict) string {
	switch err := v.DMARC.Err; {
	case errors.Is(err, message.ErrNoFrom):
		return "the message has no From field"
	case errors.Is(err, message.ErrNoAddress):
		return "the From field holds no address"
	case errors.Is(err, message.ErrSeveralFields):
		return "the message has several From fields"
	case errors.Is(err, message.ErrSeveralAddresses):
		return "the From field holds several addresses, or what could be taken for one"
	case errors.Is(err, message.ErrBadFrom):
		return "the From field cannot be read"
	}
	return "the message has no single author domain"
}

// variable is the value of one template variable.
func (v *Verdict) variable(name string, f Facts) string {
	switch name {
	case "domain":
		return v.DMARC.Author.String()
	case "policy_domain":
		return v.DMARC.PolicyDomain.String()
	case "spf":
		return v.spfFound()
	case "dkim":
		return v.dkimFound()
	case "client_ip":
		return f.clientIP()
	case "queue_id":
		return f.QueueID
	case "explanation":
		return v.SPF.Explanation
	}
	return ""
}

func (f Facts) clientIP() string {
	if f.ClientIP.IsValid() {
		return f.ClientIP.String()
	}
	return "unknown"
}

// DKIMWord is one word for all signatures: the result of the signature shown, else of the
// first, else none.
func (v *Verdict) DKIMWord() string {
	if i := v.Shown(); i >= 0 {
		return string(v.DKIM[i].Status)
	}
	switch {
	case v.Unchecked > 0:
		return string(dkim.Policy)
	case len(v.DKIM) > 0:
		return string(v.DKIM[0].Status)
	}
	return string(dkim.None)
}

// rejection makes a 550 of a text; an enhanced code at its start is taken over.
func rejection(words string) Reply {
	reply := Reply{Code: 550, Enhanced: "5.7.1", Text: words}
	if first, rest, ok := strings.Cut(words, " "); ok && isPermanentCode(first) {
		reply.Enhanced, reply.Text = first, rest
	}
	reply.Text = text.ASCII(reply.Text, maxReplyText)
	return reply
}

// isPermanentCode reports whether s is an enhanced status code of class 5 (RFC 3463 section 2).
func isPermanentCode(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// MaxForgedDepth bounds the MTA's cost of deleting the fields that claim to be ours: the
// sum of their positions, counted from the top. No honest message has any. Postfix scans
// the header from the top for each one, which at this bound takes it about a tenth of a
// second.
const MaxForgedDepth = 2_000_000

// ForgedDecision refuses a message whose forged fields exceed MaxForgedDepth.
func ForgedDecision() Decision {
	return Decision{
		Action: Reject, Would: Reject, Reason: ReasonForged,
		Reply: Reply{Code: 550, Enhanced: "5.7.1", Text: "the message bears too many forged authentication results of this host"},
	}
}
