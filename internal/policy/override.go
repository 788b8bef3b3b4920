package policy

import (
	"net/netip"
	"strings"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/authres"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// override lets a failing message through if someone whom the domain trusts vouches for
// it. The voucher is always authenticated: by a verified signature, an SPF pass, the
// client's address, or a seal.
func (r *DMARCRules) override(v *Verdict, f Facts, d *Decision) {
	switch {
	case r.trustedForwarder(v, f):
		d.Action, d.Reason, d.Rule, d.Reply = Bypass, ReasonForwarder, RuleTrustedForwarders, Reply{}
	case r.trustedChain(v):
		d.Action, d.Reason, d.Rule, d.Reply = Bypass, ReasonARC, RuleTrustedSealers, Reply{}
		d.Comment = v.ARC.Comment(v.firstClient())
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

// trustedChain reports whether a trusted sealer saw the message pass for its
// author. Anyone can seal, so only seals of trusted domains count, from the newest
// back to the first that is not trusted, in a chain that validates (RFC 8617
// section 7.2.1).
func (r *DMARCRules) trustedChain(v *Verdict) bool {
	hops := v.ARC.Hops
	if !r.ARC.Enabled || v.ARC.Status != arc.Pass || len(hops) == 0 || !hops[len(hops)-1].FromSigned {
		return false
	}
	for i := len(hops) - 1; i >= 0; i-- {
		if !r.ARC.TrustedSealers.Match(hops[i].SealDomain) {
			return false
		}
		if v.passedAt(&hops[i]) {
			return true
		}
	}
	return false
}

// firstClient is the client from which the first hop received the message, according to
// its results (RFC 8617 section 7.2.2); the zero Addr if they have none. It is not the
// SMTP client: our own client is the last hop's host.
func (v *Verdict) firstClient() netip.Addr {
	results, err := authres.Parse(v.ARC.Hops[0].Results)
	if err != nil {
		return netip.Addr{}
	}
	for i := range results.Items {
		if addr, err := netip.ParseAddr(results.Items[i].Get("smtp", "remote-ip")); err == nil {
			return addr
		}
	}
	return netip.Addr{}
}

// passedAt reports whether a hop's results say that the message passed for its
// author: DMARC, or an aligned SPF or DKIM pass.
func (v *Verdict) passedAt(hop *arc.Hop) bool {
	results, err := authres.Parse(hop.Results)
	if err != nil {
		return false
	}
	for i := range results.Items {
		item := &results.Items[i]
		if item.Result != "pass" {
			continue
		}
		switch item.Method {
		case "dmarc":
			if name, err := dns.Parse(item.Get("header", "from")); err == nil && name == v.DMARC.Author {
				return true
			}
		case "dkim":
			if v.vouches(item.Get("header", "d"), func(r *dmarc.Record) dmarc.Mode { return r.ADKIM }) {
				return true
			}
		case "spf":
			_, domain, ok := strings.Cut(item.Get("smtp", "mailfrom"), "@")
			if !ok {
				domain = item.Get("smtp", "mailfrom")
			}
			if v.vouches(domain, func(r *dmarc.Record) dmarc.Mode { return r.ASPF }) {
				return true
			}
		}
	}
	return false
}

// vouches reports whether a domain that another host saw authenticated aligns with
// the author's. No tree is walked for it: it has to be the author's domain or,
// where the record is not strict, its organizational domain.
func (v *Verdict) vouches(domain string, mode func(*dmarc.Record) dmarc.Mode) bool {
	name, err := dns.Parse(domain)
	if err != nil {
		return false
	}
	if name == v.DMARC.Author {
		return true
	}
	strict := v.DMARC.Record != nil && mode(v.DMARC.Record) == dmarc.Strict
	return !strict && name == v.DMARC.OrgDomain
}
