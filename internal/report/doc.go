// Package report holds the reports of DMARC as values, files and mail: aggregate
// reports (RFC 9990) written and read, failure reports (RFC 9991, in the format
// of RFC 6591 and RFC 5965) written, and the delivery status notifications (RFC
// 3464) that come back for either read. It is pure: no network, no store, no
// clock, no state.
//
// What we write is strict: every file validates against the schema of RFC 9990
// appendix A, and a report for which none can be made is an error. What we read
// is bounded and lenient: reports of RFC 7489, of its drafts and of RFC 9990 are
// taken with the faults they have in the wild, and each leniency is told in a
// [Note], with what was sent kept beside what it was read as.
//
// Texts that come from the network (selectors, domains, comments) are tidied on
// the way out, into a file or into a row's key: octets that are no UTF-8 become
// U+FFFD, control characters and what XML 1.0 does not allow become spaces, and
// the length is bounded.
//
// Divergences:
//
//   - The Report-ID is letters and digits only, without a domain: RFC 9990
//     section 3.3 wants the Report-ID and the unique-id of the file name to be
//     the same, and a unique-id may hold nothing else.
//   - Characters of a domain that no host name has are written as "_" in the
//     file name and the Subject; the report itself has the name as it is.
//   - The policy override types forwarded and sampled_out of RFC 7489 and the
//     scope helo are read and kept; they have no place in a report of RFC 9990,
//     so they are never written.
//   - Where several SPF results stand in one record (RFC 7489 allowed it), all
//     are kept, and the one for MAIL FROM is the row's.
//   - DTDs are refused, as are their entities.
//   - Failure reports hold a redacted header only, never a body.
package report
