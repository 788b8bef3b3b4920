package report

import "errors"

// Errors for a file that cannot be read as a report, wrapped with the place and the reason.
var (
	ErrNotReport = errors.New("report: not an aggregate report")
	ErrTooLarge  = errors.New("report: a limit of reading was met")
	ErrTruncated = errors.New("report: the file ends within a record")
)

// Limits bound the cost of reading a report. A zero field means that of DefaultLimits.
type Limits struct {
	Bytes int64 // of XML, after unpacking
	Rows  int   // records
	Depth int   // nested elements
	Text  int   // octets of one text, tag or comment
	Notes int   // distinct ones; beyond them, one for each kind
}

// DefaultLimits are generous for honest reports: the largest seen have some 80,000 records.
func DefaultLimits() Limits {
	return Limits{Bytes: 100 << 20, Rows: 250_000, Depth: 32, Text: 64 << 10, Notes: 100}
}

// Bounds derived from the limits or fixed.
const (
	maxRepairs  = 250_000 // of markup and entities, in one file
	strangeEach = 8       // unknown elements for each possible record
)

func (l Limits) filled() Limits {
	d := DefaultLimits()
	if l.Bytes <= 0 {
		l.Bytes = d.Bytes
	}
	if l.Rows <= 0 {
		l.Rows = d.Rows
	}
	if l.Depth <= 0 {
		l.Depth = d.Depth
	}
	if l.Text <= 0 {
		l.Text = d.Text
	}
	if l.Notes <= 0 {
		l.Notes = d.Notes
	}
	return l
}
