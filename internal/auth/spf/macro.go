package spf

import (
	"strconv"
	"strings"

	"dmarcd/internal/dns"
)

// maxName is the length to which an expanded name is cut, RFC 7208 section 7.3.
const maxName = 253 // octets

// tailLen is how much of a name is kept during expansion: anything further left
// is truncated in any case.
const tailLen = 2 * maxName

// target returns the name that a term refers to: the current domain, or its
// expanded domain-spec. It is the zero Name if no query can carry it. ok is false
// if a macro has no expansion, so that the term does not match.
func (e *evaluation) target(t *term, domain dns.Name) (name dns.Name, ok bool, fault *Error) {
	if t.spec == "" {
		e.aimAt(domain, e.inLocalPart())
		return domain, true, nil
	}
	text, localPart := t.spec, false
	if strings.IndexByte(text, '%') >= 0 {
		var buf [2 * tailLen]byte
		out, ok, fault := e.expand(buf[:0], t, domain)
		if !ok || fault != nil {
			return dns.Name{}, false, fault
		}
		text, localPart = string(out), e.usesLocalPart(t.spec)
	}
	name = queryName(text)
	e.aimAt(name, localPart)
	if localPart {
		e.keepLocalPart(name, t.spec)
	}
	return name, true, nil
}

// queryName returns the name to query, or the zero Name if there is none (RFC 7208
// section 4.8).
func queryName(expanded string) dns.Name {
	name, err := dns.ParseQuery(truncate(expanded))
	if err != nil {
		return dns.Name{}
	}
	return name
}

// truncate drops labels from the left until the name fits, RFC 7208 section 7.3.
func truncate(name string) string {
	name = strings.TrimSuffix(name, ".")
	over := len(name) - maxName
	if over <= 0 {
		return name
	}
	dot := strings.IndexByte(name[over-1:], '.')
	if dot < 0 {
		return name // its last label alone is too long for a query
	}
	return name[over+dot:]
}

// expand appends the right end of an expanded domain-spec; truncation drops the
// rest (RFC 7208 section 7.3).
func (e *evaluation) expand(dst []byte, t *term, domain dns.Name) (out []byte, ok bool, fault *Error) {
	for rest := t.spec; rest != ""; {
		p, tail, err := nextPiece(rest, inTarget)
		if err != nil {
			return nil, false, nil // not reached: the parser checked it
		}
		rest = tail
		value := p.literal
		if p.letter != 0 {
			if value, ok, fault = e.value(p.letter, t, domain); !ok || fault != nil {
				return nil, false, fault
			}
		}
		dst = p.append(dst, value)
		if len(dst) > tailLen {
			dst = append(dst[:0], dst[len(dst)-tailLen:]...)
		}
	}
	return dst, true, nil
}

// value returns the value of a macro letter (RFC 7208 section 7.2). ok is false if
// a term with it matches nothing (RFC 8616 section 4).
func (e *evaluation) value(letter byte, t *term, domain dns.Name) (value string, ok bool, fault *Error) {
	switch letter {
	case 's':
		return e.local + "@" + e.sender.String(), e.localOK, nil
	case 'l':
		return e.local, e.localOK, nil
	case 'o':
		return e.sender.String(), true, nil
	case 'd':
		return domain.String(), true, nil
	case 'i':
		return e.dotted(), true, nil
	case 'p':
		value, fault = e.validatedName(t, domain)
		return value, true, fault
	case 'v':
		if e.ip.Is4() {
			return "in-addr", true, nil
		}
		return "ip6", true, nil
	case 'h':
		return e.helo, e.heloOK, nil
	case 'c':
		return e.ip.String(), true, nil
	case 'r':
		if e.checker.Receiver == "" {
			return "unknown", true, nil // RFC 7208 section 7.3
		}
		return e.checker.Receiver, true, nil
	case 't':
		if e.checker.Now == nil {
			return "0", true, nil
		}
		return strconv.FormatInt(e.checker.Now().Unix(), 10), true, nil
	}
	return "", false, nil
}

// dotted formats the client's address for %{i}: a dotted quad, or the nibbles of
// an IPv6 address, each as a label (RFC 7208 section 7.3).
func (e *evaluation) dotted() string {
	if e.ip.Is4() {
		return e.ip.String()
	}
	const hex = "0123456789ABCDEF"
	var buf [63]byte
	for i := range buf {
		buf[i] = '.'
	}
	for i, b := range e.ip.As16() {
		buf[4*i], buf[4*i+2] = hex[b>>4], hex[b&15]
	}
	return string(buf[:])
}

// append applies the macro's transformers to value and appends it: split,
// reversed, right-hand parts kept, joined with dots and escaped (RFC 7208 section
// 7.3).
func (p *piece) append(dst []byte, value string) []byte {
	start := len(dst)
	switch {
	case p.letter == 0 || p.keep == 0 && !p.reverse && p.delims == "":
		dst = append(dst, value...)
	case p.reverse:
		dst = p.appendReversed(dst, value)
	default:
		dst = p.appendRight(dst, value)
	}
	if !p.escape {
		return dst
	}
	plain := string(dst[start:])
	return appendEscaped(dst[:start], plain)
}

func (p *piece) isDelim(c byte) bool {
	if p.delims == "" {
		return c == '.'
	}
	return strings.IndexByte(p.delims, c) >= 0
}

// appendReversed visits the parts from the right. It keeps the right-hand parts
// after the reversal, which are the left-hand ones of value.
func (p *piece) appendReversed(dst []byte, value string) []byte {
	end := p.leftParts(value)
	for i := end - 1; i >= 0; i-- {
		if p.isDelim(value[i]) {
			dst = append(dst, value[i+1:end]...)
			dst = append(dst, '.')
			end = i
		}
	}
	return append(dst, value[:end]...)
}

// leftParts returns the length of the parts to keep, counted from the left.
func (p *piece) leftParts(value string) int {
	if p.keep == 0 {
		return len(value)
	}
	parts := 0
	for i := range len(value) {
		if p.isDelim(value[i]) {
			if parts++; parts == p.keep {
				return i
			}
		}
	}
	return len(value)
}

func (p *piece) appendRight(dst []byte, value string) []byte {
	from, parts := 0, 0
	for i := len(value) - 1; i >= 0 && p.keep > 0; i-- {
		if p.isDelim(value[i]) {
			if parts++; parts == p.keep {
				from = i + 1
				break
			}
		}
	}
	for i := from; i < len(value); i++ {
		c := value[i]
		if p.isDelim(c) {
			c = '.'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendEscaped escapes all but the unreserved octets of RFC 3986 section 2.3.
func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
