package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// source converts a reporter's file to UTF-8 with only the characters that XML allows. It
// enforces the limit on the size of the file.
type source struct {
	r    io.Reader // UTF-8, possibly faulty
	in   []byte    // read but not cleaned: at most the beginning of a character
	buf  []byte    // cleaned
	pos  int       // in buf: how much was taken
	line int       // line of counted, from 1
	err  error     // of r; io.EOF at its end

	counted  int    // in buf: lines are counted up to here
	repaired int    // characters replaced
	odd      string // an unknown charset
}

const (
	sourceChunk = 8 << 10
	peeked      = 1024 // octets in which a declaration must occur
)

func newSource(r io.Reader, most int64) *source {
	s := &source{line: 1, in: make([]byte, 0, sourceChunk)}
	s.begin(&bounded{r: r, left: most})
	return s
}

// bounded is a reader that fails if the file is too large.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: the file is too large", ErrTooLarge)
	}
	return n, err
}

var encodingRE = regexp.MustCompile(`(?i)^\s*<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']`)

// begin finds the charset: from the byte order mark, otherwise from the first characters,
// otherwise from the declaration (XML 1.0 appendix F).
func (s *source) begin(r io.Reader) {
	head := make([]byte, peeked)
	n, err := io.ReadFull(r, head)
	head = head[:n]
	rest := r
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		rest = failing{err: err}
	}
	label := ""
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		head, label = head[2:], "utf-16le"
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		head, label = head[2:], "utf-16be"
	case bytes.HasPrefix(head, []byte("<\x00")):
		label = "utf-16le"
	case bytes.HasPrefix(head, []byte("\x00<")):
		label = "utf-16be"
	default:
		label = s.declared(head)
	}
	s.r = io.MultiReader(bytes.NewReader(head), rest)
	if label == "" {
		return
	}
	if decoded, err := charset.NewReaderLabel(label, s.r); err == nil {
		s.r = decoded
	}
}

// declared returns the declared charset; "" for UTF-8. A declaration of UTF-16 in text read as
// octets is wrong.
func (s *source) declared(head []byte) string {
	m := encodingRE.FindSubmatch(head)
	if m == nil {
		return ""
	}
	label := strings.ToLower(string(m[1]))
	switch _, name := charset.Lookup(label); {
	case name == "utf-8" || strings.HasPrefix(label, "utf-16") || label == "us-ascii" || label == "ascii":
		return ""
	case name == "" || name == "replacement":
		s.odd = label
		return ""
	}
	return label
}

// failing is a reader at its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// window returns the cleaned text that was not taken yet.
func (s *source) window() []byte { return s.buf[s.pos:] }

// take skips n octets of the window, which stay valid until more.
func (s *source) take(n int) { s.pos += n }

// lineNow returns the line of the next octet.
func (s *source) lineNow() int {
	s.line += bytes.Count(s.buf[s.counted:s.pos], []byte("\n"))
	s.counted = s.pos
	return s.line
}

// more extends the window, by a whole chunk if possible.
func (s *source) more() error {
	if s.err != nil && len(s.in) == 0 {
		return s.err
	}
	for s.err == nil && len(s.in) < sourceChunk {
		var n int
		n, s.err = s.r.Read(s.in[len(s.in):cap(s.in)])
		s.in = s.in[:len(s.in)+n]
	}
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		s.in = nil
		return s.err
	}
	s.lineNow()
	s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
	s.pos, s.counted = 0, 0
	used := s.clean(s.in, s.err != nil)
	s.in = s.in[:copy(s.in, s.in[used:])]
	return nil
}

// clean appends the cleaned form of b to buf and returns how much of b it used: all of it at
// the end of the file.
func (s *source) clean(b []byte, end bool) int {
	i := 0
	for i < len(b) {
		n := plainRun(b[i:])
		s.buf = append(s.buf, b[i:i+n]...)
		if i += n; i == len(b) {
			break
		}
		if b[i] < utf8.RuneSelf {
			s.repaired++
			s.buf = append(s.buf, ' ')
			i++
			continue
		}
		if !utf8.FullRune(b[i:]) && !end {
			return i
		}
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			s.repaired++
		case !allowed(r):
			s.repaired++
			r = ' '
		}
		s.buf = utf8.AppendRune(s.buf, r)
		i += size
	}
	return i
}

// plainRun returns how many octets at the beginning of b need no examination: printable
// ASCII, line ends and tabs.
func plainRun(b []byte) int {
	for i, c := range b {
		if c-' ' >= 0x7f-' ' && c != '\n' && c != '\t' && c != '\r' {
			return i
		}
	}
	return len(b)
}
