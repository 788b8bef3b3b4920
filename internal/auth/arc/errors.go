package arc

import "errors"

// Why a chain is a Fail. Result.Err wraps one of these; test with errors.Is.
var (
	// ErrStructure: a field is missing, stands twice, or cannot be read, or a
	// cv= does not fit its place. RFC 8617 section 5.2 step 3.
	ErrStructure = errors.New("arc: malformed chain")

	// ErrBroken: the newest seal says itself that the chain is broken. RFC 8617
	// section 5.2 step 2.
	ErrBroken = errors.New("arc: an earlier hop found the chain broken")

	// ErrMessageSignature: the newest ARC-Message-Signature does not verify. It
	// also wraps the error of package dkim.
	ErrMessageSignature = errors.New("arc: message signature does not verify")

	// ErrSeal: an ARC-Seal does not verify. It also wraps the error of package dkim.
	ErrSeal = errors.New("arc: seal does not verify")

	// Not looked at.
	ErrLimit     = errors.New("arc: chain over a limit")
	ErrHeaderCut = errors.New("arc: not checked, the header is incomplete")
	ErrGivenUp   = errors.New("arc: not checked, the message was given up")
)

// errCoversSeal is wrapped by ErrMessageSignature.
var errCoversSeal = errors.New("it covers a seal")
