// Package arc validates the Authenticated Received Chain of one message: RFC
// 8617, section 5.2. It does not seal, and it trusts nobody: that a chain passes
// tells who vouched for the message, and only a reader who knows the sealers
// can tell what that is worth. Anyone can seal.
//
// A Verifier gets the whole header and then the body in chunks, like one of
// package dkim, whose signatures it verifies. A message without ARC fields
// costs one look at the names of its fields.
//
// # Cost
//
// A chain of over 50 sets or 512 KiB is not read. Of one that is complete and
// well-formed, the keys of the newest ten sets are fetched at once, at most
// twenty; those of older sets one by one as the newer ones prove good, so that
// a made-up chain cannot have many strangers' names looked up (RFC 8617 section
// 9.2). The seals are hashed in one pass over the chain. At most 50 seals and
// ten message signatures are verified, each in the bounds of package dkim.
//
// # Divergences
//
// Where we knowingly differ from the text, or it leaves a choice:
//
//   - "oldest-pass" (section 5.2 step 5) is looked for among the newest ten sets
//     only, and after the seals.
//   - A chain is also Fail where a limit of ours was met, and where the header
//     was cut.
//   - Section 4.1.2 forbids to list ARC fields and Authentication-Results in h=
//     of an ARC-Message-Signature. Early sealers listed
//     ARC-Authentication-Results; only an ARC-Seal in h= makes the signature fail.
//   - Neither does h= have to name From, as it must in DKIM-Signature;
//     Hop.FromSigned tells.
//   - An ARC-Message-Signature with l= that leaves part of the body unsigned does
//     not verify; neither does a signature with an RSA key outside of Options.
//   - A fault in an ARC-Message-Signature but its i= counts as a signature that
//     does not verify, which in older sets is no failure of the chain.
//   - An ARC-Message-Signature without c= is "simple/simple" (RFC 6376 section
//     3.5), but was "relaxed/relaxed" in early drafts; either may verify.
package arc
