package dkim

import (
	"bytes"
	"fmt"
)

// conclude records the outcome of a checked signature, which then needs no body.
func (v *Verifier) conclude(s *signature, o conclusion) {
	s.conclude(o)
	if s.body != nil {
		s.body.users--
	}
}

// compare concludes the signature if its key or header hash shows that it does not
// verify. Its look-up has ended.
func (v *Verifier) compare(s *signature) {
	if s.compared {
		return
	}
	s.compared = true
	if none := s.key.none; none.status != "" {
		s.unknown(none)
		if s.afterBody.status != TempError || s.body == nil {
			v.conclude(s, s.afterBody)
		}
		return
	}
	best := conclusion{}
	digest := s.sealed
	budget := v.options.keyBudget
	for i := range s.key.keys {
		k := &s.key.keys[i]
		o := v.compareKey(s, k, &digest, &budget)
		if best.status == "" || o.better(best) {
			best = o
			s.KeyBits, s.Testing = k.bits, k.testing
		}
	}
	if s.afterBody = best; best.status == Fail || !best.compared || s.body == nil {
		v.conclude(s, best)
	}
}

// unknown concludes a signature without a key. If DNS did not say whether a key
// exists, a signature that no key fits is still a Fail: otherwise a sender could
// choose a domain with broken DNS to hide a forgery.
func (s *signature) unknown(none conclusion) {
	s.afterBody = none
	if none.status == TempError && s.misfit != nil {
		s.afterBody = conclusion{status: Fail, err: s.misfit}
	}
}

// compareKey tries one key. The first key that needs digest computes it; the cost of
// the comparison is deducted from budget.
func (v *Verifier) compareKey(s *signature, k *keyRecord, digest *[]byte, budget *int) conclusion {
	if err := k.allows(s); err != nil {
		return conclusion{status: PermError, err: err}
	}
	if k.rsa != nil && k.bits > v.options.MaxRSABits {
		return conclusion{status: Policy, err: fmt.Errorf("%w: %d bits, over %d", ErrKeySize, k.bits, v.options.MaxRSABits)}
	}
	cost := k.cost()
	if cost > *budget {
		return conclusion{status: Policy, err: fmt.Errorf("%w: keys too dear to try", ErrLimit)}
	}
	*budget -= cost
	if *digest == nil {
		*digest = v.index.hashHeader(v.digest[:0], s, v.hash, v.scratch)
	}
	switch {
	case !k.matches(*digest, s.data):
		return conclusion{status: Fail, err: ErrSignature, compared: true}
	case k.rsa != nil && k.bits < v.options.MinRSABits:
		return conclusion{status: Policy, err: fmt.Errorf("%w: %d bits, below %d", ErrKeySize, k.bits, v.options.MinRSABits), compared: true}
	}
	return conclusion{status: Pass, compared: true}
}

// better ranks the results of two keys at one name.
func (o conclusion) better(than conclusion) bool { return o.rank() < than.rank() }

func (o conclusion) rank() int {
	switch {
	case o.status == Pass:
		return 0
	case o.status == Policy && o.compared:
		return 1
	case o.compared:
		return 2
	case o.status == Policy:
		return 3
	}
	return 4
}

// compareBody compares the body of a signature whose header hash verified, or whose key
// DNS did not supply (RFC 6376 section 6.1.3). The body has ended, or exceeds l=.
func (s *signature) compareBody() conclusion {
	d := &s.body.digest
	sum, enough := d.part(s.length)
	s.Partial = s.length >= 0 && s.length < d.length
	o := s.afterBody
	switch {
	case !enough:
		o.status, o.err = Fail, fmt.Errorf("%w: l=%d of %d octets", ErrBodyLength, s.length, d.length)
	case !bytes.Equal(sum, s.bh):
		o.status, o.err = Fail, ErrBodyHash
	case s.Partial && (o.status == Pass || o.status == TempError):
		o.status, o.err = Policy, fmt.Errorf("%w: after l=%d", ErrPartial, s.length)
	}
	return o
}
