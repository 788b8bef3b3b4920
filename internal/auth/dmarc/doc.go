// Package dmarc evaluates one message by RFC 9989: it finds the policy record for
// the author domain and the organizational domains by tree walk, and reports whether
// an authenticated identifier aligns. It takes identifiers and is independent of SPF
// and DKIM. Its only I/O goes through a Resolver.
//
// A Discoverer begins a Discovery when the author domain is known, which sends all
// queries at once; Evaluate ends it when the results of SPF and DKIM are known.
//
// # Divergences
//
// Where RFC 9989 does not decide, or where we differ from it on purpose:
//
//   - A record without a p tag and without a reporting URI: section 4.7 wants it
//     read as p=none, section 4.10.1 wants no processing. The result is None.
//   - The first of several tags of one name counts. White space before "v" and
//     empty tags (";;") are tolerated, and CR and LF count as white space. Tag names
//     are case-sensitive, except that "V=DMARC1" is read like "v=DMARC1"; values are
//     not, except that of v.
//   - A malformed fo, such as "0:1", is its default "0".
//   - A mailto: URI is valid if it names one address with a plain local part and a
//     host name: an address that is unsafe to send to is no reporting URI. An encoded
//     comma in the local part is allowed (section 4.8).
//   - An author domain that is an alias exists, even if its target does not: the
//     NXDOMAIN is that of the target (RFC 8020). A domain that a DNAME synthesizes
//     does not exist.
//   - An identifier does not align if its tree walk would exceed our bound on the
//     queries of a message.
//   - The record of an organizational domain that the walk did not query (eight
//     labels, below a psd=y of seven) is not looked up.
//   - An identifier aligns with the author domain if their names are the same,
//     even if no record is published there (section 4.10.2 requires a record).
//   - A DNS error makes the result TempError only if another answer could have
//     changed it; section 5.3.6 would have it for every failed query. If the
//     existence of the author domain is unknown, the weaker of sp and np is
//     requested.
//   - Discovery by the public suffix list (Discoverer.PSL) follows RFC 7489 in two
//     points: the organizational domain, and that several records at one name end the
//     search. Records are read as in RFC 9989: np and t count, pct does not. psd is
//     ignored, and no public suffix is queried for a record.
package dmarc
