package report

import "time"

// Received is everything that Parse reads except the records. Texts are as sent, in UTF-8
// without characters that XML forbids and without white space at the ends; code that prints
// them must make them safe.
type Received struct {
	Metadata  Metadata // ReportID is unchanged
	Policy    Published
	PCT       string // pct of RFC 7489 as sent; "" if not stated; it has no effect
	Version   string // as sent; "" if not stated
	Namespace string // of the element feedback; "" for none
	Dialect   Dialect

	Records     int   // yielded
	Messages    int64 // in these
	Nothing     int   // records without mail, such as a portal's "nothing seen"
	Quarantined int   // records that could not be read
	Faults      []RecordFault
	Sent        []Sent // of the head
	Notes       []Note
}

// Empty reports whether the report is on a period without mail.
func (r *Received) Empty() bool { return r.Records == 0 && r.Quarantined == 0 }

// Middle returns the middle of the period, whose UTC day is the report's.
func (r *Received) Middle() time.Time {
	return r.Metadata.Begin.Add(r.Metadata.End.Sub(r.Metadata.Begin) / 2)
}

// RecordFault is why a record is quarantined.
type RecordFault struct {
	Record int // its number in the file, from 1
	Line   int // where it begins, from 1
	Why    string
}

// Record is one record as received: a row in the terms of RFC 9990, and the values that were
// sent differently. AuthSPF of the row is the result for MAIL FROM, otherwise the first.
type Record struct {
	Row
	Number int         // in the file, from 1
	AllSPF []SPFResult // all of them
	Sent   []Sent
}

// Sent is a value that was reinterpreted: an unknown word, a domain in other case, an address
// in brackets.
type Sent struct {
	Where string // the element, such as "policy_evaluated/dkim"; with "#2" for the second of several
	Value string
}
