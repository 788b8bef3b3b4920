package message

import (
	"bytes"
	"strings"
)

// Header is the header of one mail with its exact bytes, as DKIM needs them
// (RFC 6376 section 3.4). The body is never kept: it streams past the verifiers.
type Header struct {
	Fields []Field // in the order received
	// Cut reports that a limit was reached and later fields were not kept. No conclusion
	// about the whole header may then be drawn.
	Cut bool
	// CutNames counts, by lower-case name, the fields that were not taken.
	// A From field among them makes the author ambiguous. Nil when nothing was cut.
	CutNames map[string]int
}

// Field is one header field.
type Field struct {
	Name string // as sent, without the blanks that obsolete syntax allows before the colon
	Raw  []byte // from the name to the last CRLF, folds kept
}

// Value is the text after the colon, with leading space, folds and the final CRLF as
// received. The slice aliases Raw.
func (f Field) Value() []byte {
	i := bytes.IndexByte(f.Raw, ':')
	return f.Raw[i+1:] // without a colon i is -1 and the whole is the value
}

// Is reports whether the field has that name; letter case does not count
// (RFC 5322 section 1.2.2).
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

// Count is the number of fields of that name.
func (h *Header) Count(name string) int {
	n := 0
	for _, f := range h.Fields {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// First is the first field of that name.
func (h *Header) First(name string) (Field, bool) {
	for _, f := range h.Fields {
		if f.Is(name) {
			return f, true
		}
	}
	return Field{}, false
}
