package dkim

import "dmarcd/internal/dns"

// Status is the outcome for one signature, RFC 6376 section 6.1 in the words of
// RFC 8601 section 2.7.1.
type Status string

// The results of RFC 8601 section 2.7.1. "none" is said of a message without
// signatures and so never stands in a Result; nor does "neutral", for a
// signature that cannot be processed is a PermError here.
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
// network, but is checked: Domain and Selector hold letters, digits, hyphens,
// underscores and dots only, Algorithm letters, digits and hyphens, SigPrefix
// the base64 alphabet. Only Identity may hold a local part, which is personal
// and unchecked text: it is for the header that tells of it, not for logs or stores.
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
	// Processed tells that the signature was well-formed, its key was found and
	// the cryptographic comparison was made: it verified or it did not. A Fail without
	// it is a signature that no key could make pass, for which DNS gave none.
	Processed bool
	Err       error // nil exactly when Status is Pass
}
