// Package authres writes the header fields that tell what dmarcd found, finds
// those that somebody else wrote in our name, and reads Authentication-Results.
//
// It writes Authentication-Results (RFC 8601) and the vendor's fields
// X-TM-Authentication-Results (its DMARC form and its standalone DKIM form) and
// X-TM-Received-SPF. It takes plain words and names, so that it need not know
// the packages that check SPF, DKIM, ARC and DMARC. A value is what goes right
// of the colon, with its own leading blank where the field has one, folds as
// CRLF and a blank, and no final CRLF.
//
// Nothing from the network is trusted to be what its field should hold. A byte
// that could end, hide or begin anything in one of these fields is printed as
// "?", and an over-long value ends in "?" where it was cut, so that a mangled
// name never looks like a name. Quoting comes on top of that: readers that do
// not understand quoted strings are common, so no quoted string from the
// network holds a blank, ";", "=", a parenthesis, a quote or a backslash.
//
// # Divergences
//
//   - RFC 8601 section 2.2 would carry any text in a quoted string; see above.
//   - Domains are printed, never whole addresses, in smtp.mailfrom.
//   - Parse takes what the grammar refuses where the meaning is plain: no
//     authserv-id at all, bare values holding "/", "=" or ":", properties
//     without a ptype, empty items. Its names are lower-case.
//   - A version above 1 is read like version 1; RFC 8601 section 2.2 lets a
//     reader ignore the field. Finder takes such a field for ours all the same.
//   - Finder removes more than RFC 8601 section 5 asks: a field that cannot be
//     read and may be taken for ours goes too, and so does one in which our id
//     stands where a careless reader looks for it: at the start of a part, behind
//     "authserv-id=", in single quotes, with a sign behind it.
package authres

// Names of the fields, as we write them.
const (
	FieldName              = "Authentication-Results"      // RFC 8601 section 2.2
	TMFieldName            = "X-TM-Authentication-Results" // both forms
	ReceivedSPFName        = "X-TM-Received-SPF"
	QuarantineName         = "X-TM-Quarantine"          // written elsewhere; inbound copies are forged
	OriginalRecipientsName = "X-TM-Original-Recipients" // likewise
)
