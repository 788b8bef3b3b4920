// Package dkim verifies the DKIM signatures of one message: RFC 6376 with
// RFC 8301 (algorithms), RFC 8463 (Ed25519) and RFC 8616 (internationalized
// mail).
//
// A Verifier reads the whole header and then the body in chunks. It fetches keys
// while the body arrives, equal keys once. It canonicalises and hashes the body
// once for each body canonicalization, which also serves every l=. Signatures that
// can no longer match do not ask for the body (NeedsBody).
//
// The Chain types verify signatures of the fields of RFC 8617, for package arc.
package dkim
