package report

import "time"

// Received is what Parse read of an aggregate report beside its records. Texts
// are as sent, in UTF-8 without the characters that XML forbids and without
// white space at either end; whoever prints them makes them safe.
type Received struct {
	Metadata  Metadata // ReportID is to the letter
	Policy    Published
	PCT       string // pct of RFC 7489 as sent; "" if not told; it has no effect
	Version   string // as sent; "" if not told
	Namespace string // of the element feedback; "" for none
	Dialect   Dialect

	Records     int   // yielded
	Messages    int64 // in these
	Nothing     int   // records that tell of no mail, such as a portal's "nothing seen"
	Quarantined int   // records that could not be read
	Faults      []RecordFault
	Sent        []Sent // of the head
	Notes       []Note
}

// Empty tells of a report on a period without mail.
func (r *Received) Empty() bool { return r.Records == 0 && r.Quarantined == 0 }

// Middle is the middle of the period, whose UTC day is the report's.
func (r *Received) Middle() time.Time {
	return r.Metadata.Begin.Add(r.Metadata.End.Sub(r.Metadata.Begin) / 2)
}

// RecordFault tells why a record is quarantined.
type RecordFault struct {
	Record int // its number in the file, from 1
	Line   int // where it begins, from 1
	Why    string
}

// Record is one record as received: a row in the words of RFC 9990, and beside
// it what was sent where that is something else. AuthSPF of the row is the one
// for MAIL FROM, else the first.
type Record struct {
	Row
	Number int         // in the file, from 1
	AllSPF []SPFResult // all of them
	Sent   []Sent
}

// Sent is a value that was read as another: a word that is none, a domain in
// other letters, an address in brackets.
type Sent struct {
	Where string // the element, such as "policy_evaluated/dkim"; with "#2" for the second of several
	Value string
}
