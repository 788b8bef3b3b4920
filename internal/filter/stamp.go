package filter

import (
	"errors"
	"fmt"
	"strings"

	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/policy"
	"dmarcd/internal/text"
)

// Names of the fields that we write.
const (
	fieldAuthResults = "Authentication-Results"
	fieldTM          = "X-TM-Authentication-Results"
	fieldReceivedSPF = "X-TM-Received-SPF"
	fieldQuarantine  = "X-TM-Quarantine"
	fieldSpamFlag    = "X-Spam-Flag"
	fieldRecipients  = "X-TM-Original-Recipients"
)

// edits lists the forged fields to remove and ours to add.
func (t *Transaction) edits(out *Result) {
	t.removeForged(out)
	if out.ForgedKept {
		return // one of our results among the forged ones would make them look authentic
	}
	t.quarantine(out)
	t.tagSubject(out, out.tag)
	t.standalone(out)
	if wanted(out, func(d *DomainDecision) bool { return d.Decision.Evaluated && d.Rules.DMARC.XHeader }) {
		out.Insert = append(out.Insert, NewField{Name: fieldTM, Value: tmResult(out, out.reported()).Value()})
	}
	if wanted(out, func(d *DomainDecision) bool { return d.Rules.DMARC.AuthenticationResults }) {
		out.Insert = append(out.Insert, NewField{Name: fieldAuthResults, Value: results(t.settings.AuthServID, out, out.reported()).Value()})
	}
}

// removeForged lists the forged fields to remove, unless that costs the MTA too much.
func (t *Transaction) removeForged(out *Result) {
	out.Forged = t.forged.Found()
	if out.ForgedKept = t.forged.Depth() > policy.MaxForgedDepth; !out.ForgedKept {
		out.Remove = t.forged.Refs()
	}
}

// quarantine sets quarantined mail apart in the ways that are not the MTA's hold queue.
func (t *Transaction) quarantine(out *Result) {
	if out.Decision.Action != policy.Quarantine || out.Rules == nil {
		return
	}
	switch out.Rules.Quarantine.Method {
	case policy.QuarantineHeader:
		out.Insert = append(out.Insert,
			NewField{Name: fieldSpamFlag, Value: " YES"},
			NewField{Name: fieldQuarantine, Value: " " + quarantineWord(out.Decision.Reason)})
	case policy.QuarantineRedirect:
		out.Redirect = out.Rules.Quarantine.Address
		out.Insert = append(out.Insert,
			NewField{Name: fieldQuarantine, Value: " " + quarantineWord(out.Decision.Reason)}, t.originalRecipients())
		for _, r := range t.rcpts.ours {
			out.Replaced = append(out.Replaced, r.address)
		}
		out.Replaced = append(out.Replaced, t.rcpts.resolved...)
	}
}

// maxRecipientsField bounds the list of recipients in a field, in octets.
const maxRecipientsField = 16 << 10

// maxAddress is the length of an address, with some margin (RFC 5321 section 4.5.3.1.3).
const maxAddress = 320

// originalRecipients keeps the recipients of redirected mail, for whoever releases it.
func (t *Transaction) originalRecipients() NewField {
	whole, redacted := make([]string, 0, len(t.rcpts.ours)), make([]string, 0, len(t.rcpts.ours))
	for _, r := range t.rcpts.ours {
		whole = append(whole, r.address.String())
		redacted = append(redacted, "@"+r.address.Host)
	}
	return NewField{Name: fieldRecipients, Value: addressList(whole), redacted: addressList(redacted)}
}

// addressList formats addresses as a field's value, one per line. Where the field cannot
// hold them all, it says how many there are.
func addressList(addresses []string) string {
	angles := strings.NewReplacer("<", "?", ">", "?")
	var b strings.Builder
	for i, a := range addresses {
		if b.Len() > maxRecipientsField {
			fmt.Fprintf(&b, ",\r\n (and %d more)", len(addresses)-i)
			break
		}
		if i > 0 {
			b.WriteString(",\r\n")
		}
		b.WriteString(" <" + angles.Replace(text.ASCII(a, maxAddress)) + ">")
	}
	return b.String()
}

// quarantineWord names the check that quarantined a message.
func quarantineWord(r policy.Reason) string {
	switch r {
	case policy.ReasonSPF:
		return "spf"
	case policy.ReasonDKIM:
		return "dkim"
	case policy.ReasonSenderIP:
		return "sender-ip"
	case policy.ReasonMultipleFrom:
		return "multiple-from"
	}
	return "dmarc"
}

// standalone stamps what the standalone checks found, in the vendor's forms.
func (t *Transaction) standalone(out *Result) {
	dkimField := func(d DomainDecision) bool { return d.Decision.Ran.DKIM && d.Rules.DKIM.XHeader }
	d, ok := find(out, func(d DomainDecision) bool { return dkimField(d) && d.Rules.DKIM.Enforces(&out.Verdict, out.facts()) })
	if !ok {
		d, ok = find(out, dkimField)
	}
	if ok {
		found := tmDKIM(&out.Verdict, out.facts(), &d.Rules.DKIM)
		field := NewField{Name: fieldTM, Value: found.Value()}
		if plain := withoutLocal(found.HeaderI); plain != found.HeaderI {
			found.HeaderI = plain
			field.redacted = found.Value()
		}
		out.Insert = append(out.Insert, field)
	}
	if _, ok := find(out, func(d DomainDecision) bool { return d.Decision.Ran.SPF && d.Rules.SPF.XHeader }); ok {
		found := authres.ReceivedSPF{
			Result: string(out.Verdict.SPF.Status), ClientIP: out.Envelope.ClientIP,
			EnvelopeFrom: out.Envelope.MailFrom.String(), Helo: out.Envelope.Helo,
		}
		field := NewField{Name: fieldReceivedSPF, Value: found.Value()}
		if !out.Envelope.NullSender() {
			found.EnvelopeFrom = "@" + out.Envelope.MailFrom.Host
			field.redacted = found.Value()
		}
		out.Insert = append(out.Insert, field)
	}
}

// withoutLocal leaves the "@" and the domain of an identity.
func withoutLocal(identity string) string {
	return identity[max(0, strings.LastIndexByte(identity, '@')):]
}

// find is the first recipient domain for which is returns true.
func find(out *Result, is func(DomainDecision) bool) (DomainDecision, bool) {
	for _, d := range out.Domains {
		if is(d) {
			return d, true
		}
	}
	return DomainDecision{}, false
}

// tmDKIM is the standalone DKIM form of X-TM-Authentication-Results.
func tmDKIM(v *policy.Verdict, f policy.Facts, r *policy.DKIMRules) authres.TMDKIM {
	out := authres.TMDKIM{Enforced: r.Enforces(v, f)}
	switch v.SummarizeDKIM() {
	case policy.DKIMVerified:
		s := &v.DKIM[v.Shown()]
		out.Outcome, out.HeaderD, out.HeaderS, out.HeaderI = authres.VerifiedSig, s.Domain.String(), s.Selector, s.Identity
	case policy.DKIMFailed:
		out.Outcome = authres.UnverifiedSig
	case policy.DKIMUnsigned:
		out.Outcome = authres.Unsigned
	default:
		out.Outcome = authres.Unprocessed
	}
	return out
}

// wanted reports whether a recipient domain wants a field.
func wanted(out *Result, wants func(*DomainDecision) bool) bool {
	for i := range out.Domains {
		if wants(&out.Domains[i]) {
			return true
		}
	}
	return false
}

// maxShownSignatures bounds the items of Authentication-Results: a message may have
// thousands of signatures, of which limits.signatures are checked.
const maxShownSignatures = 100

// results is Authentication-Results: raw results and the verdict of RFC 9989,
// whatever the criteria in force.
func results(authServID string, out *Result, d DomainDecision) authres.Results {
	v := &out.Verdict
	r := authres.Results{AuthServID: authServID, Unsigned: len(v.DKIM) == 0, SPF: &authres.SPF{Result: string(v.SPF.Status)}}
	if v.SPF.Scope == spf.Helo {
		r.SPF.Helo = v.SPF.Domain.String()
	} else {
		r.SPF.MailFrom = v.SPF.Domain.String()
	}
	r.DKIM = signatureItems(v.DKIM)
	if v.ARC.Status != "" {
		r.ARC = &authres.ARC{Result: string(v.ARC.Status), RemoteIP: out.Envelope.ClientIP, OldestPass: v.ARC.OldestPass}
	}
	if d.Decision.Evaluated {
		r.DMARC = &authres.DMARC{
			Result: string(v.DMARC.Status), From: v.DMARC.Author.String(), Policy: string(v.DMARC.Policy),
			Reason: overrideWords(&d.Decision),
		}
	}
	return r
}

// overrideWords says why a message that does not pass DMARC passes here; "" for all
// others.
func overrideWords(d *policy.Decision) string {
	switch {
	case d.Reason == policy.ReasonForwarder:
		return "trusted forwarder"
	case d.Reason == policy.ReasonARC:
		return "trusted sealer"
	case d.Reason == policy.ReasonSenderIP && d.Status == dmarc.Pass && d.Would == policy.Bypass:
		return "sender IP match"
	}
	return ""
}

// signatureItems has an item for each signature. Of more than a field should hold,
// those that were not even checked are left out first.
func signatureItems(results []dkim.Result) []authres.DKIM {
	many := len(results) > maxShownSignatures
	items := make([]authres.DKIM, 0, min(len(results), maxShownSignatures))
	for i := range results {
		s := &results[i]
		if many && (len(items) == maxShownSignatures || errors.Is(s.Err, dkim.ErrLimit)) {
			continue
		}
		items = append(items, authres.DKIM{
			Result: string(s.Status), Domain: s.Domain.String(), Selector: s.Selector, Algorithm: s.Algorithm, B: s.SigPrefix,
		})
	}
	return items
}

// tmResult is X-TM-Authentication-Results, in the words of the criteria in force.
func tmResult(out *Result, d DomainDecision) authres.TMResult {
	v := &out.Verdict
	r := authres.TMResult{
		SPF:        string(v.SPF.Status),
		ClientIP:   out.Envelope.ClientIP,
		DKIM:       tmDKIMWord(v, d),
		Reason:     authres.NoneProcessed,
		DMARC:      string(d.Decision.Status),
		Action:     tmAction(d.Decision.Would),
		HeaderFrom: v.DMARC.Author.String(),
	}
	if v.SPF.Scope != spf.Helo {
		r.MailFrom = v.SPF.Domain.String()
	}
	if i := v.Shown(); i >= 0 {
		r.HeaderD = v.DKIM[i].Domain.String()
		r.Reason = authres.NoneVerified
		if v.DKIM[i].Status == dkim.Pass {
			r.Reason = authres.Verified
		}
	}
	return r
}

// tmDKIMWord is the dkim word: the raw one by RFC 9989, pass or fail by criteria
// that are lenient or strict about unsigned mail.
func tmDKIMWord(v *policy.Verdict, d DomainDecision) string {
	hes := d.Rules.DMARC.Criteria == policy.CriteriaHES
	if !hes && !d.Decision.Enforced {
		return v.DKIMWord()
	}
	shown := v.Shown()
	if shown >= 0 && v.DKIM[shown].Status == dkim.Pass || shown < 0 && !d.Decision.Enforced {
		return string(dkim.Pass)
	}
	return string(dkim.Fail)
}

// tmAction spells an action as the vendor does.
func tmAction(a policy.Action) string {
	switch a {
	case policy.Quarantine, policy.Reject:
		return string(a)
	}
	return "none"
}
