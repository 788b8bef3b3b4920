package report

import (
	"fmt"
	"sort"
	"strings"
)

// NoteKind is a kind of oddity in a report that was repaired or kept.
type NoteKind string

// The kinds. Each comment describes Value and As.
const (
	NoteRecord       NoteKind = "record"        // a record was quarantined; Value: why
	NoteNothing      NoteKind = "nothing"       // a record without mail
	NoteWord         NoteKind = "word"          // an unknown word; Value as sent, As its interpretation, "" for none
	NoteNumber       NoteKind = "number"        // an odd number; Value as sent
	NoteTime         NoteKind = "time"          // an odd time; Value as sent, As "" if it is no time
	NotePeriod       NoteKind = "period"        // an odd period; Value: why
	NoteAddress      NoteKind = "address"       // an address in another form; Value as sent, As the address
	NoteDomain       NoteKind = "domain"        // a name that is no domain, kept; Value as sent
	NoteMissing      NoteKind = "missing"       // a required value is missing; Where: which
	NoteExtra        NoteKind = "extra"         // several where one is allowed; Where: which
	NoteCut          NoteKind = "cut"           // a text or a list was too long; Where: which
	NoteMarkup       NoteKind = "markup"        // broken XML was repaired; Value: how
	NoteEntity       NoteKind = "entity"        // an entity unknown to XML; Value: the entity
	NoteCharacter    NoteKind = "character"     // characters that XML forbids, or invalid octets, were replaced
	NoteCharset      NoteKind = "charset"       // an unknown charset; Value: its name
	NoteNamespace    NoteKind = "namespace"     // elements of RFC 9990 without its namespace
	NoteTruncated    NoteKind = "truncated"     // the end of the file is missing; all its records are whole
	NoteForeignFrom  NoteKind = "foreign_from"  // a From domain not below the policy domain; Value: the domain
	NoteWorkedOut    NoteKind = "worked_out"    // verdict missing; derived from auth_results and alignment; Where: which
	NoteContradicted NoteKind = "contradicted"  // the verdict is fail, but auth_results have an aligned pass; Where: which
	NoteWithoutCause NoteKind = "without_cause" // the verdict is pass, but auth_results have no aligned pass; Where: which
	NoteUnpacked     NoteKind = "unpacked"      // an odd archive or mail; Value: why
	NoteMore         NoteKind = "more"          // more distinct notes than are kept; Value: of which kind
)

// Note is one repair or contradiction, with the number of occurrences. It is stored with the
// report and shown.
type Note struct {
	Kind   NoteKind `json:"kind"`
	Where  string   `json:"where,omitempty"`  // the element
	Value  string   `json:"value,omitempty"`  // a short piece of the file, or a word of ours
	As     string   `json:"as,omitempty"`     // its interpretation
	Record int      `json:"record,omitempty"` // the first record with it, from 1; 0 outside of records
	Count  int      `json:"count"`
}

// noteTexts has %w for where, %q for the value quoted, %v for the value, %a for as.
var noteTexts = map[NoteKind]string{
	NoteRecord:       "a record is quarantined: %v",
	NoteNothing:      "a record tells of no mail",
	NoteWord:         "%w: %q is read as %a",
	NoteNumber:       "%w is written as %q",
	NoteTime:         "%w: %q is read as %a",
	NotePeriod:       "%v",
	NoteAddress:      "%w: %q is read as %a",
	NoteDomain:       "%w: %q is no domain",
	NoteMissing:      "no %w",
	NoteExtra:        "several of %w",
	NoteCut:          "%w is too long and was cut",
	NoteMarkup:       "broken XML: %v",
	NoteEntity:       "%q is no entity of XML",
	NoteCharacter:    "characters that XML does not allow were replaced",
	NoteCharset:      "charset %q is not known, read as UTF-8",
	NoteNamespace:    "it has elements of RFC 9990, but not its namespace",
	NoteTruncated:    "the end of the file is missing",
	NoteForeignFrom:  "header_from %q is not below the policy domain",
	NoteWorkedOut:    "no verdict for %w, worked out from auth_results",
	NoteContradicted: "the verdict for %w is fail, but auth_results have an aligned pass",
	NoteWithoutCause: "the verdict for %w is pass, but auth_results have no aligned pass",
	NoteUnpacked:     "%v",
	NoteMore:         "and more notes of the kind %v",
}

// Text returns the note in plain English, on one line and safe for a terminal. It omits how
// often and where, which the caller may add.
func (n Note) Text() string {
	as := n.As
	if as == "" {
		as = "nothing"
	}
	return strings.NewReplacer("%w", n.Where, "%q", fmt.Sprintf("%q", n.Value), "%v", n.Value, "%a", as).Replace(noteTexts[n.Kind])
}

// Line is Text with the number of occurrences.
func (n Note) Line() string {
	if n.Count > 1 {
		return fmt.Sprintf("%s (%d times)", n.Text(), n.Count)
	}
	return n.Text()
}

// Lines returns the lines of notes.
func Lines(notes []Note) []string {
	out := make([]string, 0, len(notes))
	for _, n := range notes {
		out = append(out, n.Line())
	}
	return out
}

// notes collects notes, each once. Beyond most distinct ones there is one for each kind.
type notes struct {
	most int
	seen map[Note]*Note // without Record and Count
	last Note           // the key added last, and its note
	same *Note
}

func (n *notes) add(note Note) {
	key := note
	key.Record, key.Count = 0, 0
	if n.same != nil && n.last == key {
		n.same.Count++
		return
	}
	if known := n.seen[key]; known != nil {
		known.Count++
		n.last, n.same = key, known
		return
	}
	if len(n.seen) >= n.most && note.Kind != NoteMore {
		n.add(Note{Kind: NoteMore, Value: string(note.Kind), Record: note.Record})
		return
	}
	if n.seen == nil {
		n.seen = make(map[Note]*Note)
	}
	note.Count = 1
	n.seen[key] = &note
}

// list returns the notes in file order.
func (n *notes) list() []Note {
	var out []Note
	for _, one := range n.seen {
		out = append(out, *one)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		switch {
		case a.Record != b.Record:
			return a.Record < b.Record
		case a.Kind != b.Kind:
			return a.Kind < b.Kind
		case a.Where != b.Where:
			return a.Where < b.Where
		case a.Value != b.Value:
			return a.Value < b.Value
		}
		return a.As < b.As
	})
	return out
}
