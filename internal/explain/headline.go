package explain

import (
	"fmt"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// headline says in one sentence what happened, and why.
func (t *teller) headline() string {
	r := t.r
	switch {
	case r.Decision.Reason == policy.ReasonConflict:
		return clean("Deferred: "+t.wishes()+"; each recipient's domain gets its own answer when it comes again.", maxField)
	case r.Decision.Reason == policy.ReasonForged:
		return clean(fmt.Sprintf("Rejected: the message bears %d forged results of this host.", r.Forged), maxField)
	case r.Chosen < 0 || r.Chosen >= len(r.Outcomes):
		return clean(t.done(&r.Decision, nil)+".", maxField)
	}
	o := &r.Outcomes[r.Chosen]
	text := t.done(&r.Decision, o)
	if who := t.who(); who != "" {
		text += " for " + who
	}
	if o.Decision.Would != o.Decision.Action {
		text += fmt.Sprintf(", where mode monitor only watches; it would have been %s", past(o.Decision.Would))
	}
	text += ": " + t.because(o)
	if where := place(o); where != "" {
		text += "; rule " + where
	}
	if t.settled() != "" {
		text += "; " + t.wishes()
	}
	return clean(text+".", maxField)
}

// who names the recipients' domains.
func (t *teller) who() string {
	var list []string
	for i := range t.r.Outcomes {
		list = append(list, names(t.r.Outcomes[i].Domains)...)
	}
	return listed(list)
}

// done says what was done.
func (t *teller) done(d *policy.Decision, o *memory.Outcome) string {
	switch d.Action {
	case policy.Reject:
		return "Rejected"
	case policy.Defer:
		return "Deferred"
	case policy.Discard:
		return "Accepted and thrown away"
	case policy.Quarantine:
		switch {
		case t.r.Redirect != "":
			return "Quarantined, redirected to " + clean(t.r.Redirect, maxShort) + ","
		case t.r.Hold != "":
			return "Held in quarantine"
		case o != nil && o.Quarantine == policy.QuarantineHeader:
			return "Quarantined by a header field"
		}
		return "Quarantined"
	}
	return "Accepted"
}

// past is the participle of an action.
func past(a policy.Action) string {
	switch a {
	case policy.Reject:
		return "rejected"
	case policy.Quarantine:
		return "quarantined"
	case policy.Defer:
		return "deferred"
	case policy.Discard:
		return "discarded"
	}
	return "accepted"
}

// wishes lists what each set of domains wanted.
func (t *teller) wishes() string {
	var list []string
	for i := range t.r.Outcomes {
		o := &t.r.Outcomes[i]
		want := word(o.Decision.Action)
		if o.Decision.Action == policy.Quarantine {
			want += " by " + word(o.Quarantine)
		}
		who := listed(names(o.Domains))
		if who == "" {
			who = "the default"
		}
		verb := " wants "
		if len(o.Domains) > 1 {
			verb = " want "
		}
		list = append(list, who+verb+want)
	}
	return listed(list)
}

// Span writes a duration as the configuration does: in days, where it is whole ones.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
