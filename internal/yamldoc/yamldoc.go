// Package yamldoc reads one YAML document and says of a text that is none where it
// goes wrong, in words for the person who wrote it. The parser underneath often names
// a line far from the slip, so the place is looked for anew.
//
// Beyond what the parser refuses, control characters, text that is not UTF-8, a
// second document, an anchor that is defined twice or names nothing, and blanks and quotes
// that only look like YAML's are faults.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Fault is what keeps a text from being read.
type Fault struct {
	Line, Column int    // from 1; columns count characters
	Problem      string // one line
	Hint         string // what was probably meant; "" if nothing is near
}

// Parse reads a document into its root value; nil for an empty text. A text of more
// than maxValues values is refused before the parser sees it.
func Parse(data []byte, maxValues int) (*yaml.Node, *Fault) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if f := unreadable(data, maxValues); f != nil {
		return nil, f
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := next(dec)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, explain(data, err)
	case len(doc.Content) == 0:
		return nil, nil
	}
	switch more, err := next(dec); {
	case err == nil:
		return nil, &Fault{Line: more.Line, Column: more.Column, Problem: "a second document begins here; one file holds one document"}
	case !errors.Is(err, io.EOF):
		return nil, explain(data, err)
	}
	if f := (&reviewer{data: data, anchors: map[string]*yaml.Node{}}).review(doc); f != nil {
		return nil, f
	}
	return doc.Content[0], nil
}

// next reads the next document. The parser is not ours and panics on some of the
// errors in its own state, so a panic is taken as a fault of the text.
func next(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, fmt.Errorf("yaml: %v", r)
		}
	}()
	doc = new(yaml.Node)
	return doc, dec.Decode(doc)
}

// unreadable finds what the parser cannot place, or cannot bear.
func unreadable(data []byte, maxValues int) *Fault {
	values, line, start := 1, 1, 0
	at := func(i int, problem string) *Fault {
		return &Fault{Line: line, Column: utf8.RuneCount(data[start:i]) + 1, Problem: problem}
	}
	for i := 0; i < len(data); {
		c := data[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && size == 1 {
				return at(i, fmt.Sprintf("octet %#02x is not UTF-8; save the file as UTF-8", c))
			}
			i += size
			continue
		}
		switch {
		case c == '\n':
			line, start = line+1, i+1
			values++
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return at(i, fmt.Sprintf("control character %#02x", c))
		case strings.IndexByte(",[{:-?*", c) >= 0:
			values++ // each value beyond the first of its line needs one of these
		}
		i++
	}
	if values > maxValues {
		return &Fault{Line: 1, Column: 1, Problem: fmt.Sprintf("the file holds more than %d values", maxValues)}
	}
	return nil
}

// clip cuts a text of the file for a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
