package authres

import "bytes"

// lenientlyOurs reports whether a careless reader takes a field for ours although its
// authserv-id is another's or missing. One of our ids then stands alone at the start of
// the field or of a part, or after "authserv-id=". Signs before it, such as single
// quotes, do not make it another id, nor does anything after it but letters, digits,
// "-", "_" and dots. An id within a property ("smtp.helo=", "root@") is only mentioned.
//
// Semicolons and commas separate parts, wherever they occur: such a reader knows neither
// quotes nor comments. The field is also read without comments.
func (s *IDs) lenientlyOurs(v []byte) bool {
	r := lenientReader{set: s}
	return r.claims(v)
}

// maxMalformedWords bounds the comparisons of words with octets beyond ASCII, which are
// expensive. No honest field has more of them where an id may stand.
const maxMalformedWords = 50

type lenientReader struct {
	set       *IDs
	malformed int // words with octets beyond ASCII so far
}

func (r *lenientReader) claims(v []byte) bool {
	if r.idAt(v, false) {
		return true
	}
	for _, separator := range []byte{';', ','} {
		for rest := v; ; {
			i := bytes.IndexByte(rest, separator)
			if i < 0 {
				break
			}
			if rest = rest[i+1:]; r.idAt(rest, false) {
				return true
			}
		}
	}
	return r.afterKey(v) || bytes.IndexByte(v, '(') >= 0 && r.claimsBare(v)
}

// afterKey reports whether one of our ids follows "authserv-id=".
func (r *lenientReader) afterKey(v []byte) bool {
	const key, end = "authser", "vV"
	for _, c := range []byte(end) {
		for at := 0; ; at++ {
			i := bytes.IndexByte(v[at:], c)
			if i < 0 {
				break
			}
			at += i
			if after, ok := afterKey(v, at-len(key)); ok && r.idAt(after, false) {
				return true
			}
		}
	}
	return false
}

// claimsBare reads the parts without comments.
func (r *lenientReader) claimsBare(v []byte) bool {
	if r.idAt(v, true) {
		return true
	}
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '(':
			i += commentLen(v[i:]) - 1
		case ';', ',':
			if r.idAt(v[i+1:], true) {
				return true
			}
		}
	}
	return false
}

// commentLen is the length of the comment at the start of v; all of v if unterminated.
func commentLen(v []byte) int {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(v)
}

// afterKey returns the text after the name of an authserv-id property that begins at
// v[at].
func afterKey(v []byte, at int) ([]byte, bool) {
	const key = "authserv"
	if at < 0 || len(v)-at < len(key) || !equalFold(key, v[at:at+len(key)]) || at > 0 && isNamePart(v[at-1]) {
		return nil, false
	}
	rest := v[at+len(key):]
	if len(rest) > 0 && (rest[0] == '-' || rest[0] == '_') {
		rest = rest[1:]
	}
	if len(rest) < len("id") || !equalFold("id", rest[:len("id")]) {
		return nil, false
	}
	rest = rest[len("id"):]
	return rest, len(rest) == 0 || !isNamePart(rest[0])
}

// idAt reports whether the first word of v, up to the next semicolon or comma, is one of
// our ids. If comments are removed, a parenthesis before it makes it a mention.
func (r *lenientReader) idAt(v []byte, comments bool) bool {
	i := 0
	for ; i < len(v) && (!isNamePart(v[i]) || v[i] == '.'); i++ {
		switch {
		case v[i] == ';' || v[i] == ',':
			return false
		case v[i] == '(' && !comments:
			return false
		case v[i] == '(':
			i += commentLen(v[i:]) - 1
		}
	}
	if i >= len(v) {
		return false
	}
	for _, our := range r.set.ids {
		if isWord(v[i:], our, comments) {
			return true
		}
	}
	if !hasEightBit(v[i:], comments) {
		return false
	}
	r.malformed++
	return r.malformed > maxMalformedWords || r.set.has(wordAt(v[i:], comments))
}

// isWord reports whether v begins with id, not followed by a part of a longer id. It
// ignores quotes, backslashes, comments, and dots after the id.
func isWord(v []byte, id string, comments bool) bool {
	n := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '"' || c == '\\':
		case c == '(' && comments:
			i += commentLen(v[i:]) - 1
		case n < len(id) && (c == id[n] || c|0x20 == id[n] && isAlnum(c)):
			n++
		case n == len(id) && c == '.':
		default:
			return n == len(id) && !isNamePart(c)
		}
	}
	return n == len(id)
}

// hasEightBit reports whether the first word of v has octets beyond ASCII: a U-label, or
// look-alike letters.
func hasEightBit(v []byte, comments bool) bool {
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c >= 0x80:
			return true
		case c == '(' && comments:
			i += commentLen(v[i:]) - 1
		case c != '"' && c != '\\' && !isNamePart(c):
			return false
		}
	}
	return false
}

// wordAt returns a word without its quotes, backslashes and comments.
func wordAt(v []byte, comments bool) string {
	const longest = 1024 // octets: four for each of the 253 of a name
	word := make([]byte, 0, 64)
	for i := 0; i < len(v) && len(word) < longest; i++ {
		switch c := v[i]; {
		case isNamePart(c):
			word = append(word, c)
		case c == '"' || c == '\\':
		case c == '(' && comments:
			i += commentLen(v[i:]) - 1
		default:
			return string(word)
		}
	}
	return string(word)
}

// isNamePart reports whether c after one of our ids makes it a different id.
func isNamePart(c byte) bool {
	return isAlnum(c) || c >= 0x80 || c == '-' || c == '_' || c == '.'
}
