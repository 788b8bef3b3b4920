package authres

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"dmarcd/internal/dns"
)

// maxHead bounds the search for an authserv-id. No honest field has its end beyond
// that, so such a field is taken for ours.
const maxHead = 16 << 10

// IDs is a set of authserv-ids, prepared for comparison. It never changes, so any
// number of goroutines may use it. Nil is the empty set.
type IDs struct {
	ids []string // squashed
}

// NewIDs returns the set of our ids: the configured authserv-id and those of our other
// hosts. It ignores empty ids.
func NewIDs(ids ...string) *IDs {
	set := &IDs{}
	for _, id := range ids {
		if name, err := dns.Parse(id); err == nil {
			id = name.String()
		}
		if id = squash(id); id != "" {
			set.ids = append(set.ids, id)
		}
	}
	return set
}

// squash normalizes an id: it removes blanks, quotes, backslashes and dots at the
// ends, and lowers ASCII letters.
func squash(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isBlank(c) || c == '"' || c == '\\' {
			continue
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return strings.Trim(string(b), ".")
}

// claimedBy reports whether a reader may take an Authentication-Results field with this
// value for ours. It is false only if the authserv-id is plainly another's and ours
// occurs nowhere else that a careless reader looks (RFC 8601 section 5).
func (s *IDs) claimedBy(value []byte) bool {
	if s == nil || len(s.ids) == 0 {
		return false
	}
	return s.claimedByHead(value) || s.lenientlyOurs(value)
}

// claimedByHead decides by the text before the first semicolon.
func (s *IDs) claimedByHead(value []byte) bool {
	if id, ok := plainID(value); ok {
		return s.hasPlain(id)
	}
	cut := len(value) > maxHead
	if cut {
		value = value[:maxHead]
	}
	return s.claimedByMalformed(string(value), cut)
}

// plainID returns the id of a field in the usual form: a token, perhaps a version, and
// then ";" or the end. This form has only one reading.
func plainID(v []byte) (id []byte, ok bool) {
	i := 0
	for i < len(v) && isBlank(v[i]) {
		i++
	}
	start := i
	for i < len(v) && isToken(v[i]) {
		i++
	}
	if id = v[start:i]; len(id) == 0 || len(id) > maxHead {
		return nil, false
	}
	gap := i
	i = skipBlanks(v, i)
	if i > gap {
		for i < len(v) && isDigit(v[i]) {
			i++
		}
		i = skipBlanks(v, i)
	}
	return id, i == len(v) || v[i] == ';'
}

func skipBlanks(v []byte, i int) int {
	for i < len(v) && isBlank(v[i]) {
		i++
	}
	return i
}

// hasPlain compares a token. RFC 8601 section 2.5 compares whole ids and ignores case
// in host names; ids that are no names get the same leniency.
func (s *IDs) hasPlain(id []byte) bool {
	id = bytes.Trim(id, ".")
	for _, our := range s.ids {
		if len(our) == len(id) && equalFold(our, id) {
			return true
		}
	}
	return false
}

// equalFold compares ASCII text of equal length; lower is lower-case.
func equalFold(lower string, t []byte) bool {
	for i := 0; i < len(lower); i++ {
		c := t[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// has compares one reading of an id, in any spelling.
func (s *IDs) has(id string) bool {
	if !isASCII(id) {
		if name, err := dns.Parse(id); err == nil && s.has(name.String()) {
			return true // U-labels, or letters that map to ASCII
		}
		id = dropNonASCII(id)
	}
	id = squash(id)
	for _, our := range s.ids {
		if id == our {
			return true
		}
	}
	return false
}

func dropNonASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, s)
}

// claimedByMalformed decides about a field that is not plain: it tries the ways in
// which a strict or sloppy reader may find an id. cut means that v is not the whole
// value.
func (s *IDs) claimedByMalformed(v string, cut bool) bool {
	// "i=1; mx.example.org; …" is the form of ARC-Authentication-Results
	// (RFC 8617 section 4.1.1), which a shared reader may take here too.
	if rest, ok := afterInstance(v); ok {
		v = rest
	}
	h := readHead(v)
	if h.encoded || !utf8.ValidString(h.first) {
		return true // no honest writer produces it, and readers may differ
	}
	if s.has(h.first) || s.has(h.joined) || s.has(h.unversioned) || s.has(firstWord(v)) {
		return true
	}
	if cut && !h.closed {
		return true
	}
	if id, ok := strictID(v); ok {
		return s.has(id)
	}
	// It is outside every grammar, so a reader may see anything in it.
	return cut || !isASCII(v) || s.within(v)
}

// within reports whether one of our ids occurs anywhere in v, with or without comments.
func (s *IDs) within(v string) bool {
	bare := squash(withoutComments(v))
	v = squash(v)
	for _, our := range s.ids {
		if strings.Contains(v, our) || strings.Contains(bare, our) {
			return true
		}
	}
	return false
}

// firstWord is the id as seen by a reader who drops comments, quotes and backslashes
// everywhere and then cuts at the first blank or semicolon.
func firstWord(v string) string {
	words := strings.FieldsFunc(withoutComments(v), func(r rune) bool { return r <= ' ' || r == ';' || r == 0x7f })
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// withoutComments removes comments, even nested or unterminated ones (RFC 5322 section
// 3.2.2).
func withoutComments(v string) string {
	if strings.IndexByte(v, '(') < 0 {
		return v
	}
	b := make([]byte, 0, len(v))
	depth := 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && depth > 0:
			i++ // a quoted parenthesis closes nothing
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			b = append(b, c)
		}
	}
	return string(b)
}

// strictID parses an id by RFC 8601 section 2.2: a token or quoted-string, optionally
// between blanks or comments, before ";", "=" (a field without an id) or other words.
// It is not ok if the text does not parse.
func strictID(v string) (string, bool) {
	p := &scanner{s: v}
	p.cfws()
	id, ok := p.value()
	if !ok {
		return "", false
	}
	end := p.i
	p.cfws()
	if p.open {
		return "", false
	}
	return id, p.end() || p.at(';') || p.at('=') || p.i > end
}

// afterInstance returns the text after the instance tag in the form of
// ARC-Authentication-Results.
func afterInstance(v string) (string, bool) {
	p := &scanner{s: v}
	p.cfws()
	if !strings.EqualFold(p.token(), "i") {
		return "", false
	}
	p.cfws()
	if !p.at('=') {
		return "", false
	}
	p.skipItem()
	return v[min(p.i+1, len(v)):], p.at(';')
}

// head holds the readings of the text before the first ";".
type head struct {
	first       string // the first word, as if comments and quotes were absent
	joined      string // all words joined: RFC 822 allowed blanks around dots
	unversioned string // joined without a last word of digits
	encoded     bool   // has an encoded-word (RFC 2047), which may hide anything
	closed      bool   // the ";" was found
}

// readHead parses v in one pass. An octet that belongs to no word in any reading ends
// the first word. Comments, quotes and backslashes are dropped instead:
// "mx"(a).example\.org is one word here.
func readHead(v string) head {
	var h head
	p := &scanner{s: v}
	joined := make([]byte, 0, 64)
	first, last := -1, 0 // positions in joined: the first word ends, the last begins
	quoted, gap := false, false
	add := func(c byte) {
		if gap {
			last, gap = len(joined), false
		}
		joined = append(joined, c)
	}
	for p.i < len(v) && !h.closed {
		c := v[p.i]
		switch {
		case c == '(' && !quoted:
			p.comment()
			gap = true
			continue
		case c == ';' && !quoted:
			h.closed = true
		case c == '"':
			quoted = !quoted
		case c == '\\':
			if p.i+1 < len(v) && isToken(v[p.i+1]) {
				break // the next iteration handles it
			}
			p.i++
		case isToken(c) || c >= 0x80:
			add(c)
		default:
			h.encoded = h.encoded || c == '=' && p.i+1 < len(v) && v[p.i+1] == '?'
			if first < 0 && len(joined) > 0 {
				first = len(joined)
			}
			if isBlank(c) {
				gap = true
			} else {
				add(c)
			}
		}
		p.i++
	}
	h.joined = string(joined)
	if first < 0 {
		first = len(joined)
	}
	h.first = h.joined[:first]
	if last > 0 && strings.Trim(h.joined[last:], "0123456789") == "" {
		h.unversioned = h.joined[:last]
	}
	return h
}
