package arc

import "errors"

// Reasons why a chain is a Fail. Result.Err wraps one; test with errors.Is.
var (
	// ErrStructure: a field is missing, repeated or unreadable, or a cv= does not fit
	// its set. RFC 8617 section 5.2 step 3.
	ErrStructure = errors.New("arc: malformed chain")

	// ErrBroken: the newest seal itself declares the chain broken. RFC 8617 section 5.2
	// step 2.
	ErrBroken = errors.New("arc: an earlier hop found the chain broken")

	// ErrMessageSignature: the newest ARC-Message-Signature does not verify. It
	// also wraps the error of package dkim.
	ErrMessageSignature = errors.New("arc: message signature does not verify")

	// ErrSeal: an ARC-Seal does not verify. It also wraps the error of package dkim.
	ErrSeal = errors.New("arc: seal does not verify")

	// The chain was not validated.
	ErrLimit     = errors.New("arc: chain over a limit")
	ErrHeaderCut = errors.New("arc: not checked, the header is incomplete")
	ErrGivenUp   = errors.New("arc: not checked, the message was given up")
)

// errCoversSeal is wrapped by ErrMessageSignature.
var errCoversSeal = errors.New("it covers a seal")
