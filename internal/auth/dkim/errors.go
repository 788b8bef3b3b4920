package dkim

import "errors"

// Reasons why a signature is not a Pass. Result.Err wraps one; test with errors.Is.
var (
	// Errors of the signature field itself: PermError, RFC 6376 section 6.1.1.
	ErrSyntax       = errors.New("dkim: malformed signature")
	ErrUnsupported  = errors.New("dkim: unsupported signature")
	ErrFromUnsigned = errors.New("dkim: From is not signed")
	ErrIdentity     = errors.New("dkim: i= is not within d=")
	ErrExpired      = errors.New("dkim: signature has expired")

	// Errors of the key record: PermError, RFC 6376 section 6.1.2.
	ErrNoKey      = errors.New("dkim: no key")
	ErrKeySyntax  = errors.New("dkim: malformed key record")
	ErrKeyRevoked = errors.New("dkim: key revoked")
	ErrKeyUnfit   = errors.New("dkim: key is not for this signature")

	// ErrKeyLookup: DNS did not say whether there is a key. TempError; it also wraps
	// the resolver's error.
	ErrKeyLookup = errors.New("dkim: key not available")

	// ErrKeySize: the RSA key is shorter than RFC 8301 section 3.2 allows (PermError),
	// or outside the operator's bounds (Policy).
	ErrKeySize = errors.New("dkim: key size")

	// The cryptographic comparison: Fail, RFC 6376 section 6.1.3.
	ErrSignature  = errors.New("dkim: signature does not match")
	ErrBodyHash   = errors.New("dkim: body does not match its hash")
	ErrBodyLength = errors.New("dkim: l= is beyond the body")

	// Local policy: Policy, RFC 8601 section 2.7.1.
	ErrPartial   = errors.New("dkim: part of the body is not signed")
	ErrLimit     = errors.New("dkim: not checked, over a limit")
	ErrHeaderCut = errors.New("dkim: not checked, the header is incomplete")
)

// quoted cuts text from the network for an error message, which quotes it with %q.
func quoted(b []byte) []byte {
	const most = 60
	if len(b) > most {
		return b[:most]
	}
	return b
}
