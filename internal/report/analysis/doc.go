// Package analysis holds the reports that others send about our domains, as figures:
// what is stored of a received report, which of them count, the search criteria and
// the answers of every view, and the tools for a domain's own DMARC record. It has no
// SQL, opens no socket and reads no clock: a Store keeps things, a resolver is handed
// in, time comes in as a value.
//
// # The life of a received report
//
// A feed (milter, LMTP, IMAP, folder, files) hands a mail or a file to report/intake,
// which spools it, unpacks it and reads each report in it. What it finds becomes an
// Item: its Trust, and for each report the rows, each with the verdicts that count.
// Items are stored in a Batch, in one transaction, which decides about duplicates
// (see Settle); only then the feed acknowledges.
//
// Look-ups of host names are no part of that. A worker asks the store for sources
// without an Identity and looks them up in the background.
//
// # Figures
//
// A message is compliant if SPF or DKIM gave an aligned pass. The reporter's verdict
// counts; see report/intake for what is done where it states none. The day of a report
// is the UTC day of its period's middle; one over a day long is spread over its days
// (see Spread). Every view counts the same rows, so that its figures agree with those
// of every other view for the same Filter.
//
// # Divergences
//
//   - The largest remainder of Spread goes to the earlier day where remainders are equal.
package analysis
