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

// Writer makes safe what passes through it. Line feeds pass, and tabs. It may be
// used from several goroutines; a character whose octets come in two calls of Write
// is put together.
type Writer struct {
	mu      sync.Mutex
	w       io.Writer
	replace func(b []byte, r rune) []byte
	rest    []byte // the beginning of a character
}

// NewWriter makes a Writer for a terminal, or for a log in text form: white space
// becomes a space, each other unsafe character "?".
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, replace: func(b []byte, r rune) []byte {
		if unicode.IsSpace(r) {
			return append(b, ' ')
		}
		return append(b, mark)
	}}
}

// NewJSONWriter makes a Writer for JSON on a terminal or in a log: an unsafe
// character becomes its escape (RFC 8259 section 7), which says the same to a
// program and nothing to a terminal.
func NewJSONWriter(w io.Writer) *Writer { return &Writer{w: w, replace: appendEscape} }

func appendEscape(b []byte, r rune) []byte {
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		return fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// Write writes p. The number of octets that it returns is of p.
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

// passes reports whether p is printable ASCII, line feeds and tabs.
func passes(p []byte) bool {
	for _, c := range p {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// Close writes a mark for a character that was never completed. It leaves the writer
// below open.
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
