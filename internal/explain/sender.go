package explain

import (
	"errors"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// tellSender is a text for the sender of the message, as for the reply to a ticket: what
// happened to it, why, and who can fix what. It names no recipient and no setting, and
// reveals nothing that the SMTP reply would not.
func (x *explainer) tellSender() string {
	d := &x.r.Decision
	when := x.r.At.UTC().Format(x.say(tellDate))
	what := tellAccepted
	switch d.Action {
	case policy.Reject:
		what = tellRefused
	case policy.Defer:
		what = tellDeferred
	case policy.Quarantine:
		what = tellQuarantined
	case policy.Discard:
		what = tellDiscarded
	default:
		return x.say(what, when)
	}
	o := x.decisive()
	parts := []string{x.say(what, when, x.tellWhy(o))}
	if d.Action != policy.Defer && o != nil {
		parts = append(parts, x.tellHow(o)...)
	}
	return strings.Join(parts, x.say(tellSpace))
}

// tellWhy says why, in a clause.
func (x *explainer) tellWhy(o *memory.Outcome) string {
	author := x.d.Author
	switch x.r.Decision.Reason {
	case policy.ReasonConflict:
		return x.say(tellParts)
	case policy.ReasonForged:
		return x.say(tellForged)
	case policy.ReasonTemperror:
		return x.say(tellTemp)
	case policy.ReasonMultipleFrom:
		return x.noAuthor()
	case policy.ReasonSenderIP:
		return x.say(tellSenderIP, author, x.client())
	case policy.ReasonSPF:
		return x.say(tellSPF, x.v.SPF.Status, x.spfMeans())
	case policy.ReasonDKIM:
		return x.say(tellDKIM, x.signatures())
	case policy.ReasonNoRecord:
		return x.say(tellNoRecord, author)
	case policy.ReasonEnforcedPeer:
		switch {
		case author.IsZero():
			return x.noAuthor()
		case x.d.Record == nil:
			return x.say(tellNoRecord, author)
		case x.d.Status == dmarc.Pass:
			return x.say(tellPeer, author)
		}
		return x.say(tellUnauth, author)
	}
	switch {
	case author.IsZero():
		return x.noAuthor()
	case x.d.Policy == dmarc.PolicyReject:
		return x.say(tellReject, author)
	case x.d.Policy == dmarc.PolicyQuarantine:
		return x.say(tellQuarantine, author)
	}
	return x.say(tellUnauth, author)
}

// tellHow says how the message was sent and who can fix what.
func (x *explainer) tellHow(o *memory.Outcome) []string {
	author := x.d.Author
	switch o.Decision.Reason {
	case policy.ReasonMultipleFrom:
		return []string{x.say(tellOneFrom)}
	case policy.ReasonNoRecord:
		return []string{x.say(tellPublish, author)}
	case policy.ReasonPolicy, policy.ReasonEnforcedPeer:
	default:
		return nil
	}
	if author.IsZero() {
		return []string{x.say(tellOneFrom)}
	}
	if x.d.Record == nil {
		return []string{x.say(tellPublish, author)}
	}
	parts := x.methodHint()
	if x.v.SPF.Status == spf.PermError && x.v.SPFAlignment == dmarc.Aligned {
		parts = append(parts, x.say(tellFixSPF, x.v.SPF.Domain, x.spfFault(x.v.SPF.Err)))
	}
	return append(parts, x.say(tellNotYou))
}

// methodHint says how the message was sent, and what the owner of that path can do.
func (x *explainer) methodHint() []string {
	author := x.d.Author
	if signer := x.changedSignature(); signer != "" {
		return []string{x.say(tellChanged, signer)}
	}
	if signer := x.otherSigner(); !signer.IsZero() {
		return []string{x.say(tellSignedBy, signer), x.say(tellLetSign, author, signer)}
	}
	if s := &x.v.SPF; s.Status == spf.Pass && !x.isAuthors(s.Domain) {
		return []string{x.say(tellSentBy, s.Domain), x.say(tellLetSign, author, s.Domain)}
	}
	var parts []string
	if x.r.ClientIP.IsValid() {
		parts = append(parts, x.say(tellServer, x.client()))
	}
	return append(parts, x.say(tellSetUp, author))
}

// changedSignature is the domain of an aligned signature that the way of the message
// broke; "" if there is none.
func (x *explainer) changedSignature() string {
	for i := range x.v.DKIM {
		s := &x.v.DKIM[i]
		broken := errors.Is(s.Err, dkim.ErrBodyHash) || errors.Is(s.Err, dkim.ErrSignature)
		if broken && i < len(x.v.DKIMAlignments) && x.v.DKIMAlignments[i] == dmarc.Aligned {
			return s.Domain.String()
		}
	}
	return ""
}
