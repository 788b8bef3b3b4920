// Package report holds DMARC reports as values, files and mail: it writes and reads aggregate
// reports (RFC 9990), writes failure reports (RFC 9991, in the format of RFC 6591 and RFC
// 5965), and reads the delivery status notifications (RFC 3464) that either may cause. It is
// pure: no network, no store, no clock, no state.
//
// Writing is strict: every file validates against the schema of RFC 9990 appendix A, and a
// report that cannot is an error. Reading is bounded and lenient: reports of RFC 7489, of its
// drafts and of RFC 9990 are accepted with their usual faults. Each leniency is reported in a
// [Note], and the value as sent is kept beside its interpretation.
//
// Texts from the network (selectors, domains, comments) are tidied on output to a file or to
// a row's key: octets that are not UTF-8 become U+FFFD, control characters and characters
// that XML 1.0 forbids become spaces, and the length is bounded.
//
// Divergences:
//
//   - The Report-ID has only letters and digits, without a domain: RFC 9990 section 3.3
//     requires it to equal the unique-id of the file name, which allows nothing else.
//   - Characters of a domain that no host name has are written as "_" in the file name and
//     the Subject; the report itself has the name unchanged.
//   - The policy override types forwarded and sampled_out of RFC 7489 and the scope helo are
//     read and kept; RFC 9990 has no place for them, so they are never written.
//   - If one record has several SPF results (RFC 7489 allowed it), all are kept, and the one
//     for MAIL FROM is the row's.
//   - DTDs are refused, and their entities with them.
//   - Failure reports contain only a redacted header, never a body.
package report
