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
//
// # Cost
//
// Work is linear in the size of the message and bounded for each signature. At most
// Options.MaxSignatures are checked. Each costs one pass over the signed header
// fields and as much RSA as four keys of Options.MaxRSABits with the usual exponent;
// keys beyond that are not tried. The body costs at most two passes for any number
// of signatures. Memory does not depend on the size of the body.
//
// # Line ends
//
// Octets are hashed as received, with one repair in the body: a bare LF counts as
// CRLF (RFC 6376 section 5.3), because an MTA may strip the CR. A bare CR is an
// ordinary octet.
//
// # Divergences
//
// Where we knowingly differ from the text, or it leaves a choice:
//
//   - l=: a signature that verifies but leaves part of the body unsigned is
//     Policy, not Pass: anyone could have added that part (RFC 6376 section 8.2).
//     l= beyond the body is a Fail.
//   - t=y in the key record: the signature counts as usual and Testing is set
//     (RFC 6376 section 3.6.1 would treat it as unsigned).
//   - x= counts with a tolerance of ClockSkew. A t= in the future is accepted: it
//     shows that a clock is wrong, not that the signature is. x= not after t= is
//     a PermError (section 3.5).
//   - Several TXT records for one key: undefined by section 3.6.2.2. Texts that are
//     not key records are ignored; of the others, at most four, any may verify.
//   - White space and padding of base64 are free, in signatures and in keys.
//   - An empty tag-spec (";;") is skipped. The names of unknown tags may contain
//     any printable characters.
//   - "dkim-signature" in h= never selects the signature's own field, because
//     section 3.5 forbids listing it.
//   - The signature is compared before the body hash, so that a changed header is
//     reported as such, without the body.
//   - A signature that no key could make pass (its b= or bh= has no length that a key
//     gives, the body does not match, l= is beyond the body or leaves part of it
//     unsigned) is Fail or Policy even if DNS does not say whether there is a key
//     (section 6.1.2 rule 1 would have a TempError). A sender may choose a d= whose
//     DNS is broken.
//   - d= of a single label is malformed, by the grammar of section 3.5.
//   - Local bounds (Options, number of tags and of h= names) give Policy.
package dkim
