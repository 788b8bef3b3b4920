package report

import (
	"errors"
	"sort"
)

// Errors of a file that cannot be read as a report. They are wrapped with where
// and why.
var (
	ErrNotReport = errors.New("report: not an aggregate report")
	ErrTooLarge  = errors.New("report: a limit of reading was met")
	ErrSyntax    = errors.New("report: broken XML")
	ErrTruncated = errors.New("report: the file ends within a record")
)

// Limits bound what reading a report costs. A zero field means that of
// DefaultLimits.
type Limits struct {
	Bytes    int64 // of XML, after unpacking
	Rows     int   // records
	Depth    int   // elements within each other
	Text     int   // octets of one text, tag or comment
	Warnings int   // different ones; beyond them there is one for each kind
}

// DefaultLimits are generous for honest reports: the largest seen have some ten
// thousand records.
func DefaultLimits() Limits {
	return Limits{Bytes: 100 << 20, Rows: 1_000_000, Depth: 32, Text: 64 << 10, Warnings: 100}
}

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
	if l.Warnings <= 0 {
		l.Warnings = d.Warnings
	}
	return l
}

// WarningKind says what sort of fault was found and put right.
type WarningKind string

// The kinds.
const (
	WarnRecord    WarningKind = "record"    // a record was left out
	WarnWord      WarningKind = "word"      // a word that is none, read as another
	WarnNumber    WarningKind = "number"    // an odd number
	WarnTime      WarningKind = "time"      // an odd time or period
	WarnDomain    WarningKind = "domain"    // a name that is no domain, kept as it is
	WarnMissing   WarningKind = "missing"   // a required value is not there
	WarnExtra     WarningKind = "extra"     // several where one is allowed
	WarnCut       WarningKind = "cut"       // a text was too long
	WarnMarkup    WarningKind = "markup"    // broken XML was repaired
	WarnCharset   WarningKind = "charset"   // an unknown or wrong charset
	WarnNamespace WarningKind = "namespace" // elements of RFC 9990 without its namespace
	WarnTruncated WarningKind = "truncated" // the end of the file is missing; all its records are whole
)

// Warning is one leniency, with how often it was needed.
type Warning struct {
	Kind  WarningKind
	Text  string // for people; holds at most a short piece of the file, tidied
	Row   int    // the first record it was met in, from 1; 0 outside of records
	Count int
}

// more stands for the different warnings of one kind that are over the limit.
const more = "and more of this kind"

// warnings collects, each once.
type warnings struct {
	most int
	seen map[Warning]*Warning // by kind and text alone
}

func (w *warnings) add(kind WarningKind, text string, row int) {
	key := Warning{Kind: kind, Text: text}
	if known := w.seen[key]; known != nil {
		known.Count++
		return
	}
	if len(w.seen) >= w.most && text != more {
		w.add(kind, more, row)
		return
	}
	if w.seen == nil {
		w.seen = make(map[Warning]*Warning)
	}
	w.seen[key] = &Warning{Kind: kind, Text: text, Row: row, Count: 1}
}

// list gives them in the order of the file.
func (w *warnings) list() []Warning {
	var out []Warning
	for _, one := range w.seen {
		out = append(out, *one)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Row != b.Row {
			return a.Row < b.Row
		}
		if a.Kind != b.Kind {
			return a.Kind < b.Kind
		}
		return a.Text < b.Text
	})
	return out
}
