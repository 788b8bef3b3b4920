// Package analysis turns the reports that others send about our domains into figures. It
// defines what is stored of a received report, which reports count, the search criteria and
// answers of every view, and the tools for a domain's own DMARC record. It has no SQL, opens
// no socket and reads no clock: a Store stores the data, and resolver and time are passed in.
//
// # The life of a received report
//
// A feed (milter, LMTP, IMAP, folder, files) passes a mail or a file to report/intake, which
// spools it, unpacks it and reads each report in it. The result is an Item: its Trust, and
// for each report the rows, each with the verdicts that count. Items are stored in a Batch,
// in one transaction, which also detects duplicates (see Settle); only then does the feed
// acknowledge.
//
// Host names are looked up separately: a worker asks the store for sources without an
// Identity and looks them up in the background.
//
// # Figures
//
// A message is compliant if SPF or DKIM had an aligned pass. The reporter's verdict counts;
// see report/intake for reports without one. The day of a report is the UTC day of its
// period's middle; a report over a day long is spread over its days (see Spread). Every view
// counts the same rows, so that its figures agree with those of every other view for the same
// Filter.
//
// # Divergences
//
//   - The largest remainder of Spread goes to the earlier day if remainders are equal.
package analysis
