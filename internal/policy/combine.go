package policy

import (
	"cmp"
	"slices"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
)

// One message has one answer, but its recipients' domains may want different ones. These
// functions detect that, and choose or make one. None of them depends on the order of the
// recipients, which the sender chooses.

// DecideEach appends to ds the decision of each of several sets of rules. Forged means
// that the forged fields of the message exceed MaxForgedDepth; no domain in mode enforce
// accepts that.
func DecideEach(ds []Decision, v *Verdict, f Facts, rules []*Rules, forged bool) []Decision {
	for _, r := range rules {
		if forged && r.Mode == Enforce {
			ds = append(ds, ForgedDecision())
			continue
		}
		ds = append(ds, Decide(v, f, r))
	}
	return ds
}

// Effect is what a decision does to a message. Recipients whose domains' effects are
// equal can share one transaction; the result fields are not part of it, since mail is
// not delayed for the sake of a header.
type Effect struct {
	Action Action
	Reply  Reply
	Method QuarantineMethod // "" unless quarantined
	// Address is the destination of mail quarantined by QuarantineRedirect, else "".
	Address string
	Tag     string // put before the Subject; "" for none
}

// EffectOf is the effect of a decision that r made.
func EffectOf(d Decision, v *Verdict, f Facts, r *Rules) Effect {
	e := Effect{Action: d.Action, Reply: d.Reply, Tag: subjectTag(d, v, f, r)}
	if d.Action == Quarantine {
		if e.Method = r.Quarantine.Method; e.Method == QuarantineRedirect {
			e.Address = r.Quarantine.Address
		}
	}
	return e
}

// Effects appends to es the effects of decisions that rules, beside them, made.
func Effects(es []Effect, ds []Decision, v *Verdict, f Facts, rules []*Rules) []Effect {
	for i := range ds {
		es = append(es, EffectOf(ds[i], v, f, rules[i]))
	}
	return es
}

// Failed reports whether the message failed DMARC by this decision, so that it is tagged
// and notified. Mail that another check intercepts is not.
func (d *Decision) Failed() bool {
	if d.Standalone() {
		return false
	}
	switch d.Status {
	case dmarc.Fail, dmarc.PermError:
		return true
	case dmarc.None:
		return d.Would != Bypass
	}
	return false
}

// subjectTag is the tag of failing mail that is let through or quarantined. A tag that
// would break a signature is not added unless the rules say so.
func subjectTag(d Decision, v *Verdict, f Facts, r *Rules) string {
	switch {
	case r.Mode == Monitor || !d.Failed() || d.Action != Bypass && d.Action != Quarantine:
		return ""
	case !r.DMARC.TagSigned && (f.Sealed || v.mayVerify()):
		return ""
	}
	return r.DMARC.TagSubject
}

// mayVerify reports whether a signature verified, or may verify elsewhere, where DNS
// works. A message without such a signature loses nothing by a tag.
func (v *Verdict) mayVerify() bool {
	return slices.ContainsFunc(v.DKIM, func(s dkim.Result) bool { return s.Status == dkim.Pass || s.Status == dkim.TempError })
}

// Combine makes one decision for a message of what its recipients' sets of rules
// decided; ds and es run beside rules, and none is empty. Where the effects differ,
// choose picks one of them (Mildest, Strictest); nil defers the message. Of the
// decisions with that effect, the one with the strictest outcome is carried out.
// Chosen is its index, -1 for a deferral.
func Combine(ds []Decision, es []Effect, rules []*Rules, choose func([]Effect) int) (d Decision, chosen int) {
	effect := es[0]
	if differ(es) {
		if choose == nil {
			return ConflictDecision(), -1
		}
		effect = es[choose(es)]
	}
	chosen = strictestOutcome(ds, rules, func(i int) bool { return es[i] == effect })
	return ds[chosen], chosen
}

func differ(es []Effect) bool {
	return slices.ContainsFunc(es, func(e Effect) bool { return e != es[0] })
}

// Mildest is the index of the mildest effect, Strictest that of the strictest. es
// must not be empty. Of equal effects it is the first.
func Mildest(es []Effect) int {
	return pick(len(es), func(a, b int) bool { return compareEffects(es[a], es[b]) < 0 })
}

// Strictest is the counterpart of Mildest.
func Strictest(es []Effect) int {
	return pick(len(es), func(a, b int) bool { return compareEffects(es[a], es[b]) > 0 })
}

func pick(n int, better func(a, b int) bool) int {
	best := 0
	for i := range n {
		if better(i, best) {
			best = i
		}
	}
	return best
}

// compareEffects orders effects from the mildest to the strictest. What does not
// differ in strictness is ordered by its text, so that one is always the same.
func compareEffects(a, b Effect) int {
	methods := []QuarantineMethod{QuarantineHeader, QuarantineHold, QuarantineRedirect}
	return cmp.Or(
		cmp.Compare(severity(a.Action), severity(b.Action)),
		cmp.Compare(slices.Index(methods, a.Method), slices.Index(methods, b.Method)),
		strings.Compare(a.Tag, b.Tag), // any tag is stricter than none
		strings.Compare(a.Address, b.Address),
		cmp.Compare(a.Reply.Code, b.Reply.Code),
		strings.Compare(a.Reply.Enhanced, b.Reply.Enhanced),
		strings.Compare(a.Reply.Text, b.Reply.Text))
}

// Reported is the index of the decision that the result fields report: the one carried
// out if DMARC ran for it, else the strictest outcome of those for which it ran; -1 where
// it ran for none.
func Reported(ds []Decision, rules []*Rules, chosen int) int {
	if chosen >= 0 && ds[chosen].Evaluated {
		return chosen
	}
	return strictestOutcome(ds, rules, func(i int) bool { return ds[i].Evaluated })
}

// strictestOutcome is the index of the strictest of the decisions that count, -1 if none
// does. Equal ones are interchangeable.
func strictestOutcome(ds []Decision, rules []*Rules, counts func(i int) bool) int {
	best := -1
	for i := range ds {
		if counts(i) && (best < 0 || compareOutcomes(&ds[i], &ds[best], rules[i], rules[best]) > 0) {
			best = i
		}
	}
	return best
}

// compareOutcomes orders decisions by their result for a message, from the mildest to the
// strictest. On a tie rfc comes before hes.
func compareOutcomes(a, b *Decision, ra, rb *Rules) int {
	states := []dmarc.Status{"", dmarc.Pass, dmarc.None, dmarc.TempError, dmarc.PermError, dmarc.Fail}
	return cmp.Or(
		cmp.Compare(severity(a.Action), severity(b.Action)),
		cmp.Compare(severity(a.Would), severity(b.Would)),
		cmp.Compare(slices.Index(states, a.Status), slices.Index(states, b.Status)),
		cmp.Compare(rank(a.Enforced), rank(b.Enforced)),
		cmp.Compare(rank(ra.DMARC.Criteria == CriteriaRFC), rank(rb.DMARC.Criteria == CriteriaRFC)),
		strings.Compare(string(a.Reason), string(b.Reason)),
		strings.Compare(a.Rule, b.Rule))
}

// rank orders false before true.
func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SeparateReply defers one recipient, so that it comes in a transaction of its own (RFC
// 5321 section 4.5.3.1.10: a 452 at RCPT makes the sender try that recipient again).
func SeparateReply() Reply {
	return Reply{Code: 452, Enhanced: "4.5.3", Text: "this recipient's domain has settings of its own; please send it in a separate transaction"}
}

// ConflictDecision defers a message whose recipients' domains disagree.
func ConflictDecision() Decision {
	return Decision{
		Action: Defer, Would: Defer, Reason: ReasonConflict, Rule: RuleMixedRecipients,
		Reply: Reply{Code: 451, Enhanced: "4.5.3", Text: "the recipients' domains want different treatment of this message; please try again, each will get its own answer"},
	}
}
