package explain

import (
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// headline says in one sentence what happened, and why.
func (x *explainer) headline() string {
	r := x.r
	switch {
	case x.o.Bypassed:
		return x.say(headBypassed, x.notApplied(r.Decision.Reason))
	case r.Decision.Reason == policy.ReasonConflict && !x.o.Offline:
		return x.say(headConflict, x.wishes())
	case r.Decision.Reason == policy.ReasonForged && !x.o.Offline:
		return x.say(headForged, r.Forged)
	case r.Chosen < 0 || r.Chosen >= len(r.Outcomes):
		done := x.done(&r.Decision, nil)
		if why := x.notApplied(r.Decision.Reason); r.Decision.Reason == policy.ReasonForged {
			done = x.say(headNoOne, done, why)
		} else if r.Decision.Reason == policy.ReasonConflict {
			done = x.say(headNoOne, done, x.wishes())
		}
		return x.say(headEnd, done)
	}
	o := &r.Outcomes[r.Chosen]
	done, who, why := x.done(&r.Decision, o), x.who(), x.because(o)
	if where := x.place(o); where != "" {
		why = x.say(headRule, why, where)
	}
	if x.mixed() != "" {
		why = x.say(headWishes, why, x.wishes())
	}
	line := x.say(headFor, done, who, why)
	switch {
	case o.Decision.Would != o.Decision.Action:
		line = x.say(headWatched, done, who, x.past(o.Decision.Would), why)
	case who == "":
		line = x.say(headNoOne, done, why)
	}
	return x.say(headEnd, line)
}

// who names the recipients' domains.
func (x *explainer) who() string {
	var list []string
	for i := range x.r.Outcomes {
		list = append(list, names(x.r.Outcomes[i].Domains)...)
	}
	if len(list) == 0 {
		return ""
	}
	return x.listed(list)
}

// deed is an action on a message, as a phrase for what was done and for what would be
// done.
type deed struct{ was, would phrase }

// done says what was done, or would be done.
func (x *explainer) done(d *policy.Decision, o *memory.Outcome) string {
	say := func(what deed, args ...any) string {
		if x.o.Offline {
			return x.say(what.would, args...)
		}
		return x.say(what.was, args...)
	}
	switch d.Action {
	case policy.Reject:
		return say(deed{doneRejected, wouldRejected})
	case policy.Defer:
		return say(deed{doneDeferred, wouldDeferred})
	case policy.Discard:
		return say(deed{doneDiscarded, wouldDiscarded})
	case policy.Quarantine:
		switch {
		case x.r.Redirect != "":
			return say(deed{doneRedirected, wouldRedirected}, x.r.Redirect)
		case x.r.Hold != "":
			return say(deed{doneHeld, wouldHeld})
		case o != nil && o.Quarantine == policy.QuarantineHeader:
			return say(deed{doneField, wouldField})
		}
		return say(deed{doneQuarantined, wouldQuarantined})
	}
	return say(deed{doneAccepted, wouldAccepted})
}

func (x *explainer) past(a policy.Action) string { return x.o.Language.past(a) }

// past is the participle of an action.
func (l Language) past(a policy.Action) string {
	switch a {
	case policy.Reject:
		return l.say(pastRejected)
	case policy.Quarantine:
		return l.say(pastQuarantined)
	case policy.Defer:
		return l.say(pastDeferred)
	case policy.Discard:
		return l.say(pastDiscarded)
	}
	return l.say(pastAccepted)
}

// wishes lists what each set of domains wanted.
func (x *explainer) wishes() string {
	var list []string
	for i := range x.r.Outcomes {
		o := &x.r.Outcomes[i]
		want := string(o.Decision.Action)
		if o.Decision.Action == policy.Quarantine {
			want = x.say(wishBy, want, o.Quarantine)
		}
		who, domains := x.say(theDefault), names(o.Domains)
		if len(domains) > 0 {
			who = x.listed(domains)
		}
		if len(domains) > 1 {
			list = append(list, x.say(wishPlural, who, want))
		} else {
			list = append(list, x.say(wish, who, want))
		}
	}
	return x.listed(list)
}
