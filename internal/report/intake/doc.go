// Package intake takes in the reports that others send about our domains: it opens
// mails and archives, finds the reports in them, and makes of each what a store
// keeps. What is no aggregate report is set aside by its kind.
//
// Content is told by its octets. Names, MIME types and what a header says of
// itself decide nothing; they are looked at to tell a broken report from a mail
// that never was one. Everything is bounded: octets, parts, archives within each
// other, what they unpack to, records.
//
// # Divergences
//
//   - All members of a gzip file are read (RFC 1952 section 2.2); a missing or wrong
//     checksum and what follows the last member are noted, not refused.
//   - Base64 is read up to its padding, whatever stands between and behind, and also
//     where the transfer encoding does not tell of it (RFC 2045 section 6.8).
//   - A header field that is none is passed over and does not end the header.
//   - MIME parts are split by code of our own: the readers of libraries take a
//     header of any size into memory before a bound can be put on it.
package intake
