// Package arc validates the Authenticated Received Chain of one message: RFC
// 8617, section 5.2. It does not seal, and it trusts nobody: a passing chain names
// who vouched for the message, and only a reader who knows the sealers can judge
// what that is worth. Anyone can seal.
//
// A Verifier reads the whole header and then the body in chunks, like one of package
// dkim, which verifies its signatures. A message without ARC fields costs one pass
// over its field names.
//
// # Cost
//
// A chain of over 50 sets or 512 KiB is not read. If the chain is complete and
// well-formed, the keys of the newest ten sets, at most twenty, are fetched at once.
// Those of older sets follow one by one as the newer ones verify, so that a forged
// chain cannot cause many look-ups of strangers' names (RFC 8617 section 9.2). The
// seals are hashed in one pass over the chain. At most 50 seals and ten message
// signatures are verified, each within the bounds of package dkim.
//
// # Divergences
//
// Where we knowingly differ from the text, or it leaves a choice:
//
//   - "oldest-pass" (section 5.2 step 5) is searched for among the newest ten sets
//     only, and after the seals.
//   - A chain is also Fail if it exceeds a limit of ours, or if the header was
//     truncated.
//   - Section 4.1.2 forbids ARC fields and Authentication-Results in h= of an
//     ARC-Message-Signature. Early sealers listed ARC-Authentication-Results; only
//     an ARC-Seal in h= makes the signature fail.
//   - h= need not name From either, as it must in DKIM-Signature; Hop.FromSigned
//     reports it.
//   - An ARC-Message-Signature with l= that leaves part of the body unsigned does
//     not verify; neither does a signature with an RSA key outside of Options.
//   - A fault in an ARC-Message-Signature, except in its i=, counts as a signature
//     that does not verify, which in older sets is no failure of the chain.
//   - An ARC-Message-Signature without c= is "simple/simple" (RFC 6376 section
//     3.5), but was "relaxed/relaxed" in early drafts; either may verify.
package arc
