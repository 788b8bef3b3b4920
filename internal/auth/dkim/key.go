package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/bits"
)

const (
	// minRSABits is the minimum for a valid signature, whatever the settings: RFC 8301
	// section 3.2.
	minRSABits = 1024

	// maxRSAExponent bounds the cost of one verification. Exponents in use are 65537
	// or 3; crypto/rsa accepts none above this.
	maxRSAExponent = 1<<31 - 1

	// maxKeyRecord bounds one key record in octets. An RSA key of 16384 bits takes
	// under 3000.
	maxKeyRecord = 8192
)

// keyRecord is one key record, RFC 6376 section 3.6.1.
type keyRecord struct {
	alg     algorithm
	rsa     *rsa.PublicKey    // set only for rsaSHA256
	ed25519 ed25519.PublicKey // set only for ed25519SHA256
	bits    int
	unfit   error // why its h= or s= forbids every signature; nil otherwise
	testing bool  // t=y
	strict  bool  // t=s
}

// parseKey parses a key record. It ignores unknown tags, such as g= of RFC 4871.
func parseKey(text string) (keyRecord, error) {
	if len(text) > maxKeyRecord {
		return keyRecord{}, fmt.Errorf("%w: %d octets", ErrKeySyntax, len(text))
	}
	var space [8]tag
	tags, err := parseTags(space[:0], []byte(text))
	if err != nil {
		return keyRecord{}, fmt.Errorf("%w: %w", ErrKeySyntax, err)
	}
	if v, ok := tags.get("v"); ok && (string(v.value) != "DKIM1" || string(tags[0].name) != "v") {
		return keyRecord{}, fmt.Errorf("%w: v=%q, or not the first tag", ErrKeySyntax, quoted(v.value))
	}
	p, ok := tags.get("p")
	switch {
	case !ok:
		return keyRecord{}, fmt.Errorf("%w: no p= tag", ErrKeySyntax)
	case len(p.value) == 0: // RFC 6376 section 3.6.1
		return keyRecord{}, ErrKeyRevoked
	}
	data, err := decodeBase64(p.value)
	if err != nil {
		return keyRecord{}, fmt.Errorf("%w: p=: %w", ErrKeySyntax, err)
	}
	k := keyRecord{}
	if err := k.parsePublic(tags, data); err != nil {
		return keyRecord{}, err
	}
	k.parseUse(tags)
	return k, nil
}

// parsePublic parses the public key according to k=.
func (k *keyRecord) parsePublic(tags tagList, data []byte) error {
	kind := "rsa"
	if t, ok := tags.get("k"); ok {
		kind = string(quoted(t.value))
	}
	switch kind {
	case "rsa":
		pub, err := parseRSA(data)
		if err != nil {
			return err
		}
		k.alg, k.rsa, k.bits = rsaSHA256, pub, pub.N.BitLen()
	case "ed25519": // the 32 octets alone, RFC 8463 section 4.2
		if len(data) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: Ed25519 key of %d octets", ErrKeySyntax, len(data))
		}
		k.alg, k.ed25519, k.bits = ed25519SHA256, data, 8*len(data)
	default:
		return fmt.Errorf("%w: k=%q", ErrKeyUnfit, kind)
	}
	return nil
}

// parseRSA parses an RSA key in either form that RFC 6376 and its erratum 3017
// allow.
func parseRSA(data []byte) (*rsa.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(data)
	if err != nil {
		pub, err = x509.ParsePKCS1PublicKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: p= is no RSA key", ErrKeySyntax)
	}
	key, ok := pub.(*rsa.PublicKey)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: p= holds a %T, not an RSA key", ErrKeySyntax, pub)
	case key.E < 3 || key.E%2 == 0 || key.E > maxRSAExponent:
		return nil, fmt.Errorf("%w: RSA exponent %d", ErrKeySyntax, key.E)
	}
	return key, nil
}

// parseUse parses the permitted uses: h=, s= and t=. It ignores unknown values (RFC
// 6376 section 3.6.1).
func (k *keyRecord) parseUse(tags tagList) {
	if h, ok := tags.get("h"); ok && !hasItem(h.value, "sha256", "") {
		k.unfit = fmt.Errorf("%w: h=%q", ErrKeyUnfit, quoted(h.value))
	}
	if s, ok := tags.get("s"); ok && !hasItem(s.value, "email", "*") {
		k.unfit = fmt.Errorf("%w: s=%q", ErrKeyUnfit, quoted(s.value))
	}
	if t, ok := tags.get("t"); ok {
		k.testing = hasItem(t.value, "y", "")
		k.strict = hasItem(t.value, "s", "")
	}
}

// allows returns nil if the signature may use the key, otherwise why not (RFC 6376
// section 6.1.2).
func (k *keyRecord) allows(s *signature) error {
	switch {
	case k.alg != s.alg:
		return fmt.Errorf("%w: it is of another algorithm than %s", ErrKeyUnfit, s.Algorithm)
	case k.unfit != nil:
		return k.unfit
	case k.strict && s.agent != s.Domain:
		return fmt.Errorf("%w: t=s, but i= is %s", ErrKeyUnfit, s.agent)
	case k.rsa != nil && k.bits < minRSABits:
		return fmt.Errorf("%w: %d bits, RFC 8301 asks for %d", ErrKeySize, k.bits, minRSABits)
	}
	return nil
}

// usualExponent is the exponent of nearly all RSA keys.
const usualExponent = 65537

// cost is the cost of a comparison with the key, in units of rsaCost. Ed25519 costs
// about as much as RSA of 2048 bits.
func (k *keyRecord) cost() int {
	if k.rsa == nil {
		return rsaCost(2048, usualExponent)
	}
	return rsaCost(k.bits, k.rsa.E)
}

// rsaCost counts the multiplications of a verification, weighted by the square of their
// length in units of 1024 bits.
func rsaCost(length, exponent int) int {
	const unit = 1024
	n := (length + unit - 1) / unit
	return n * n * (bits.Len(uint(exponent)) + bits.OnesCount(uint(exponent)))
}

// matches verifies the signature against the hash of the signed header fields.
func (k *keyRecord) matches(digest, sig []byte) bool {
	if k.rsa != nil {
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, digest, sig) == nil
	}
	return ed25519.Verify(k.ed25519, digest, sig) // over the hash, RFC 8463 section 3
}
