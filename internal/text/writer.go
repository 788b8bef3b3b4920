package text

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Writer makes text safe as it passes through. Line feeds and tabs pass. It is safe for
// concurrent use; it reassembles a character that two calls of Write split.
type Writer struct {
	mu      sync.Mutex
	w       io.Writer
	replace func(b []byte, r rune) []byte
	rest    []byte // the beginning of an incomplete character
}

// NewWriter returns a Writer for a terminal, or for a log in text form: white space
// becomes a space, any other unsafe character "?".
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, replace: func(b []byte, r rune) []byte {
		if unicode.IsSpace(r) {
			return append(b, ' ')
		}
		return append(b, mark)
	}}
}

// NewJSONWriter returns a Writer for JSON on a terminal or in a log: an unsafe character
// becomes its escape (RFC 8259 section 7), which means the same to a program and nothing
// to a terminal.
func NewJSONWriter(w io.Writer) *Writer { return &Writer{w: w, replace: appendEscape} }

func appendEscape(b []byte, r rune) []byte {
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		return fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// Write writes p. It returns the number of octets of p that it consumed.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 && passes(p) {
		return w.w.Write(p)
	}
	in := append(w.rest, p...)
	out := make([]byte, 0, len(in)+len(in)/8)
	for len(in) > 0 && utf8.FullRune(in) {
		r, size := utf8.DecodeRune(in)
		switch {
		case IsSafe(r), r == '\n', r == '\t':
			out = append(out, in[:size]...)
		default:
			out = w.replace(out, r)
		}
		in = in[size:]
	}
	w.rest = bytes.Clone(in)
	if _, err := w.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// passes reports whether p is all printable ASCII, line feeds and tabs.
func passes(p []byte) bool {
	for _, c := range p {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// Close writes a mark for an incomplete character. It does not close the underlying
// writer.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 {
		return nil
	}
	w.rest = nil
	_, err := w.w.Write(w.replace(nil, utf8.RuneError))
	return err
}
