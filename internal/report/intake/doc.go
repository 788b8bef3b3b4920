// Package intake takes in the reports that others send about our domains: it opens mails and
// archives, finds the reports in them, and converts each to the form that a store keeps. It
// sets aside anything else by kind.
//
// Content is identified by its octets. Names, MIME types and header fields decide nothing; they
// only help to distinguish a broken report from a mail that never was one. Everything is
// bounded: octets, parts, nested archives, their unpacked size, records.
//
// # Divergences
//
//   - All members of a gzip file are read (RFC 1952 section 2.2); a missing or wrong checksum
//     and data after the last member are noted, not refused.
//   - Base64 is read up to its padding, whatever is between and after it, and also if the
//     transfer encoding does not declare it (RFC 2045 section 6.8).
//   - A malformed header field is skipped and does not end the header.
//   - MIME parts are split by our own code: the readers of libraries load a header of any size
//     into memory before a bound can apply.
package intake
