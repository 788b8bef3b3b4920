package policy

import (
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
)

// judge returns the DMARC status by the criteria in force. The Verdict keeps the status
// of RFC 9989; this is the recipient domain's view of it.
func judge(v *Verdict, c Criteria) dmarc.Status {
	// Without a policy, or with discovery unfinished, there is nothing that
	// lenient criteria could change.
	if c != CriteriaHES || v.DMARC.Record == nil {
		return v.DMARC.Status
	}
	if v.DMARC.Status != dmarc.Pass && v.DMARC.Status != dmarc.Fail && v.DMARC.Status != dmarc.TempError {
		return v.DMARC.Status
	}
	return judgeHES(v)
}

// judgeHES is the wording of Hosted Email Security: SPF succeeds unless it is
// "fail", DKIM unless something was processed and nothing verified, and MAIL
// FROM's domain or a verified d= has to align. Any one failing fails. What DNS
// trouble leaves open is TempError, never Fail.
func judgeHES(v *Verdict) dmarc.Status {
	s := v.dkimSummary()
	switch {
	case v.SPF.Status == spf.Fail, s.processed && !s.verified && !s.temporary:
		return dmarc.Fail
	}
	alignment := v.SPFAlignment
	for i := range v.DKIM {
		switch a := v.alignment(i); {
		case a == dmarc.Unaligned || alignment == dmarc.Aligned:
		case v.verified(i):
			alignment = a
		case v.DKIM[i].Status == dkim.TempError:
			alignment = dmarc.AlignmentUnknown
		}
	}
	switch {
	case alignment == dmarc.Aligned && (s.verified || !s.processed):
		return dmarc.Pass
	case alignment == dmarc.Unaligned:
		return dmarc.Fail
	}
	return dmarc.TempError
}

// judgePeer applies the strict criteria to an enforced peer: a record, SPF pass, a
// verified signature, one of them aligned; with RequireEither one aligned pass is enough.
// A result left open by DNS trouble is TempError, never Fail.
func judgePeer(v *Verdict, r Require) dmarc.Status {
	aligned, unknown := v.alignedPass()
	s := v.dkimSummary()
	haveSPF, haveDKIM := v.SPF.Status == spf.Pass, s.verified

	switch v.DMARC.Status {
	case dmarc.None: // no record: a failure whatever passed
		return dmarc.Fail
	case dmarc.TempError:
		if v.DMARC.Record == nil { // discovery itself is unfinished
			return dmarc.TempError
		}
	}
	if aligned && (r == RequireEither || haveSPF && haveDKIM) {
		return dmarc.Pass
	}
	if unknown || v.SPF.Status == spf.TempError || s.temporary && (!s.verified || !aligned) {
		return dmarc.TempError
	}
	return dmarc.Fail
}
