package policy

import (
	"slices"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

// decideDMARC applies the settings in this order: exceptions, enforced peer or else
// senders list, null sender, evaluation, override, action slot. sourcePassed says that a
// sender IP match let the client send for the author's domain: it counts as an aligned
// SPF pass, except for an enforced peer.
func decideDMARC(v *Verdict, f Facts, r *DMARCRules, sourcePassed bool) Decision {
	if !r.Enabled {
		return skip(ReasonDisabled, RuleEnabled)
	}
	on := f.day()
	if ok, _ := r.Exceptions.MatchOn(f.ClientIP, on); ok {
		return skip(ReasonException, RuleExceptions)
	}
	if !v.singleAuthor() {
		return decideNoAuthor(v, f, r)
	}
	if require, ok := r.EnforcedPeers.MatchOn(v.DMARC.Author, on); ok {
		return decidePeer(v, f, r, require)
	}
	if !r.Senders.Match(v.DMARC.Author) {
		return skip(ReasonNotListed, RuleSenders)
	}
	if f.NullSender && r.SkipNullSender {
		return skip(ReasonNullSender, RuleSkipNullSender)
	}
	if sourcePassed && v.DMARC.Record != nil {
		return Decision{Action: Bypass, Reason: ReasonSenderIP, Rule: RuleSenderIPMatch, Evaluated: true, Status: dmarc.Pass}
	}
	d := decideSlot(v, f, r, judge(v, r.Criteria), sourcePassed)
	if d.Status != dmarc.Pass {
		r.override(v, f, &d)
	}
	return d
}

// skip is the decision where DMARC does not run.
func skip(why Reason, rule string) Decision {
	return Decision{Action: Bypass, Reason: why, Rule: rule}
}

// decideNoAuthor handles a From that names several domains or none that can be read (RFC
// 9989 sections 5.3.1 and 11.5). Mail is exempt only if all domains are readable and none
// is to be verified; an unreadable From may be anybody's.
func decideNoAuthor(v *Verdict, f Facts, r *DMARCRules) Decision {
	peer := slices.ContainsFunc(v.Authors, func(n dns.Name) bool {
		_, ok := r.EnforcedPeers.MatchOn(n, f.day())
		return ok
	})
	if !peer {
		if len(v.Authors) > 0 && !slices.ContainsFunc(v.Authors, r.Senders.Match) {
			return skip(ReasonNotListed, RuleSenders)
		}
		if f.NullSender && r.SkipNullSender {
			return skip(ReasonNullSender, RuleSkipNullSender)
		}
	}
	d := Decision{
		Action:    r.MultipleFrom,
		Reason:    ReasonMultipleFrom,
		Rule:      RuleMultipleFrom,
		Evaluated: true,
		Enforced:  peer,
		Status:    dmarc.PermError,
	}
	if floor := peerFloor(r.EnforcedPeerAction); peer && severity(floor) > severity(d.Action) {
		d.Action, d.Reason, d.Rule = floor, ReasonEnforcedPeer, RuleEnforcedPeerAction
	}
	d.Reply = replyFor(v, f, r, d)
	return d
}

// decidePeer judges an enforced peer.
func decidePeer(v *Verdict, f Facts, r *DMARCRules, require Require) Decision {
	d := Decision{Action: Bypass, Reason: ReasonPass, Evaluated: true, Enforced: true, Status: judgePeer(v, require)}
	switch d.Status {
	case dmarc.TempError:
		d.Action, d.Reason, d.Rule = Defer, ReasonTemperror, RuleEnforcedPeers
		if f.DeferExpired {
			d.Status = dmarc.Fail
			r.failPeer(v, &d)
		}
	case dmarc.Fail:
		r.failPeer(v, &d)
		known, _ := r.slot(v.DMARC.Policy)
		if stricter(known, peerFloor(r.EnforcedPeerAction)) != d.Action && !f.DeferExpired {
			d.Action, d.Reason, d.Rule = Defer, ReasonTemperror, RuleEnforcedPeers
		}
	}
	d.Reply = replyFor(v, f, r, d)
	return d
}

// failPeer decides about an enforced peer that fails.
func (r *DMARCRules) failPeer(v *Verdict, d *Decision) {
	d.Reason = ReasonEnforcedPeer
	d.Action, d.Rule = r.slot(v.DMARC.Strictest())
	if floor := peerFloor(r.EnforcedPeerAction); severity(floor) > severity(d.Action) {
		d.Action, d.Rule = floor, RuleEnforcedPeerAction
	}
}

// peerFloor is the least that becomes of a failing enforced peer.
func peerFloor(a PeerAction) Action {
	switch a {
	case PeerQuarantine:
		return Quarantine
	case PeerReject:
		return Reject
	}
	return Bypass
}

// decideSlot picks the action that the domain's map has for the result.
func decideSlot(v *Verdict, f Facts, r *DMARCRules, s dmarc.Status, sourcePassed bool) Decision {
	d := Decision{Action: Bypass, Reason: ReasonPass, Evaluated: true, Status: s}
	switch s {
	case dmarc.None:
		r.withoutRecord(v, f, &d, sourcePassed)
	case dmarc.TempError:
		r.temperror(v, f, &d)
	case dmarc.Fail:
		d.Reason = ReasonPolicy
		d.Action, d.Rule = r.slot(v.DMARC.Policy)
		if r.Actions.Temperror == TemperrorByPolicy {
			r.hiddenPolicy(v, f, &d)
		}
	}
	d.Reply = replyFor(v, f, r, d)
	return d
}

// withoutRecord decides about mail whose From domain publishes no record.
func (r *DMARCRules) withoutRecord(v *Verdict, f Facts, d *Decision, sourcePassed bool) {
	d.Reason = ReasonNoRecord
	d.Action, d.Rule = r.slot("")
	if r.NoRecordWhen != NoRecordUnauthenticated {
		return
	}
	aligned, _ := v.alignedPass()
	switch {
	case aligned || sourcePassed:
		d.Action, d.Rule = Bypass, RuleNoRecordWhen
	case d.Action != Bypass && v.undecided():
		r.temperror(v, f, d)
	}
}

// temperror decides about mail that cannot be judged because of DNS trouble.
func (r *DMARCRules) temperror(v *Verdict, f Facts, d *Decision) {
	d.Action, d.Reason, d.Rule = Bypass, ReasonTemperror, RuleActionTemperror
	switch r.Actions.Temperror {
	case TemperrorQuarantine:
		d.Action = Quarantine
	case TemperrorDefer:
		if d.Action = Defer; f.DeferExpired {
			d.Action, d.Rule = Bypass, RuleDeferLimit
		}
	case TemperrorByPolicy:
		r.byPolicy(v, f, d)
	}
}

// byPolicy defers mail whose failure would be intercepted, and finally quarantines it.
// Where DNS trouble hides the policy itself, there is nothing to enforce, unless a policy
// above is known: a sender could choose a name below it whose DNS is broken.
func (r *DMARCRules) byPolicy(v *Verdict, f Facts, d *Decision) {
	policy := v.DMARC.Strictest()
	if v.DMARC.Status == dmarc.TempError && v.DMARC.Record == nil {
		aligned, _ := v.alignedPass()
		if policy = v.DMARC.Inherited(); policy == "" || aligned {
			return
		}
	}
	switch failure, _ := r.slot(policy); {
	case failure == Bypass:
	case f.DeferExpired:
		d.Action, d.Rule = Quarantine, RuleDeferLimit
	default:
		d.Action = Defer
	}
}

// hiddenPolicy decides about mail that fails while DNS trouble hides which of two
// policies applies, if the stricter one demands more than d already does.
func (r *DMARCRules) hiddenPolicy(v *Verdict, f Facts, d *Decision) {
	if failure, _ := r.slot(v.DMARC.Strictest()); severity(failure) <= severity(d.Action) {
		return
	}
	known := *d
	r.temperror(v, f, d)
	if f.DeferExpired && severity(known.Action) >= severity(d.Action) {
		*d = known
	}
}

// slot is the action for a published policy, "" for no record, and its key.
func (r *DMARCRules) slot(p dmarc.Policy) (Action, string) {
	switch p {
	case dmarc.PolicyNone:
		return r.Actions.None, RuleActionNone
	case dmarc.PolicyQuarantine:
		return r.Actions.Quarantine, RuleActionQuarantine
	case dmarc.PolicyReject:
		return r.Actions.Reject, RuleActionReject
	}
	return r.Actions.NoRecord, RuleActionNoRecord
}
