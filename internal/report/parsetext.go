package report

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
	"unicode/utf8"

	"dmarcd/internal/dns"
)

// text returns the text of the current element without white space at the ends. Unknown tags
// in it count as text. It is valid until the next call.
func (p *parser) text() ([]byte, error) {
	b := p.scratch[:0]
	name, tags := p.open[len(p.open)-1].name, 0
	for base := len(p.open); len(p.open) >= base; {
		t, err := p.next()
		if err != nil {
			return nil, err
		}
		switch {
		case t.kind == textToken:
			b = p.decode(b, t.raw)
		case t.kind == plainToken:
			b = append(b, t.raw...)
		case t.kind == startToken:
			p.markup("a tag within a text is kept as text")
			b = append(b, t.raw...)
			if !t.empty {
				tags++
			}
		case len(p.open) < base: // its own end
		case tags > 0:
			b = append(b, t.raw...)
			tags--
		default:
			p.markup("elements do not match their ends")
		}
		if len(b) > p.limits.Text {
			return nil, fmt.Errorf("%w: a text of over %d octets in line %d", ErrTooLarge, p.limits.Text, p.src.lineNow())
		}
	}
	p.scratch = b
	b = bytes.TrimSpace(b)
	if p.holds || p.closing > 0 { // its end tag lacks the "<"
		b = bytes.TrimSpace(bytes.TrimSuffix(b, []byte("/"+name+">")))
	}
	return b, nil
}

// decode appends text with its character references and entities decoded (XML 1.0 sections
// 4.1 and 4.6). It also decodes those of HTML; others stay unchanged.
func (p *parser) decode(b, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '&')
		if i < 0 {
			return append(b, raw...)
		}
		b = append(b, raw[:i]...)
		raw = raw[i+1:]
		end := entityEnd(raw)
		if end < 1 {
			p.note(Note{Kind: NoteEntity, Value: "&"})
			b = append(b, '&')
			continue
		}
		b = p.entity(b, raw[:end])
		raw = raw[end+1:]
	}
}

// entityEnd returns the position of the ";" of an entity, after its "&"; -1 for none.
func entityEnd(b []byte) int {
	const longest = 33 // octets between both: the longest of HTML
	for i, c := range b[:min(len(b), longest)] {
		switch {
		case c == ';':
			return i
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '#':
		default:
			return -1
		}
	}
	return -1
}

func (p *parser) entity(b, name []byte) []byte {
	switch string(name) {
	case "amp":
		return append(b, '&')
	case "lt":
		return append(b, '<')
	case "gt":
		return append(b, '>')
	case "quot":
		return append(b, '"')
	case "apos":
		return append(b, '\'')
	}
	if name[0] == '#' {
		return p.reference(b, name[1:])
	}
	whole := "&" + string(name) + ";"
	p.note(Note{Kind: NoteEntity, Value: whole})
	return append(b, html.UnescapeString(whole)...)
}

// reference appends the character of "&#…;", and U+FFFD for one that XML forbids.
func (p *parser) reference(b, digits []byte) []byte {
	n, ok := codePoint(digits)
	if !ok {
		whole := "&#" + string(digits) + ";"
		p.note(Note{Kind: NoteEntity, Value: whole})
		return append(b, whole...)
	}
	r := rune(min(n, utf8.MaxRune+1))
	if !allowed(r) && !blankRune(r) || !utf8.ValidRune(r) {
		p.src.repaired++
		p.repairs++
		r = utf8.RuneError
	}
	return utf8.AppendRune(b, r)
}

// codePoint parses the digits of a character reference, hexadecimal after an "x".
func codePoint(digits []byte) (n uint64, ok bool) {
	base := uint64(10)
	if len(digits) > 0 && digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	for _, c := range digits {
		v := uint64(c - '0')
		if lower := c | 0x20; base == 16 && 'a' <= lower && lower <= 'f' {
			v = uint64(lower - 'a' + 10)
		} else if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*base + v; n > math.MaxUint32 {
			return 0, false
		}
	}
	return n, len(digits) > 0
}

func blankRune(r rune) bool { return r == '\n' || r == '\t' || r == '\r' }

// keep converts a text to a string; a file's short ones share memory.
func (p *parser) keep(b []byte) string {
	const short, most = 64, 4096
	if len(b) > short {
		return string(b)
	}
	if s, known := p.texts[string(b)]; known {
		return s
	}
	if len(p.texts) >= most {
		clear(p.texts)
	}
	s := string(b)
	p.texts[s] = s
	return s
}

// into reads the text of an element, of at most so many octets.
func (p *parser) into(to *string, most int) error {
	name := p.open[len(p.open)-1].name
	b, err := p.text()
	if err != nil {
		return err
	}
	if len(b) > most {
		p.note(Note{Kind: NoteCut, Where: name})
		for most > 0 && !utf8.RuneStart(b[most]) {
			most--
		}
		b = b[:most]
	}
	*to = p.keep(b)
	return nil
}

// oneWord reads one word of a list. An empty element counts as absent. A word in other case,
// or one that odd translates, is noted and kept as sent. odd may be nil and returns "" for
// unknown words.
func oneWord[W ~string](p *parser, to *W, list []W, odd func(string) W) error {
	where := p.where()
	b, err := p.text()
	if err != nil || len(b) == 0 {
		return err
	}
	for _, w := range list {
		if string(b) == string(w) {
			*to = w
			return nil
		}
	}
	small := strings.ToLower(string(b))
	if *to = list[code(list, W(small))]; *to == "" && odd != nil {
		*to = odd(small)
	}
	p.odd(NoteWord, where, b, string(*to))
	return nil
}

// place is an element and its parent.
type place struct{ outer, name string }

func (p place) String() string { return p.outer + "/" + p.name }

func (p *parser) where() place {
	n := len(p.open)
	return place{outer: p.open[n-2].name, name: p.open[n-1].name}
}

// odd notes that a value is reinterpreted, and keeps it.
func (p *parser) odd(kind NoteKind, where place, value []byte, as string) {
	v := string(value[:min(len(value), maxName)])
	v = strings.ToValidUTF8(v, "")
	at := where.String()
	p.note(Note{Kind: kind, Where: at, Value: v, As: as})
	p.sent(at, v)
}

// sent keeps a value as it was sent.
func (p *parser) sent(where, value string) {
	const most = 64
	to := &p.out.Sent
	if p.inRecord {
		to = p.recordSent
	}
	if len(*to) < most {
		*to = append(*to, Sent{Where: where, Value: value})
	}
}

// domainRead is a domain that was read before.
type domainRead struct {
	name string
	ok   bool
	same bool // as sent
}

// domain reads a domain in A-label form; it keeps an invalid one in lower case.
func (p *parser) domain(to *string) error {
	where := p.where()
	b, err := p.text()
	if err != nil || len(b) == 0 {
		return err
	}
	p.named(to, where, b)
	return nil
}

func (p *parser) named(to *string, where place, b []byte) {
	if len(b) > maxName {
		b = bytes.ToValidUTF8(b[:maxName], nil)
	}
	read, known := p.domains[string(b)]
	if !known {
		read = readDomain(string(b))
		const most = 4096
		if len(p.domains) >= most {
			clear(p.domains)
		}
		p.domains[string(b)] = read
	}
	switch *to = read.name; {
	case !read.ok:
		p.odd(NoteDomain, where, b, "")
	case !read.same:
		p.sent(where.String(), string(b))
	}
}

func readDomain(s string) domainRead {
	n, err := dns.Parse(s)
	if err != nil {
		s = strings.ToValidUTF8(strings.ToLower(s), "\uFFFD")
		return domainRead{name: tidy(s, maxName)}
	}
	return domainRead{name: n.String(), ok: true, same: n.String() == s}
}
