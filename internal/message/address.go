package message

import (
	"bytes"
	"unicode/utf8"
)

// addressParser reads the address list of one From field by the grammar. It looks at each
// octet a fixed number of times and never backtracks.
type addressParser struct {
	s      []byte // the field value without its last line end
	pos    int
	author *Author
	found  int // addresses
}

// list reads an address list (RFC 5322 section 3.4; groups by RFC 6854 section
// 2.1; empty elements by RFC 5322 section 4.4).
func (p *addressParser) list() error {
	if !utf8.Valid(p.s) {
		return p.bad("not UTF-8") // RFC 6532 section 3.1
	}
	inGroup, separated := false, true
	for {
		if err := p.cfws(); err != nil {
			return err
		}
		switch c := p.peek(); {
		case c == 0:
			return p.end(inGroup)
		case c == ',':
			p.pos++
			separated = true
		case c == ';' && inGroup:
			p.pos++
			inGroup, separated = false, false
		case c == ';' || !separated:
			return p.bad("text after an address")
		default:
			group, err := p.element()
			if err != nil {
				return err
			}
			if group && inGroup {
				return p.bad("group within a group")
			}
			if group {
				inGroup = true
			}
			separated = group
		}
	}
}

func (p *addressParser) end(inGroup bool) error {
	switch {
	case p.pos < len(p.s):
		return p.bad("NUL")
	case inGroup:
		return p.bad("group without an end")
	}
	return nil
}

// words is the text before the "@", "<" or ":" that decides its role: a local part, a
// phrase or the name of a group.
type words struct {
	start, stop int  // its octets
	count       int  // words and dots
	apart       bool // two words without a dot between them: no local part
	encoded     bool // an encoded word, which is no part of an address (RFC 2047 section 5)
	last        byte // 'w' after a word, '.' after a dot
}

// element reads a mailbox, or the name and the colon of a group.
func (p *addressParser) element() (group bool, err error) {
	w := words{start: p.pos}
	for {
		w.stop = p.pos
		if err := p.cfws(); err != nil {
			return false, err
		}
		switch c := p.peek(); c {
		case 0, ',', ';':
			return false, p.bad("phrase without an address")
		case ':':
			if w.count == 0 {
				return false, p.bad("group without a name")
			}
			p.pos++
			return true, nil
		case '<':
			return false, p.angle()
		case '@':
			return false, p.addrSpec(&w)
		default:
			if err := p.word(&w); err != nil {
				return false, err
			}
		}
	}
}

// addrSpec reads "@" and the domain of a bare address.
func (p *addressParser) addrSpec(w *words) error {
	if !w.isLocalPart() {
		return p.bad("no local part")
	}
	p.pos++
	domain, err := p.domain()
	if err != nil {
		return err
	}
	if err := p.cfws(); err != nil {
		return err
	}
	p.found++
	return p.author.add(domain, p.s[w.start:w.stop])
}

func (w *words) isLocalPart() bool { return w.count > 0 && !w.apart && !w.encoded }

// angle reads an angle address (RFC 5322 section 3.4) with the route that
// section 4.4 allows before it; the domains of a route are those of relays.
func (p *addressParser) angle() error {
	p.pos++
	if err := p.cfws(); err != nil {
		return err
	}
	if c := p.peek(); c == '@' || c == ',' {
		if err := p.route(); err != nil {
			return err
		}
	}
	w := words{start: p.pos}
	for {
		w.stop = p.pos
		if err := p.cfws(); err != nil {
			return err
		}
		if p.peek() == '@' {
			break
		}
		if err := p.word(&w); err != nil {
			return err
		}
	}
	if !w.isLocalPart() {
		return p.bad("no local part")
	}
	p.pos++
	domain, err := p.domain()
	if err != nil {
		return err
	}
	if err := p.cfws(); err != nil {
		return err
	}
	if p.peek() != '>' {
		return p.bad("no > after the domain")
	}
	p.pos++
	p.found++
	return p.author.add(domain, p.s[w.start:w.stop])
}

// route skips "@one,@two:".
func (p *addressParser) route() error {
	for {
		if err := p.cfws(); err != nil {
			return err
		}
		switch p.peek() {
		case ',':
			p.pos++
		case '@':
			p.pos++
			if _, err := p.domain(); err != nil {
				return err
			}
		case ':':
			p.pos++
			return p.cfws()
		default:
			return p.bad("broken route")
		}
	}
}

// word reads a dot, an atom or a quoted string of a phrase or local part. Dots may be
// anywhere: they cannot make two readings of a domain.
func (p *addressParser) word(w *words) error {
	c := p.peek()
	switch {
	case c == '.':
		p.pos++
	case w.last == 'w':
		w.apart = true
		fallthrough
	default:
		if c == '"' {
			if err := p.quoted(); err != nil {
				return err
			}
		} else if !isAtext(c) {
			return p.bad("stray character")
		} else if p.atom() {
			w.encoded = true
		}
	}
	w.count++
	w.last = 'w'
	if c == '.' {
		w.last = '.'
	}
	return nil
}

// atom reads a run of atext and reports whether an encoded word may begin in it (RFC 2047
// section 2).
func (p *addressParser) atom() (encoded bool) {
	start := p.pos
	for p.pos < len(p.s) && isAtext(p.s[p.pos]) {
		p.pos++
	}
	return bytes.Contains(p.s[start:p.pos], []byte("=?"))
}

// domain reads a domain and returns its octets without the comments and white space that
// RFC 5322 section 4.4 allows around its dots. A domain literal is not a domain (RFC 9989
// section 5.3.1), nor is a name with other characters of a dot-atom: mail domains have
// letters, digits, hyphens and, in DNS, underscores.
func (p *addressParser) domain() ([]byte, error) {
	if err := p.cfws(); err != nil {
		return nil, err
	}
	start, stop := p.pos, 0
	var joined []byte // the domain so far, where it is in several pieces
	for {
		from := p.pos
		for p.pos < len(p.s) && isDomainChar(p.s[p.pos]) {
			p.pos++
		}
		if joined != nil {
			joined = append(joined, p.s[from:p.pos]...)
		}
		stop = p.pos
		if err := p.cfws(); err != nil {
			return nil, err
		}
		if p.peek() != '.' {
			break
		}
		if p.pos != stop && joined == nil {
			joined = append(make([]byte, 0, 64), p.s[start:stop]...)
		}
		p.pos++
		dot := p.pos
		if err := p.cfws(); err != nil {
			return nil, err
		}
		if p.pos != dot && joined == nil {
			joined = append(make([]byte, 0, 64), p.s[start:dot-1]...)
		}
		if joined != nil {
			joined = append(joined, '.')
		}
	}
	if joined != nil {
		return joined, nil
	}
	if start == stop {
		return nil, p.bad("no domain after @")
	}
	return p.s[start:stop], nil
}
