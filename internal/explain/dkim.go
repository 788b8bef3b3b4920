package explain

import (
	"errors"
	"fmt"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/policy"
)

func (t *teller) dkim() []DKIM {
	out := make([]DKIM, 0, len(t.v.DKIM))
	for i := range t.v.DKIM {
		s := &t.v.DKIM[i]
		one := DKIM{
			Result: word(s.Status), Domain: clean(s.Domain.String(), maxShort), Selector: clean(s.Selector, maxShort),
			Identity: clean(s.Identity, maxShort), Algorithm: clean(s.Algorithm, maxShort), KeyBits: s.KeyBits,
			Header: clean(s.Header, maxShort), Body: clean(s.Body, maxShort), Signature: clean(s.SigPrefix, maxShort),
			Partial: s.Partial, Testing: s.Testing, Error: errorText(s.Err), Means: dkimMeans(s),
		}
		if !s.Domain.IsZero() && s.Selector != "" {
			one.KeyAt = clean(s.Selector+"._domainkey."+s.Domain.String(), maxShort)
		}
		if i < len(t.v.DKIMAlignments) && !s.Domain.IsZero() {
			one.Alignment = word(t.v.DKIMAlignments[i])
			one.Aligns = t.alignment(s.Domain, t.v.DKIMAlignments[i], func(r *dmarc.Record) dmarc.Mode { return r.ADKIM })
		}
		one.Unassessed = errors.Is(s.Err, dkim.ErrLimit)
		out = append(out, one)
	}
	return out
}

// dkimFaults say in words why a signature does not count, the narrowest first.
func dkimFaults() []struct {
	is   error
	text string
} {
	return []struct {
		is   error
		text string
	}{
		{dkim.ErrBodyHash, "the body was changed after it was signed, as by a mailing list's footer"},
		{dkim.ErrBodyLength, "the body is shorter than what was signed (l=)"},
		{dkim.ErrSignature, "a signed header field was changed, or another key signed it"},
		{dkim.ErrExpired, "the signature has expired"},
		{dkim.ErrNoKey, "no key is published under that name"},
		{dkim.ErrKeyRevoked, "the owner has revoked the key (p= is empty)"},
		{dkim.ErrKeySyntax, "the key record cannot be read"},
		{dkim.ErrKeyUnfit, "the key record does not allow this signature"},
		{dkim.ErrKeySize, "the key's size is outside what is accepted (1024 bits at least by RFC 8301; limits.rsa_bits_min and rsa_bits_max)"},
		{dkim.ErrKeyLookup, "DNS did not say whether there is a key"},
		{dkim.ErrPartial, "part of the body is not signed (l=)"},
		{dkim.ErrLimit, "not checked: the message has more signatures than limits.signatures allows"},
		{dkim.ErrHeaderCut, "not checked: the header exceeds limits.header_bytes or limits.header_fields"},
		{dkim.ErrFromUnsigned, "the signature does not cover the From field"},
		{dkim.ErrIdentity, "i= is not within d="},
		{dkim.ErrUnsupported, "the signature is of a kind that is not supported"},
		{dkim.ErrSyntax, "the signature field cannot be read"},
	}
}

// dkimMeans says in words what came of a signature.
func dkimMeans(s *dkim.Result) string {
	if s.Status == dkim.Pass {
		text := "the signature verifies"
		if s.Testing {
			text += "; its key record says that the domain is testing (t=y), which changes nothing"
		}
		return text
	}
	for _, f := range dkimFaults() {
		if errors.Is(s.Err, f.is) {
			return f.text
		}
	}
	return "the signature does not count"
}

func (t *teller) arc() *ARC {
	a := &t.v.ARC
	if a.Status == "" {
		return nil
	}
	out := &ARC{Result: word(a.Status), Hops: []Hop{}, OldestPass: a.OldestPass, Temporary: a.Temporary, Error: errorText(a.Err), Means: t.arcMeans()}
	for i := range a.Hops {
		h := &a.Hops[i]
		out.Hops = append(out.Hops, Hop{
			Instance: h.Instance, SealDomain: clean(h.SealDomain.String(), maxShort), Selector: clean(h.SealSelector, maxShort),
			Verified: h.AMSPass, Results: clean(h.Results, maxField),
		})
	}
	return out
}

// arcMeans says in words what came of the chain, and whether it counted.
func (t *teller) arcMeans() string {
	a := &t.v.ARC
	switch {
	case a.Status == arc.None:
		return "the message has no ARC chain"
	case a.Status != arc.Pass && a.Temporary:
		return "the chain does not validate: a key could not be looked up now"
	case a.Status != arc.Pass:
		return "the chain does not validate, and counts as none"
	}
	text := fmt.Sprintf("the chain of %d validates", len(a.Hops))
	if t.r.Decision.Reason == policy.ReasonARC {
		return text + "; a trusted sealer saw the message pass"
	}
	if t.d.Status == dmarc.Pass {
		return text + "; nobody had to ask it"
	}
	return text + ", but did not decide: its sealers are not trusted here, or none of them saw the message pass"
}
