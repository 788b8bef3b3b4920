// Package dkim verifies the DKIM signatures of one message: RFC 6376 with
// RFC 8301 (algorithms), RFC 8463 (Ed25519) and RFC 8616 (internationalized
// mail).
//
// A Verifier gets the whole header and then the body in chunks. The keys are
// fetched while the body comes in, equal keys once; the body is canonicalised
// and hashed once for each body canonicalization, which also serves every l=.
// What cannot match any more stops asking for the body (NeedsBody).
//
// The Chain types verify signatures of the fields of RFC 8617, for package arc.
//
// # Cost
//
// Work is linear in the size of the message and bounded for each signature:
// at most Options.MaxSignatures are checked, each costs one pass over the signed
// header fields and as much RSA as four keys of Options.MaxRSABits with the usual
// exponent. A key beyond that is not tried. The body costs at most two passes, whatever the number of
// signatures. Memory does not depend on the size of the body.
//
// # Line ends
//
// Octets are hashed as received, but for one repair in the body: a bare LF
// counts as CRLF (RFC 6376 section 5.3), for an MTA may strip the CR. A bare CR
// is an ordinary octet.
//
// # Divergences
//
// Where we knowingly differ from the text, or it leaves a choice:
//
//   - l=: a signature that verifies but leaves part of the body unsigned is
//     Policy, not Pass: the unsigned part can be anyone's (RFC 6376 section 8.2).
//     l= beyond the body is a Fail.
//   - t=y in the key record: the signature counts as usual and Testing is set
//     (RFC 6376 section 3.6.1 would have it treated as unsigned).
//   - x= counts with ClockSkew of tolerance. A t= in the future is accepted: it
//     says that a clock is wrong, not that the signature is. x= not after t= is
//     a PermError (section 3.5).
//   - Several TXT records for one key: undefined by section 3.6.2.2. Those that
//     are no key records are ignored; of the others, at most four, any may verify.
//   - White space and padding of base64 are free, in signatures and in keys.
//   - An empty tag-spec (";;") is skipped. The names of unknown tags may hold
//     any printable characters.
//   - The signature's own field is never taken for "dkim-signature" in h=, as
//     section 3.5 forbids to list it.
//   - The signature is compared before the body hash, so that a message whose
//     signed header was changed is told of that, and needs no body.
//   - A signature that no key could make pass (its b= or bh= has no length that a key
//     gives, the body does not match, l= is beyond the body or leaves part of it
//     unsigned) is Fail or Policy even if DNS does not say whether there is a key
//     (section 6.1.2 rule 1 would have a TempError). Whoever sends may choose a d=
//     whose DNS is broken.
//   - d= of a single label is malformed, as the grammar of section 3.5 has it.
//   - Local bounds (Options, number of tags and of h= names) give Policy.
package dkim
