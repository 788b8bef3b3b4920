// Package authres writes the header fields that report dmarcd's results, finds those
// that others wrote in our name, and parses Authentication-Results.
//
// It writes Authentication-Results (RFC 8601) and the vendor's fields
// X-TM-Authentication-Results (its DMARC form and its standalone DKIM form) and
// X-TM-Received-SPF. It takes plain words and names, and is therefore independent of
// the packages that check SPF, DKIM, ARC and DMARC. A value is the text after the
// colon: it has its own leading blank where the field has one, folds as CRLF and a
// blank, and no final CRLF.
//
// Text from the network is never trusted to match its field. A byte that could end,
// hide or begin anything in one of these fields is printed as "?", and an over-long
// value ends in "?" where it was cut, so that a mangled name never looks like a name.
// Quoting is an additional measure: many readers do not understand quoted strings,
// so no quoted string from the network contains a blank, ";", "=", a parenthesis, a
// quote or a backslash.
//
// # Divergences
//
//   - RFC 8601 section 2.2 would carry any text in a quoted string; see above.
//   - Domains are printed, never whole addresses, in smtp.mailfrom.
//   - Parse accepts some text outside the grammar whose meaning is plain: no
//     authserv-id at all, bare values with "/", "=" or ":", properties without a
//     ptype, empty items. It returns names in lower case.
//   - A version above 1 is read like version 1; RFC 8601 section 2.2 lets a
//     reader ignore the field. Finder still takes such a field for ours.
//   - Finder removes more than RFC 8601 section 5 asks: also a field that cannot be
//     read and may be taken for ours, and one with our id where a careless reader
//     looks for it: at the start of a part, after "authserv-id=", in single quotes,
//     or with a sign after it.
package authres

// Names of the fields, as we write them.
const (
	FieldName              = "Authentication-Results"      // RFC 8601 section 2.2
	TMFieldName            = "X-TM-Authentication-Results" // both forms
	ReceivedSPFName        = "X-TM-Received-SPF"
	QuarantineName         = "X-TM-Quarantine"          // written elsewhere; inbound copies are forged
	OriginalRecipientsName = "X-TM-Original-Recipients" // likewise
)
