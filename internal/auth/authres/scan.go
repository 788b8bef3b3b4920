package authres

import "strings"

// scanner reads the value of a structured field (RFC 5322 section 3.2). It never goes
// back, so parsing is linear in the value.
type scanner struct {
	s    string
	i    int
	open bool // the text ended within a comment or a quoted-string
}

func (p *scanner) end() bool { return p.i >= len(p.s) }

// at reports whether the next byte is c.
func (p *scanner) at(c byte) bool { return p.i < len(p.s) && p.s[p.i] == c }

// cfws skips blanks, folds and comments (RFC 5322 section 3.2.2). It is false if a
// comment is unterminated; that comment extends to the end.
func (p *scanner) cfws() bool {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case isBlank(c):
			p.i++
		case c == '(':
			if !p.comment() {
				return false
			}
		default:
			return true
		}
	}
	return true
}

// comment skips one comment and those nested in it. It counts instead of recursing, so
// depth costs nothing.
func (p *scanner) comment() bool {
	depth := 0
	for ; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.i++
				return true
			}
		}
	}
	p.i, p.open = len(p.s), true
	return false
}

// quoted parses a quoted-string (RFC 5322 section 3.2.4) and returns its content without
// quoted-pairs and folds. It is false if the string is unterminated.
func (p *scanner) quoted() (string, bool) {
	p.i++
	start, plain := p.i, true
	for ; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			plain = false
			p.i++
		case '\r', '\n':
			plain = false
		case '"':
			text := p.s[start:p.i]
			p.i++
			if plain {
				return text, true
			}
			return unquote(text), true
		}
	}
	p.i, p.open = len(p.s), true
	return "", false
}

// unquote resolves quoted-pairs and removes the line ends of folds.
func unquote(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '\r' || c == '\n':
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// token parses a token, which may be empty. Bytes beyond ASCII count as token
// characters: internationalized mail has them (RFC 8616 section 4).
func (p *scanner) token() string {
	start := p.i
	for p.i < len(p.s) && (isToken(p.s[p.i]) || p.s[p.i] >= 0x80) {
		p.i++
	}
	return p.s[start:p.i]
}

// value parses a value of RFC 2045 section 5.1: a token or a quoted-string.
func (p *scanner) value() (string, bool) {
	if p.at('"') {
		return p.quoted()
	}
	t := p.token()
	return t, t != ""
}

// digits parses decimal digits, possibly none.
func (p *scanner) digits() string {
	start := p.i
	for p.i < len(p.s) && isDigit(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

// skipItem advances to the next ";" outside quotes and comments, or to the end.
func (p *scanner) skipItem() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ';':
			return
		case '"':
			p.quoted()
		case '(':
			p.comment()
		default:
			p.i++
		}
	}
}
