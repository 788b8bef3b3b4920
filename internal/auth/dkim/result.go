package dkim

import "dmarcd/internal/dns"

// Status is the outcome for one signature, RFC 6376 section 6.1 in the words of
// RFC 8601 section 2.7.1.
type Status string

// The results of RFC 8601 section 2.7.1. "none" is said of a message without
// signatures and so never stands in a Result.
const (
	None      Status = "none"
	Pass      Status = "pass"
	Fail      Status = "fail"
	Policy    Status = "policy"
	Neutral   Status = "neutral"
	TempError Status = "temperror"
	PermError Status = "permerror"
)

// Result is the outcome for one DKIM-Signature field.
type Result struct {
	Status    Status
	Domain    dns.Name // d=; zero if the field could not be read
	Selector  string   // s=
	Algorithm string   // a=, such as "rsa-sha256"
	Header    string   // header canonicalization, "simple" or "relaxed"
	Body      string   // body canonicalization
	KeyBits   int      // size of the public key in bits; 0 if none was fetched
	Partial   bool     // l= left part of the body unsigned
	Testing   bool     // the key record says t=y
	SigPrefix string   // start of b=, to tell signatures apart (RFC 6008)
	// Processed tells that the signature was well-formed, its key was found and
	// the cryptographic comparison was made: it verified or it did not.
	Processed bool
	Err       error // nil exactly when Status is Pass
}
