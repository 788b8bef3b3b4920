package authres

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"dmarcd/internal/dns"
)

// maxHead bounds how far an authserv-id is looked for. A field that does not
// come to the end of its id by then is no honest one and is taken for ours.
const maxHead = 16 << 10

// IDs is a set of authserv-ids, ready for comparing. It never changes, so any
// number of goroutines may use it. Nil is the empty set.
type IDs struct {
	ids []string // squashed
}

// NewIDs makes the set of the ids that mean us: the configured authserv-id and
// those of our other hosts. Empty ids are left out.
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

// squash leaves of an id what its spelling cannot change: no blanks, quotes or
// backslashes, no dot at the ends, lower-case ASCII letters.
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

// claimedBy reports whether a reader of the field may take it for ours, by the
// value of an Authentication-Results field. Only a field whose authserv-id is
// plainly another's, and that has ours nowhere else where a careless reader looks
// for it, is not (RFC 8601 section 5).
func (s *IDs) claimedBy(value []byte) bool {
	if s == nil || len(s.ids) == 0 {
		return false
	}
	return s.claimedByHead(value) || s.lenientlyOurs(value)
}

// claimedByHead judges by what stands before the first semicolon.
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

// plainID gives the id of a field as everybody writes it: a token, perhaps a
// version, and then ";" or the end. Nothing in it can be read in two ways.
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

// hasPlain compares a token. RFC 8601 section 2.5 compares whole ids and knows
// no letter case in host names; ids that are no names get the same leniency.
func (s *IDs) hasPlain(id []byte) bool {
	id = bytes.Trim(id, ".")
	for _, our := range s.ids {
		if len(our) == len(id) && equalFold(our, id) {
			return true
		}
	}
	return false
}

// equalFold compares ASCII text of equal length; lower is in lower case.
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

// has compares one reading of an id, in whatever spelling.
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

// claimedByMalformed judges a field that is not plain: it tries the ways in which a
// reader, strict or sloppy, may come to an id. cut tells that v is not the
// whole value.
func (s *IDs) claimedByMalformed(v string, cut bool) bool {
	// "i=1; mx.example.org; …" is the form of ARC-Authentication-Results
	// (RFC 8617 section 4.1.1), which a shared reader may take here too.
	if rest, ok := afterInstance(v); ok {
		v = rest
	}
	h := readHead(v)
	if h.encoded || !utf8.ValidString(h.first) {
		return true // nobody honest writes it, and who knows what a reader sees
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
	// No grammar reads it, so nobody can say what a reader makes of it.
	return cut || !isASCII(v) || s.within(v)
}

// within reports whether one of our ids stands anywhere in v, comments left out
// or not.
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

// firstWord is what a reader takes for the id who drops comments, quotes and
// backslashes wherever they stand and then cuts at the first blank or semicolon.
func firstWord(v string) string {
	words := strings.FieldsFunc(withoutComments(v), func(r rune) bool { return r <= ' ' || r == ';' || r == 0x7f })
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// withoutComments leaves out what stands in brackets, nested or never closed
// (RFC 5322 section 3.2.2).
func withoutComments(v string) string {
	if strings.IndexByte(v, '(') < 0 {
		return v
	}
	b := make([]byte, 0, len(v))
	depth := 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && depth > 0:
			i++ // what is quoted so closes nothing
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

// strictID reads an id as RFC 8601 section 2.2 has it: a token or quoted-string
// with blanks or comments around, before ";", "=" (a field without an id) or
// other words. It is not ok where the text cannot be read so.
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

// afterInstance gives what follows the instance tag in the form of
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

// head holds the readings of what stands before the first ";".
type head struct {
	first       string // the first word, comments and quotes taken away as if never there
	joined      string // all words together: RFC 822 let blanks stand around dots
	unversioned string // joined without a last word of digits
	encoded     bool   // has an encoded-word (RFC 2047), which may say anything
	closed      bool   // the ";" was met
}

// readHead takes v apart in one pass. What is not part of a word in any reading
// ends the first word, but for comments, quotes and backslashes, which are
// dropped: "mx"(a).example\.org is one word here.
func readHead(v string) head {
	var h head
	p := &scanner{s: v}
	joined := make([]byte, 0, 64)
	first, last := -1, 0 // where in joined the first word ends and the last begins
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
				break // the next round takes it as it is
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
