package message

import "fmt"

// quoted reads a quoted string (RFC 5322 section 3.2.4).
func (p *addressParser) quoted() error {
	p.pos++
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; {
		case c == '"':
			p.pos++
			return nil
		case c == '\\':
			p.pos++
			if err := p.text(); err != nil {
				return err
			}
		default:
			if err := p.text(); err != nil {
				return err
			}
		}
	}
	return p.bad("quoted string without an end")
}

// cfws skips comments and folding white space (RFC 5322 section 3.2.2).
func (p *addressParser) cfws() error {
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; {
		case c == ' ' || c == '\t':
			p.pos++
		case c == '\r' || c == '\n':
			if err := p.fold(); err != nil {
				return err
			}
		case c == '(':
			if err := p.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// fold skips a line end that white space follows; the field has no other. A bare
// LF is taken too: some MTAs hand folds to a milter that way.
func (p *addressParser) fold() error {
	if p.s[p.pos] == '\r' {
		p.pos++
	}
	if p.peek() != '\n' {
		return p.bad("bare CR")
	}
	p.pos++
	if c := p.peek(); c != ' ' && c != '\t' {
		return p.bad("line end within the field")
	}
	return nil
}

func (p *addressParser) comment() error {
	depth := 0
	for p.pos < len(p.s) {
		switch p.s[p.pos] {
		case '(':
			p.pos++
			if depth++; depth > maxCommentDepth {
				return p.bad("comments too deep")
			}
		case ')':
			p.pos++
			if depth--; depth == 0 {
				return nil
			}
		case '\\':
			p.pos++
			if err := p.text(); err != nil {
				return err
			}
		default:
			if err := p.text(); err != nil {
				return err
			}
		}
	}
	return p.bad("comment without an end")
}

// text takes one octet of a quoted string or comment. Control characters have
// no place in a field: readers end the text there, or drop it.
func (p *addressParser) text() error {
	c := p.peek()
	switch {
	case c == '\r' || c == '\n':
		return p.fold()
	case c < ' ' && c != '\t' || c == 0x7f:
		return p.bad("control character")
	}
	p.pos++
	return nil
}

// peek is the next octet; 0 at the end of the field, and for a NUL, which nothing accepts.
func (p *addressParser) peek() byte {
	if p.pos < len(p.s) {
		return p.s[p.pos]
	}
	return 0
}

func (p *addressParser) bad(why string) error {
	return fmt.Errorf("%w: %s, at octet %d", ErrBadFrom, why, p.pos)
}

// isAtext reports whether an atom may contain c (RFC 5322 section 3.2.3), or c is any
// 8-bit octet: UTF-8 (RFC 6532 section 3.2), or text that old software sends unencoded.
func isAtext(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.', '"', 0x7f:
		return false
	}
	return c > ' '
}

func isDomainChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c >= 0x80
}
