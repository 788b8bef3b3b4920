package dkim

import "dmarcd/internal/dns"

// Status is the outcome for one signature (RFC 6376 section 6.1), in the terms of
// RFC 8601 section 2.7.1.
type Status string

// The results of RFC 8601 section 2.7.1. No Result has "none", which describes a
// message without signatures, or "neutral": a signature that cannot be processed is
// a PermError here.
const (
	None      Status = "none"
	Pass      Status = "pass"
	Fail      Status = "fail"
	Policy    Status = "policy"
	Neutral   Status = "neutral"
	TempError Status = "temperror"
	PermError Status = "permerror"
)

// Result is the outcome for one DKIM-Signature field. Its text comes from the
// network but is validated: Domain and Selector contain letters, digits, hyphens,
// underscores and dots only, Algorithm letters, digits and hyphens, SigPrefix the
// base64 alphabet. Only Identity may contain a local part. It is personal and not
// validated: use it in the header field that reports it, not in logs or stores.
type Result struct {
	Status    Status
	Domain    dns.Name // d=; zero if the field could not be read
	Selector  string   // s=, as sent, U-labels as A-labels; "" if it could not be read
	Identity  string   // i=, as sent; "" if there is none or it could not be read
	Algorithm string   // a=, such as "rsa-sha256"; "" if it could not be read
	Header    string   // header canonicalization, "simple" or "relaxed"
	Body      string   // body canonicalization
	KeyBits   int      // size of the public key in bits; 0 if none was fetched
	Partial   bool     // l= left part of the body unsigned
	Testing   bool     // the key record says t=y
	SigPrefix string   // the first 8 characters of b=, to tell signatures apart (RFC 6008)
	// Processed reports that the signature was well-formed, its key was found and the
	// cryptographic comparison was made, with either outcome. A Fail without Processed
	// is a signature that no key could make pass and for which DNS supplied none.
	Processed bool
	Err       error // nil exactly when Status is Pass
}
