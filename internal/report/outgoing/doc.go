// Package outgoing is the work on the reports that we send: aggregate reports (RFC
// 9990) made of the aggregates of each UTC day, failure reports (RFC 9991) made of
// single messages, and the queue that both wait in until the mail server has taken
// them. It writes no SQL and speaks no SMTP.
//
// # The life of an aggregate report
//
// Some time after midnight (reports.at) the day that has ended is closed: from then
// on nothing is counted into it any more, and what comes late, from a journal that
// was behind or from another daemon, is counted into the next day. Then each policy
// domain with aggregates gets its report. File, Report-ID, file name, destinations and
// Message-IDs are stored in one transaction before anything is sent, and there is
// one report for each domain and day. So whatever is interrupted afterwards goes on
// with the same file under the same ID.
//
// Days on which nothing ran are made up for, the oldest first, up to a week back.
// When reports are sent for the first time, that begins with the day before.
//
// # Several daemons
//
// One daemon leads: it alone closes days, makes reports and sends. Each delivery is
// claimed in the store, under the leader's epoch, before it is sent, and claimed for
// longer than an attempt can take. A new leader thus keeps its hands off what an old
// one may still be sending. Only a daemon that dies between the server's 250 and the
// note of it sends the same mail twice.
//
// # What may go wrong
//
// Trouble with our mail server or our login there holds up the whole queue and is
// nobody else's fault. A temporary refusal is tried again, with growing pauses,
// for two days. A destination that is refused for good, or whose mail bounces, is
// suppressed: for a week, then for two, up to sixty days. A report that is too large
// fails and suppresses nothing. The rest is in answer.go.
//
// # Bounces
//
// The envelope sender of aggregate reports is reports.email itself, so mail to that
// address has to be shown to Pipeline.Bounce. Which mail came back tells its
// Message-ID, which holds a token of 130 bits and is another for each destination.
// Failure reports have the null reverse-path, and nothing of them comes back.
//
// # Divergences
//
//   - Which addresses of a record are sent to is told in report/destination.
//   - The Submitter is the domain of reports.email, which several daemons that
//     share a store have in common.
//   - A policy record that changes during a day gives one report, on the record seen
//     last, that says so (RFC 9990 section 3.1).
//   - A mail that is sent again differs in its DKIM-Signature, which tells when it
//     was made. Message-ID, Date and the file stay.
package outgoing
