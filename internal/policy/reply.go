package policy

import (
	"errors"
	"fmt"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/message"
	"dmarcd/internal/text"
)

// replyFor is the SMTP answer that goes with a decision; zero unless it rejects
// or defers.
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

// rejectText is the operator's text for DMARC failures under p=reject, and a
// built-in one that names the rule for all else.
func rejectText(v *Verdict, f Facts, r *DMARCRules, d Decision) string {
	author := v.DMARC.Author.String()
	switch {
	case d.Reason == ReasonMultipleFrom || author == "":
		return "5.7.1 " + whyNoAuthor(v) + ", so DMARC cannot be checked"
	case d.Reason == ReasonEnforcedPeer && v.DMARC.Record == nil:
		return fmt.Sprintf("5.7.1 %s must pass DMARC here, but publishes no DMARC record", author)
	case d.Reason == ReasonEnforcedPeer:
		return fmt.Sprintf("5.7.1 %s must pass DMARC here: SPF %s, DKIM %s", author, v.SPF.Status, v.DKIMWord())
	case d.Reason == ReasonNoRecord:
		return fmt.Sprintf("5.7.1 %s publishes no DMARC record, which this site does not accept", author)
	case v.DMARC.Policy != dmarc.PolicyReject:
		return fmt.Sprintf("5.7.1 mail from %s fails DMARC (p=%s), which this site does not accept: SPF %s, DKIM %s",
			author, v.DMARC.Policy, v.SPF.Status, v.DKIMWord())
	}
	return r.RejectText.Expand(func(name string) string { return v.variable(name, f) })
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
		return string(v.SPF.Status)
	case "dkim":
		return v.DKIMWord()
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

// DKIMWord sums the signatures up in one word: that of the signature shown,
// else of the first, else none.
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

// MaxForgedDepth bounds what deleting the fields that claim to be ours may cost the
// MTA: the places summed at which they stand, counted from the top. No honest message
// has any; Postfix reads the header from its top for each, which for so many takes it
// about a tenth of a second.
const MaxForgedDepth = 2_000_000

// ForgedDecision refuses a message whose forged fields exceed MaxForgedDepth.
func ForgedDecision() Decision {
	return Decision{
		Action: Reject, Would: Reject, Reason: ReasonForged,
		Reply: Reply{Code: 550, Enhanced: "5.7.1", Text: "the message bears too many forged authentication results of this host"},
	}
}
