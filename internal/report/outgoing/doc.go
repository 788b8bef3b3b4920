// Package outgoing makes and sends reports: aggregate reports (RFC 9990) made of the
// aggregates of each UTC day, failure reports (RFC 9991) made of single messages, and the
// queue that holds both until the mail server has accepted them. It contains no SQL and
// no SMTP.
//
// # The life of an aggregate report
//
// Some time after midnight (reports.at) the day that has ended is closed: from then on
// nothing is counted into it, and late messages, from a delayed journal or another
// daemon, are counted into the next day. Then each policy domain with aggregates gets its
// report. File, Report-ID, file name, destinations and Message-IDs are stored in one
// transaction before anything is sent, and there is one report for each domain and day.
// So interrupted work continues with the same file under the same ID.
//
// Days on which nothing ran are made up for, oldest first, up to a week back. The very
// first reports are those on the day before.
//
// # Several daemons
//
// One daemon leads: it alone closes days, makes reports and sends. Each delivery is
// claimed in the store, under the leader's epoch, before it is sent, and claimed for
// longer than an attempt can take. A new leader thus does not touch what an old one may
// still be sending. A mail is sent twice only if a daemon dies between the server's 250
// and recording it.
//
// # What may go wrong
//
// Trouble with our mail server or our login there delays the whole queue and is not
// blamed on a destination. A temporary refusal is retried, with growing pauses, for two
// days. A destination that is refused for good, or whose mail bounces, is suppressed: for
// a week, then for two, up to sixty days. A report that is too large fails, and
// suppresses nothing. For the rest see answer.go.
//
// # Bounces
//
// The envelope sender of aggregate reports is reports.email itself, so mail to that
// address must be passed to Pipeline.Bounce. The returned mail is identified by its
// Message-ID, which has a token of 130 bits and differs for each destination. Failure
// reports have the null reverse-path, so they never bounce.
//
// # Divergences
//
//   - For the addresses of a record that are used see report/destination.
//   - The Submitter is the domain of reports.email, which several daemons that
//     share a store have in common.
//   - A policy record that changes during a day results in one report, on the record seen
//     last, which says so (RFC 9990 section 3.1).
//   - A mail that is sent again differs in its DKIM-Signature, which has its time.
//     Message-ID, Date and the file are the same.
package outgoing
