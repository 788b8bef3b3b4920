package explain

import (
	"errors"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/policy"
	"dmarcd/internal/text"
)

func (x *explainer) dkim() []DKIM {
	out := make([]DKIM, 0, len(x.v.DKIM))
	for i := range x.v.DKIM {
		s := &x.v.DKIM[i]
		one := DKIM{
			Result: string(s.Status), Domain: s.Domain.String(), Selector: s.Selector, Identity: s.Identity, Algorithm: s.Algorithm,
			KeyBits: s.KeyBits, Header: s.Header, Body: s.Body, Signature: s.SigPrefix, Partial: s.Partial, Testing: s.Testing,
			Unchecked: errors.Is(s.Err, dkim.ErrLimit), Error: text.Error(s.Err), Means: x.dkimMeans(s),
		}
		if !s.Domain.IsZero() && s.Selector != "" {
			one.KeyAt = s.Selector + "._domainkey." + s.Domain.String()
		}
		if i < len(x.v.DKIMAlignments) && !s.Domain.IsZero() {
			one.Alignment = string(x.v.DKIMAlignments[i])
			one.Aligns = x.alignment(s.Domain, x.v.DKIMAlignments[i], func(r *dmarc.Record) dmarc.Mode { return r.ADKIM })
		}
		out = append(out, one)
	}
	return out
}

// dkimMeans explains the result of a signature: of its faults, the most specific.
func (x *explainer) dkimMeans(s *dkim.Result) string {
	if s.Status == dkim.Pass {
		means := x.say(dkimPass)
		if s.Testing {
			means += x.say(dkimTesting)
		}
		return means
	}
	for _, f := range []struct {
		is   error
		text phrase
	}{
		{dkim.ErrBodyHash, dkimBodyHash},
		{dkim.ErrBodyLength, dkimBodyLength},
		{dkim.ErrSignature, dkimSignature},
		{dkim.ErrExpired, dkimExpired},
		{dkim.ErrNoKey, dkimNoKey},
		{dkim.ErrKeyRevoked, dkimRevoked},
		{dkim.ErrKeySyntax, dkimKeySyntax},
		{dkim.ErrKeyUnfit, dkimKeyUnfit},
		{dkim.ErrKeySize, dkimKeySize},
		{dkim.ErrKeyLookup, dkimKeyLookup},
		{dkim.ErrPartial, dkimPartial},
		{dkim.ErrLimit, dkimLimit},
		{dkim.ErrHeaderCut, dkimHeaderCut},
		{dkim.ErrFromUnsigned, dkimFromUnsigned},
		{dkim.ErrIdentity, dkimIdentity},
		{dkim.ErrUnsupported, dkimUnsupported},
		{dkim.ErrSyntax, dkimSyntax},
	} {
		if errors.Is(s.Err, f.is) {
			return x.say(f.text)
		}
	}
	return x.say(dkimFault)
}

func (x *explainer) arc() *ARC {
	a := &x.v.ARC
	if a.Status == "" {
		return nil
	}
	out := &ARC{Result: string(a.Status), Hops: []Hop{}, OldestPass: a.OldestPass, Temporary: a.Temporary, Error: text.Error(a.Err), Means: x.arcMeans()}
	for i := range a.Hops {
		h := &a.Hops[i]
		out.Hops = append(out.Hops, Hop{
			Instance: h.Instance, SealDomain: h.SealDomain.String(), Selector: h.SealSelector, Verified: h.AMSPass, Results: h.Results,
		})
	}
	return out
}

// arcMeans explains the result of the chain, and whether it counted.
func (x *explainer) arcMeans() string {
	a := &x.v.ARC
	switch {
	case a.Status == arc.None:
		return x.say(arcNone)
	case a.Status != arc.Pass && a.Temporary:
		return x.say(arcTemporary)
	case a.Status != arc.Pass:
		return x.say(arcFail)
	}
	means := x.say(arcPass, len(a.Hops))
	switch {
	case x.r.Decision.Reason == policy.ReasonARC:
		return x.say(arcDecided, means)
	case x.d.Status == dmarc.Pass:
		return x.say(arcNotNeeded, means)
	}
	return x.say(arcUntrusted, means)
}
