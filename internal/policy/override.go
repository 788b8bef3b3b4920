package policy

import (
	"dmarcd/internal/auth/spf"
)

// override lets a message by that does not pass, where someone whom the domain
// trusts vouches for it. What vouches is always authenticated: a verified
// signature, an SPF pass or the client's address.
func (r *DMARCRules) override(v *Verdict, f Facts, d *Decision) {
	if r.trustedForwarder(v, f) {
		d.Action, d.Reason, d.Rule, d.Reply = Bypass, ReasonForwarder, "dmarc.trusted_forwarders", Reply{}
	}
}

func (r *DMARCRules) trustedForwarder(v *Verdict, f Facts) bool {
	for i := range r.TrustedForwarders {
		t := &r.TrustedForwarders[i]
		switch {
		case !t.SPF.IsZero():
			if v.SPF.Status == spf.Pass && v.SPF.Domain == t.SPF {
				return true
			}
		case !t.DKIM.IsZero():
			for i := range v.DKIM {
				if v.verified(i) && v.DKIM[i].Domain == t.DKIM {
					return true
				}
			}
		case t.IP.Match(f.ClientIP):
			return true
		}
	}
	return false
}
