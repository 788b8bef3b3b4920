package report

import (
	"fmt"
	"sort"
	"strings"
)

// NoteKind says what was found odd in a report, and put right or kept.
type NoteKind string

// The kinds. The comment tells what Value and As hold.
const (
	NoteRecord       NoteKind = "record"        // a record is quarantined; Value: why
	NoteNothing      NoteKind = "nothing"       // a record tells of no mail
	NoteWord         NoteKind = "word"          // a word that is none; Value as sent, As what it is read as, "" for nothing
	NoteNumber       NoteKind = "number"        // an odd number; Value as sent
	NoteTime         NoteKind = "time"          // an odd time; Value as sent, As "" where it is no time
	NotePeriod       NoteKind = "period"        // an odd period; Value: what of it
	NoteAddress      NoteKind = "address"       // an address in another form; Value as sent, As the address
	NoteDomain       NoteKind = "domain"        // a name that is no domain, kept; Value as sent
	NoteMissing      NoteKind = "missing"       // a required value is not there; Where: which
	NoteExtra        NoteKind = "extra"         // several where one is allowed; Where: of what
	NoteCut          NoteKind = "cut"           // a text or a list was too long; Where: which
	NoteMarkup       NoteKind = "markup"        // broken XML was repaired; Value: how
	NoteEntity       NoteKind = "entity"        // an entity that XML does not know; Value: the entity
	NoteCharacter    NoteKind = "character"     // characters that XML forbids, or octets that are none, were replaced
	NoteCharset      NoteKind = "charset"       // a charset that is not known; Value: its name
	NoteNamespace    NoteKind = "namespace"     // elements of RFC 9990 without its namespace
	NoteTruncated    NoteKind = "truncated"     // the end of the file is missing; all its records are whole
	NoteForeignFrom  NoteKind = "foreign_from"  // a From domain that is not below the policy domain; Value: the domain
	NoteWorkedOut    NoteKind = "worked_out"    // no verdict; worked out from auth_results and alignment; Where: which
	NoteContradicted NoteKind = "contradicted"  // the verdict is fail, auth_results have an aligned pass; Where: which
	NoteWithoutCause NoteKind = "without_cause" // the verdict is pass, auth_results have no aligned pass; Where: which
	NoteUnpacked     NoteKind = "unpacked"      // an odd archive or mail; Value: what of it
	NoteMore         NoteKind = "more"          // more different notes than are kept; Value: of which kind
)

// Note is one repair or contradiction, with how often it was met. It is stored
// with the report and shown.
type Note struct {
	Kind   NoteKind `json:"kind"`
	Where  string   `json:"where,omitempty"`  // the element
	Value  string   `json:"value,omitempty"`  // a short piece of the file, or a word of ours
	As     string   `json:"as,omitempty"`     // what it was read as
	Record int      `json:"record,omitempty"` // the first record it was met in, from 1; 0 outside of records
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

// Text is the note in plain English, in one line without anything of the file
// that a terminal would act on. How often and where is left to the caller.
func (n Note) Text() string {
	as := n.As
	if as == "" {
		as = "nothing"
	}
	return strings.NewReplacer("%w", n.Where, "%q", fmt.Sprintf("%q", n.Value), "%v", n.Value, "%a", as).Replace(noteTexts[n.Kind])
}

// Line is Text with how often it was met.
func (n Note) Line() string {
	if n.Count > 1 {
		return fmt.Sprintf("%s (%d times)", n.Text(), n.Count)
	}
	return n.Text()
}

// Lines are the lines of notes.
func Lines(notes []Note) []string {
	out := make([]string, 0, len(notes))
	for _, n := range notes {
		out = append(out, n.Line())
	}
	return out
}

// notes collects, each once. Beyond most different ones there is one for each kind.
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

// list gives them in the order of the file.
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
