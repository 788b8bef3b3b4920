package policy

// Decide applies the rules of one recipient domain to a message: sender IP match, then
// standalone SPF, then standalone DKIM, then DMARC. The first that intercepts ends it; a
// check that lets mail through does not switch off later ones. Decide never turns
// quarantine into reject or an unfinished check into a failure.
func Decide(v *Verdict, f Facts, r *Rules) Decision {
	d := decideChain(v, f, r)
	d.Would = d.Action
	d.Ended = r.ended(v, f)
	if r.Mode == Monitor {
		d.Action, d.Reply = Bypass, Reply{}
	}
	return d
}

func decideChain(v *Verdict, f Facts, r *Rules) Decision {
	source := matchSource(v, f, r.SenderIPMatch)
	standalone, intercepts := decideStandalone(v, f, r, source)
	d := decideDMARC(v, f, &r.DMARC, source.passed)
	if !intercepts {
		d.Ran = standalone.Ran
		return d
	}
	// DMARC ran all the same: its reports count mail that other checks stop, too (RFC
	// 9990 section 3.1.5).
	standalone.Evaluated, standalone.Enforced, standalone.Status = d.Evaluated, d.Enforced, d.Status
	return standalone
}

// decideStandalone applies the checks before DMARC, and reports whether one intercepts.
func decideStandalone(v *Verdict, f Facts, r *Rules, source source) (d Decision, intercepts bool) {
	var ran Checks
	if source.failed() {
		if d = source.decision(v, f); d.Action != Bypass {
			return d, true
		}
	}
	if ran.SPF = !source.passed && r.SPF.applies(v, f); ran.SPF {
		if d = decideSPF(v, f, &r.SPF); d.Action != Bypass {
			d.Ran = ran
			return d, true
		}
	}
	if ran.DKIM = r.DKIM.applies(f); ran.DKIM {
		if d = decideDKIM(v, f, &r.DKIM); d.Action != Bypass {
			d.Ran = ran
			return d, true
		}
	}
	return Decision{Ran: ran}, false
}
