package dkim

import (
	"bytes"
	"fmt"
)

// conclude writes down what became of a checked signature, which then needs no body.
func (v *Verifier) conclude(s *signature, o conclusion) {
	s.conclude(o)
	if s.body != nil {
		s.body.users--
	}
}

// compare concludes the signature if its key or its header hash says that it
// does not verify. Its look-up has ended.
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

// unknown says what the signature is if there is no key for it. Where DNS did not say
// whether there is one, a signature that no key fits is a Fail all the same: whoever
// sends could choose a domain whose DNS is broken, to be told apart from a forger no more.
func (s *signature) unknown(none conclusion) {
	s.afterBody = none
	if none.status == TempError && s.misfit != nil {
		s.afterBody = conclusion{status: Fail, err: s.misfit}
	}
}

// compareKey tries one key. digest is computed once, by the first key that needs it;
// what the comparison costs is taken from budget.
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

// better ranks what two keys at one name say of a signature.
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

// compareBody compares the body of a signature whose header hash verified, or of which
// DNS did not give the key (RFC 6376 section 6.1.3). The body has ended, or l= is behind.
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
