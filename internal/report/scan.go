package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tokenKind is the kind of a token.
type tokenKind int

const (
	textToken  tokenKind = iota // a piece of text with undecoded entities
	plainToken                  // a piece of text without entities: a CDATA section
	startToken
	endToken
)

// token is a tag or a piece of text. Its octets are valid until the next token.
type token struct {
	kind   tokenKind
	prefix string
	name   string // in lower case
	raw    []byte // the whole token as in the file; for a CDATA section its content
	attrs  []byte // of a start
	empty  bool   // the start is its own end
	line   int    // of the start of a record; otherwise undefined
}

// scanner finds the tags of a file. It is lenient: a "<" that begins no tag is text, and so is
// a tag whose name no element could have, such as an address in angle brackets. It skips
// comments and processing instructions, and refuses a DTD and its entities.
type scanner struct {
	src    *source
	text   int // the longest text, tag or comment
	names  map[string]interned
	recent [64]interned // the most recent ones, by a quick hash
	broken int          // tags without a closing ">"
	token  token        // the current one
}

func newScanner(src *source, text int) *scanner {
	return &scanner{src: src, text: text, names: make(map[string]interned, 64)}
}

// errMore means that the window ends within a token.
var errMore = errors.New("report: the window is too short")

// next returns the next token, valid until the one after it. At the end of the file it returns
// io.EOF, even within a tag.
func (s *scanner) next() (*token, error) {
	for {
		t := &s.token
		t.raw = nil
		n, err := s.one(s.src.window())
		if err == errMore { //nolint:errorlint // it is never wrapped, and met often
			if len(s.src.window()) > s.text {
				return nil, fmt.Errorf("%w: a text of over %d octets in line %d", ErrTooLarge, s.text, s.src.lineNow())
			}
			err = s.src.more()
			if rest := s.src.window(); errors.Is(err, io.EOF) && len(rest) > 0 && rest[0] != '<' {
				n, err = s.found(textToken, rest), nil
			} else if err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if t.raw != nil && t.kind == startToken && t.name == "record" {
			t.line = s.src.lineNow()
		}
		s.src.take(n)
		if t.raw != nil {
			return t, nil
		}
	}
}

// found makes octets the current token.
func (s *scanner) found(kind tokenKind, raw []byte) int {
	s.token.kind, s.token.raw = kind, raw
	return len(raw)
}

// one reads a token at the beginning of w and returns its length. The caller skips a token
// without octets.
func (s *scanner) one(w []byte) (int, error) {
	if len(w) < 2 {
		return 0, errMore
	}
	if w[0] != '<' {
		return s.textUntil(w, 0)
	}
	switch {
	case w[1] == '!':
		return s.directive(w)
	case w[1] == '?':
		return s.instruction(w)
	case w[1] == '/':
		return s.end(w)
	case nameStart(w[1]):
		return s.start(w)
	}
	return s.textUntil(w, 1)
}

// textUntil returns the text up to the next "<"; if a "<" at the beginning is text, the search
// begins after it.
func (s *scanner) textUntil(w []byte, from int) (int, error) {
	i := bytes.IndexByte(w[from:], '<')
	if i < 0 {
		if from == 1 { // the rest is another piece
			return s.found(textToken, w[:1]), nil
		}
		return 0, errMore
	}
	if i+from > s.text {
		return 0, fmt.Errorf("%w: a text of over %d octets in line %d", ErrTooLarge, s.text, s.src.lineNow())
	}
	return s.found(textToken, w[:i+from]), nil
}

// directive reads a comment, a CDATA section or a DTD (XML 1.0 sections 2.5, 2.7 and 2.8).
func (s *scanner) directive(w []byte) (int, error) {
	const comment, cdata = "<!--", "<![CDATA["
	if len(w) < len(cdata) {
		return 0, errMore
	}
	switch {
	case bytes.HasPrefix(w, []byte(comment)):
		n, err := s.until(w[len(comment):], "-->")
		return len(comment) + n, err
	case bytes.HasPrefix(w, []byte(cdata)):
		n, err := s.until(w[len(cdata):], "]]>")
		if err != nil {
			return 0, err
		}
		s.found(plainToken, w[len(cdata):len(cdata)+n-len("]]>")])
		return len(cdata) + n, nil
	}
	return 0, fmt.Errorf("%w: it has a DTD", ErrNotReport)
}

// instruction reads a processing instruction or the XML declaration. It also accepts one that
// ends with ">" alone.
func (s *scanner) instruction(w []byte) (int, error) {
	n, err := s.until(w, "?>")
	if errors.Is(err, errMore) && len(w) > s.text {
		n, err = s.until(w, ">")
	}
	return n, err
}

// until returns the length of w up to the end of mark.
func (s *scanner) until(w []byte, mark string) (int, error) {
	i := bytes.Index(w, []byte(mark))
	switch {
	case i < 0:
		return 0, errMore
	case i > s.text:
		return 0, fmt.Errorf("%w: a comment of over %d octets in line %d", ErrTooLarge, s.text, s.src.lineNow())
	}
	return i + len(mark), nil
}

func (s *scanner) end(w []byte) (int, error) {
	n := nameLength(w[2:]) + 2
	if n == len(w) {
		return 0, errMore
	}
	if n == 2 || !nameStart(w[2]) || !blank(w[n]) && w[n] != '>' && w[n] != '<' {
		return s.textUntil(w, 1)
	}
	size, err := s.tagEnd(w, n)
	if err != nil {
		return 0, err
	}
	s.token.prefix, s.token.name = s.split(w[2:n])
	return s.found(endToken, w[:size]), nil
}

func (s *scanner) start(w []byte) (int, error) {
	n := nameLength(w[1:]) + 1
	if n >= len(w)-1 {
		return 0, errMore
	}
	if c := w[n]; !blank(c) && c != '>' && c != '<' && (c != '/' || w[n+1] != '>') {
		return s.textUntil(w, 1)
	}
	size, err := s.tagEnd(w, n)
	if err != nil {
		return 0, err
	}
	t := &s.token
	t.attrs, t.empty = w[n:size], false
	if last := len(t.attrs) - 1; last >= 0 && t.attrs[last] == '>' {
		t.attrs = t.attrs[:last]
	}
	if last := len(t.attrs) - 1; last >= 0 && t.attrs[last] == '/' {
		t.attrs, t.empty = t.attrs[:last], true
	}
	t.prefix, t.name = s.split(w[1:n])
	return s.found(startToken, w[:size]), nil
}

// tagEnd returns the length of the tag, of which n octets are known: up to a ">" outside
// values, or up to a "<" if the ">" is missing.
func (s *scanner) tagEnd(w []byte, n int) (int, error) {
	var quote byte
	for i := n; i < len(w) && i <= s.text; i++ {
		switch c := w[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			return i + 1, nil
		case c == '<':
			s.broken++
			return i, nil
		case (c == '"' || c == '\'') && w[i-1] == '=':
			quote = c
		}
	}
	return 0, errMore
}

// split returns the two halves of a name, each text once.
func (s *scanner) split(name []byte) (prefix, local string) {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		return s.intern(name[:i]), s.intern(name[i+1:])
	}
	return "", s.intern(name)
}

// interned is a name as in the file and in lower case, each text once.
type interned struct{ raw, lower string }

func (s *scanner) intern(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	recent := &s.recent[(len(name)*5^int(name[0])^int(name[len(name)-1])*3)&63]
	if recent.raw == string(name) {
		return recent.lower
	}
	known, ok := s.names[string(name)]
	if !ok {
		known = interned{raw: string(name), lower: strings.ToLower(string(name))}
		const most = 1000
		if len(s.names) >= most || len(name) >= 64 {
			return known.lower
		}
		s.names[known.raw] = known
	}
	*recent = known
	return known.lower
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func nameStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

// nameLength returns how much of w is a name (XML 1.0 section 2.3).
func nameLength(w []byte) int {
	for i, c := range w {
		if !nameStart(c) && !('0' <= c && c <= '9') && c != '-' && c != '.' && c != ':' {
			return i
		}
	}
	return len(w)
}
