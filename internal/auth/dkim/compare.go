package dkim

import (
	"bytes"
	"fmt"
)

// settle writes the outcome of a checked signature down, which then needs no body.
func (v *Verifier) settle(s *signature, o outcome) {
	s.settle(o)
	if s.body != nil {
		s.body.users--
	}
}

// compare settles the signature if its key or its header hash says that it
// does not verify. Its look-up has ended.
func (v *Verifier) compare(s *signature) {
	if s.compared {
		return
	}
	s.compared = true
	if s.key.none.status != "" {
		v.settle(s, s.key.none)
		return
	}
	best := outcome{}
	digest := s.sealed
	for i := range s.key.keys {
		k := &s.key.keys[i]
		o := v.compareKey(s, k, &digest)
		if best.status == "" || o.better(best) {
			best = o
			s.KeyBits, s.Testing = k.bits, k.testing
		}
	}
	if s.afterBody = best; best.status == Fail || !best.compared || s.body == nil {
		v.settle(s, best)
	}
}

// compareKey tries one key. digest is computed once, by the first key that needs it.
func (v *Verifier) compareKey(s *signature, k *keyRecord, digest *[]byte) outcome {
	if err := k.allows(s); err != nil {
		return outcome{status: PermError, err: err}
	}
	if k.rsa != nil && k.bits > v.options.MaxRSABits {
		return outcome{status: Policy, err: fmt.Errorf("%w: %d bits, over %d", ErrKeySize, k.bits, v.options.MaxRSABits)}
	}
	if *digest == nil {
		*digest = v.index.hashHeader(v.digest[:0], s, v.hash, v.scratch)
	}
	switch {
	case !k.matches(*digest, s.data):
		return outcome{status: Fail, err: ErrSignature, compared: true}
	case k.rsa != nil && k.bits < v.options.MinRSABits:
		return outcome{status: Policy, err: fmt.Errorf("%w: %d bits, below %d", ErrKeySize, k.bits, v.options.MinRSABits), compared: true}
	}
	return outcome{status: Pass, compared: true}
}

// better ranks what two keys at one name say of a signature.
func (o outcome) better(than outcome) bool { return o.rank() < than.rank() }

func (o outcome) rank() int {
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

// compareBody compares the body of a signature whose header hash verified
// (RFC 6376 section 6.1.3). The body has ended, or l= is behind.
func (s *signature) compareBody() outcome {
	d := &s.body.digest
	sum, enough := d.part(s.length)
	s.Partial = s.length >= 0 && s.length < d.length
	switch {
	case !enough:
		return outcome{status: Fail, err: fmt.Errorf("%w: l=%d of %d octets", ErrBodyLength, s.length, d.length), compared: true}
	case !bytes.Equal(sum, s.bh):
		return outcome{status: Fail, err: ErrBodyHash, compared: true}
	case s.Partial && s.afterBody.status == Pass:
		return outcome{status: Policy, err: fmt.Errorf("%w: after l=%d", ErrPartial, s.length), compared: true}
	}
	return s.afterBody
}
