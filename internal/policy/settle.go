package policy

// DecideEach appends to ds what each of several sets of rules decides. Forged tells
// that the message bears more than MaxForged forged fields, which no domain that
// enforces takes.
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

// Settle makes one decision for a message of what its recipients' sets of rules
// decided; ds runs beside rules, and neither is empty. Where they would do different
// things, choose picks one of them (Mildest, Strictest), and nil defers the message.
// Chosen is the index of the decision carried out, -1 for a deferral.
func Settle(ds []Decision, rules []*Rules, choose func([]Decision) int) (d Decision, chosen int) {
	switch {
	case !Conflict(ds) && !quarantinesDiffer(ds, rules):
		return ds[0], 0
	case choose == nil:
		return ConflictDecision(), -1
	}
	chosen = choose(ds)
	return ds[chosen], chosen
}

// quarantinesDiffer reports whether decisions that all quarantine set the message
// apart in different ways.
func quarantinesDiffer(ds []Decision, rules []*Rules) bool {
	if ds[0].Action != Quarantine {
		return false
	}
	for _, r := range rules[1:] {
		if r.Quarantine != rules[0].Quarantine {
			return true
		}
	}
	return false
}
