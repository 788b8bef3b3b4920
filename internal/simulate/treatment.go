package simulate

import (
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// Treatment is the treatment of a message for one recipient domain.
type Treatment struct {
	Action policy.Action           `json:"action"`
	Method policy.QuarantineMethod `json:"method,omitempty"`   // where Action is quarantine
	To     string                  `json:"redirect,omitempty"` // the destination, with QuarantineRedirect
	// Would is what mode enforce would do, where mode monitor only observes and that
	// differs from Action; else "".
	Would policy.Action `json:"would,omitempty"`
}

// String is the treatment in a few words.
func (t Treatment) String() string {
	s := string(t.Action)
	switch {
	case t.To != "":
		s += " (" + string(t.Method) + " to " + t.To + ")"
	case t.Method != "":
		s += " (" + string(t.Method) + ")"
	}
	if t.Would != "" {
		s += " (monitor: " + string(t.Would) + ")"
	}
	return s
}

// carriedOut is the treatment without what mode monitor only reports.
func (t Treatment) carriedOut() Treatment {
	t.Would = ""
	return t
}

// Cause is why a domain's mail is treated as it is.
type Cause struct {
	Reason policy.Reason `json:"reason"`
	// Rule is the key that decided, relative to the domain's entry; "" if none did.
	Rule string `json:"rule,omitempty"`
	File string `json:"file,omitempty"` // none for a built-in rule
	Line int    `json:"line,omitempty"`
}

// place fills in the place of the rule.
func (c *Cause) place(at settings.Place) { c.File, c.Line = at.File, at.Line }

// disposition is a treatment with its cause.
type disposition struct {
	Treatment
	Cause
}

// dispositionOf is the treatment of the message for one domain: whole is the decision for
// the whole message, own the domain's part.
func dispositionOf(whole, own policy.Decision, mode policy.Mode) disposition {
	f := disposition{Treatment: Treatment{Action: whole.Action}, Cause: Cause{Reason: own.Reason, Rule: own.Rule}}
	if own.Action != whole.Action {
		f.Cause = Cause{Reason: whole.Reason, Rule: whole.Rule}
	}
	if mode == policy.Monitor && own.Would != whole.Action {
		f.Would = own.Would
	}
	return f
}

// before is what happened to the message for the domains of outcome o.
func before(r *memory.Record, o *memory.Outcome) disposition {
	f := dispositionOf(r.Decision, o.Decision, o.Mode)
	if f.Cause.Rule == o.Decision.Rule {
		f.place(settings.Place{File: o.File, Line: o.Line})
	}
	if f.Action != policy.Quarantine {
		return f
	}
	f.Method = policy.QuarantineHold
	if r.Chosen >= 0 {
		f.Method = r.Outcomes[r.Chosen].Quarantine
	}
	if f.Method == policy.QuarantineRedirect {
		f.To = r.Redirect
	}
	return f
}

// quarantined fills in how rules quarantine the mail, if f does.
func (f *disposition) quarantined(r *policy.Rules) {
	if f.Action != policy.Quarantine {
		return
	}
	f.Method = r.Quarantine.Method
	if f.Method == policy.QuarantineRedirect {
		f.To = r.Quarantine.Address
	}
}

// blameMode names the mode as the cause where it alone makes the difference.
func (f *disposition) blameMode(was disposition) {
	intent := func(t Treatment) policy.Action {
		if t.Would != "" {
			return t.Would
		}
		return t.Action
	}
	if f.Action != was.Action && intent(f.Treatment) == intent(was.Treatment) && (f.Would != "") != (was.Would != "") {
		f.Rule = "mode"
	}
}
