package policy

// Decide applies the rules of one recipient domain to a message: sender IP match,
// then standalone SPF, then standalone DKIM, then DMARC. The first that
// intercepts ends it; one that lets through disarms none behind it. Decide never
// turns quarantine into reject or an unfinished check into a failure.
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
	if source.failed() {
		return source.decision(v, f)
	}
	var ran Checks
	if ran.SPF = !source.passed && r.SPF.applies(v, f); ran.SPF {
		if d := decideSPF(v, f, &r.SPF); d.Action != Bypass {
			d.Ran = ran
			return d
		}
	}
	if ran.DKIM = r.DKIM.applies(f); ran.DKIM {
		if d := decideDKIM(v, f, &r.DKIM); d.Action != Bypass {
			d.Ran = ran
			return d
		}
	}
	d := decideDMARC(v, f, &r.DMARC, source.passed)
	d.Ran = ran
	return d
}
