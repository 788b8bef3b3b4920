package policy

// One message has one answer, but its recipients' domains may want different
// ones. These functions say whether they do, and pick or make one.

// Conflict reports whether decisions would do different things with the
// message. What is stamped on it does not count: mail that all let through is
// not held up for the sake of a header.
func Conflict(ds []Decision) bool {
	for _, d := range ds[1:] {
		if d.Action != ds[0].Action {
			return true
		}
	}
	return false
}

// Mildest is the index of the first of the mildest decisions, Strictest that of
// the first of the strictest. ds must not be empty.
func Mildest(ds []Decision) int {
	return pick(ds, func(a, b int) bool { return a < b })
}

// Strictest is the counterpart of Mildest.
func Strictest(ds []Decision) int {
	return pick(ds, func(a, b int) bool { return a > b })
}

func pick(ds []Decision, better func(a, b int) bool) int {
	best := 0
	for i, d := range ds {
		if better(severity(d.Action), severity(ds[best].Action)) {
			best = i
		}
	}
	return best
}

// SeparateReply sends one recipient away for now, so that it comes in a
// transaction of its own (RFC 5321 section 4.5.3.1.10: a 452 at RCPT makes
// the sender try that recipient again).
func SeparateReply() Reply {
	return Reply{Code: 452, Enhanced: "4.5.3", Text: "this recipient's domain has settings of its own; please send it in a separate transaction"}
}

// ConflictDecision defers a message whose recipients' domains disagree.
func ConflictDecision() Decision {
	return Decision{
		Action: Defer, Would: Defer, Reason: ReasonConflict, Rule: "mixed_recipients",
		Reply: Reply{Code: 451, Enhanced: "4.5.3", Text: "the recipients' domains want different treatment of this message; please try again, each will get its own answer"},
	}
}
