package text

import (
	"encoding/csv"
	"html"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// XML returns s as one line of text for XML 1.0 (section 2.2). Octets that are not UTF-8
// become U+FFFD; control characters, bidirectional controls, line separators and
// characters that XML forbids become spaces. Spaces at both ends are removed, and the
// result has at most most octets. The caller's encoder escapes markup. XML is idempotent.
func XML(s string, most int) string {
	if len(s) <= most && isXML(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // an octet that is no UTF-8 comes as U+FFFD
		if b.Len() >= most {
			break
		}
		if !inXML(r) {
			r = ' '
		}
		if r == ' ' && b.Len() == 0 {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > most {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ")
}

func isXML(s string) bool {
	if s == "" {
		return true
	}
	if s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	if isASCII(s) {
		return true
	}
	for i, r := range s {
		if !inXML(r) {
			return false
		}
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return false
		}
	}
	return true
}

// inXML reports whether a character may occur in the XML that we write: those of XML 1.0
// section 2.2, except the controls, which it discourages, noncharacters, and characters
// that reorder or break lines.
func inXML(r rune) bool {
	switch {
	case unicode.IsControl(r), isBidi(r), r == '\u2028', r == '\u2029':
		return false
	case r&0xfffe == 0xfffe: // the two noncharacters at the end of each plane
		return false
	case 0xfdd0 <= r && r <= 0xfdef:
		return false
	}
	return true
}

// isBidi reports whether a character controls the direction of its neighbours
// (Unicode Standard Annex 9).
func isBidi(r rune) bool {
	return r == '\u061c' || r == '\u200e' || r == '\u200f' || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// HTML is Line with markup escaped, safe as text and as a quoted attribute value. A
// template that escapes by itself needs only Line.
func HTML(s string, most int) string { return html.EscapeString(Line(s, most)) }

// formula lists the characters that begin a formula, including full-width ones.
const formula = "=+-@＝＋－＠"

// Cell is Line for a cell of CSV, with an apostrophe before text that a spreadsheet would
// take for a formula.
func Cell(s string, most int) string {
	s = Line(s, most)
	if first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " ")); strings.ContainsRune(formula, first) {
		return "'" + s
	}
	return s
}

// maxCell bounds a cell of CSV, in octets.
const maxCell = 8192

// CSV writes rows of CSV (RFC 4180) whose cells are safe to open in a spreadsheet.
type CSV struct{ w *csv.Writer }

// NewCSV returns a CSV that writes to w. The caller must call Flush at the end.
func NewCSV(w io.Writer) *CSV { return &CSV{w: csv.NewWriter(w)} }

// Write writes a row.
func (c *CSV) Write(cells ...string) error {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = Cell(cell, maxCell)
	}
	return c.w.Write(safe)
}

// Flush writes buffered data and returns the first error.
func (c *CSV) Flush() error {
	c.w.Flush()
	return c.w.Error()
}
