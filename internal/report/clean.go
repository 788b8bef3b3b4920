package report

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// cleaner turns what reporters send into what an XML decoder takes: UTF-8 of
// allowed characters, and no "<" that begins no tag. It is where the limits on
// size hold, so that the decoder never meets more.
type cleaner struct {
	r       io.Reader
	left    int64 // octets that may still come
	text    int   // longest text, tag, comment or CDATA section
	run     int   // length of the present one
	special byte  // '!' or '?' within "<!" or "<?" and its end, where "<" and ">" are text
	tail    [2]byte
	in      []byte // read, not yet cleaned
	out     []byte // cleaned
	pos     int    // in out
	charset charset
	begun   bool
	err     error // of r; io.EOF at its end
	told    error // the error that the decoder was given

	repaired int    // octets replaced
	odd      string // a charset that is not known
}

type charset int

const (
	utf8Charset charset = iota
	latin1Charset
	utf16LittleCharset
	utf16BigCharset
)

const cleanChunk = 32 << 10

func newCleaner(r io.Reader, l Limits) *cleaner {
	return &cleaner{r: r, left: l.Bytes, text: l.Text, in: make([]byte, 0, cleanChunk)}
}

// ReadByte makes it an io.ByteReader, which the decoder asks for.
func (c *cleaner) ReadByte() (byte, error) {
	for c.pos >= len(c.out) {
		if err := c.fill(); err != nil {
			c.told = err
			return 0, err
		}
	}
	b := c.out[c.pos]
	c.pos++
	return b, nil
}

// Read is there for the decoder's type check.
func (c *cleaner) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	one, err := c.ReadByte()
	if err != nil {
		return 0, err
	}
	b[0] = one
	return 1, nil
}

// fill reads and cleans one more piece.
func (c *cleaner) fill() error {
	if c.err != nil && len(c.in) == 0 {
		return c.err
	}
	for c.err == nil && len(c.in) < cleanChunk { // whole pieces, so that the declaration is seen at once
		var n int
		n, c.err = c.r.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		c.left -= int64(n)
	}
	if c.left < 0 {
		c.err, c.in = fmt.Errorf("%w: the file is too large", ErrTooLarge), nil
		return c.err
	}
	if !c.begun {
		c.begun = true
		c.begin()
	}
	c.tail = c.last()
	c.out, c.pos = c.out[:0], 0
	used := c.clean(c.in, c.err != nil)
	c.in = c.in[:copy(c.in, c.in[used:])]
	if c.run > c.text {
		c.err, c.in, c.out = fmt.Errorf("%w: a text of over %d octets", ErrTooLarge, c.text), nil, nil
		return c.err
	}
	return nil
}

var encodingRE = regexp.MustCompile(`(?i)^\s*<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']`)

// begin finds the charset: by byte order mark, else as declared (XML 1.0
// appendix F).
func (c *cleaner) begin() {
	switch {
	case bytes.HasPrefix(c.in, []byte("\xef\xbb\xbf")):
		c.in = c.in[:copy(c.in, c.in[3:])]
	case bytes.HasPrefix(c.in, []byte("\xff\xfe")):
		c.charset, c.in = utf16LittleCharset, c.in[:copy(c.in, c.in[2:])]
		return
	case bytes.HasPrefix(c.in, []byte("\xfe\xff")):
		c.charset, c.in = utf16BigCharset, c.in[:copy(c.in, c.in[2:])]
		return
	}
	m := encodingRE.FindSubmatch(c.in[:min(len(c.in), 512)])
	if m == nil {
		return
	}
	switch name := strings.ToLower(string(m[1])); name {
	case "utf-8", "utf8", "us-ascii", "ascii":
	case "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "windows-1252", "cp1252", "iso-8859-15":
		c.charset = latin1Charset
	default:
		c.odd = name
	}
}

// clean appends the cleaned form of b to out and returns how much of b is used
// up: all of it at the end of the file.
func (c *cleaner) clean(b []byte, end bool) int {
	if c.charset == utf16LittleCharset || c.charset == utf16BigCharset {
		return c.wide(b, end)
	}
	i := 0
	for i < len(b) {
		ch := b[i]
		switch {
		case ch == '<':
			if i+1 == len(b) && !end {
				return i
			}
			var next byte
			if i+1 < len(b) {
				next = b[i+1]
			}
			c.less(next)
			i++
		case ch == '>':
			c.greater()
			i++
		case ch >= ' ' && ch < 0x7f, ch == '\n', ch == '\t', ch == '\r':
			c.put(ch)
			i++
		case ch < 0x80:
			c.repaired++
			c.put(' ')
			i++
		case c.charset == latin1Charset:
			c.rune(windows1252(ch))
			i++
		default:
			if !utf8.FullRune(b[i:]) && !end {
				return i
			}
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				c.repaired++
			}
			c.rune(r)
			i += size
		}
	}
	return i
}

// wide is clean for UTF-16.
func (c *cleaner) wide(b []byte, end bool) int {
	var order binary.ByteOrder = binary.LittleEndian
	if c.charset == utf16BigCharset {
		order = binary.BigEndian
	}
	i := 0
	for i+2 <= len(b) {
		if i+4 > len(b) && !end { // what follows decides on "<" and on surrogates
			return i
		}
		u := rune(order.Uint16(b[i:]))
		i += 2
		var next rune
		if i+2 <= len(b) {
			next = rune(order.Uint16(b[i:]))
		}
		switch {
		case utf16.IsSurrogate(u):
			if u = utf16.DecodeRune(u, next); u != utf8.RuneError {
				i += 2
			}
			c.rune(u)
		case u == '<':
			c.less(byte(min(next, 0x80)))
		case u == '>':
			c.greater()
		default:
			c.rune(u)
		}
	}
	if end {
		return len(b)
	}
	return i
}

func (c *cleaner) put(ch byte) {
	c.out = append(c.out, ch)
	c.run++
}

func (c *cleaner) rune(r rune) {
	if !allowed(r) && r != '\n' && r != '\t' && r != '\r' {
		c.repaired++
		r = ' '
	}
	c.out = utf8.AppendRune(c.out, r)
	c.run += utf8.RuneLen(r)
}

// less writes a "<", escaped where it begins no tag.
func (c *cleaner) less(next byte) {
	switch {
	case c.special != 0:
		c.put('<')
	case beginsTag(next):
		c.run = 0
		c.put('<')
		if next == '!' || next == '?' {
			c.special = next
		}
	default:
		c.repaired++
		c.out = append(c.out, "&lt;"...)
		c.run += len("&lt;")
	}
}

// greater writes a ">" and sees whether something ends with it: a comment, a
// CDATA section or a processing instruction (XML 1.0 sections 2.5 to 2.7). A DTD
// may end otherwise; it is refused as it comes.
func (c *cleaner) greater() {
	last := c.last()
	ends := c.special == 0 || c.special == '?' && last[1] == '?' ||
		c.special == '!' && (last == [2]byte{'-', '-'} || last == [2]byte{']', ']'})
	c.put('>')
	if ends {
		c.run, c.special = 0, 0
	}
}

// last is the last two octets of what was cleaned.
func (c *cleaner) last() [2]byte {
	switch n := len(c.out); n {
	case 0:
		return c.tail
	case 1:
		return [2]byte{c.tail[1], c.out[0]}
	default:
		return [2]byte{c.out[n-2], c.out[n-1]}
	}
}

func beginsTag(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == ':' || c == '/' || c == '!' || c == '?' || c >= 0x80
}

// windows1252 is a superset of ISO 8859-1 in what people mean by either.
func windows1252(c byte) rune {
	const high = "\u20ac\ufffd\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\ufffd\u017d\ufffd" +
		"\ufffd\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\ufffd\u017e\u0178"
	if c < 0x80 || c > 0x9f {
		return rune(c)
	}
	return []rune(high)[c-0x80]
}
