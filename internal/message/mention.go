package message

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mention is what a reader could take for an address: an at sign followed by a name with
// a dot. A single word does not count: "Ann @ Example".
type mention struct {
	at     int    // octets before the at sign
	domain string // as written; "" unless exact
	// exact reports that the name directly follows a plain at sign, in one piece, and
	// ends unambiguously.
	exact bool
}

// mentions finds all mentions in s.
func mentions(s string) []mention {
	var list []mention
	for i, r := range s {
		if !isAt(r) {
			continue
		}
		if m, ok := mentionAt(s, i); ok {
			list = append(list, m)
		}
	}
	return list
}

// mentionAt reads the name after the at sign at s[at].
func mentionAt(s string, at int) (mention, bool) {
	_, width := utf8.DecodeRuneInString(s[at:])
	m := mention{at: at, exact: width == 1}
	start := skip(s, at+width, besideAt)
	for n := dotLen(s[start:]); n > 0; n = dotLen(s[start:]) {
		start = skip(s, start+n, besideAt)
	}
	m.exact = m.exact && start == at+width
	if strings.HasPrefix(s[start:], "[") {
		return mention{at: at}, isLiteral(s[start+1:])
	}
	dots, end := 0, start
	for pos := start; ; dots++ {
		pos += nameLen(s[pos:])
		end = pos
		dot := skip(s, pos, besideDot)
		next := dot + dotLen(s[dot:])
		label := skip(s, next, besideDot)
		for n := dotLen(s[label:]); n > 0 && next > dot; n = dotLen(s[label:]) {
			label = skip(s, label+n, besideDot)
		}
		if next == dot || nameLen(s[label:]) == 0 {
			if dot == end {
				end = next // the dot of the root, if there is one
			}
			break
		}
		m.exact = m.exact && dot == pos && label == next
		pos = label
	}
	if dots == 0 || isNumber(s[start:end], dots) {
		return mention{}, false
	}
	if m.exact = m.exact && endsName(s[end:]); m.exact {
		m.domain = s[start:end]
	}
	return m, true
}

// isNumber reports whether an apparent name is a price or a time of day, "9.99". No
// top-level domain is all digits; an address of four numbers may be meant.
func isNumber(name string, dots int) bool {
	const dotsOfAddress = 3
	return dots != dotsOfAddress && strings.Trim(name, "0123456789.") == ""
}

// isLiteral reports whether s begins with the content of a domain literal (RFC 5321
// section 4.1.3), which is an address as well.
func isLiteral(s string) bool {
	const longest = 80
	inner, _, _ := strings.Cut(s[:min(len(s), longest)], "]")
	return strings.ContainsAny(inner, ".:")
}

// nameLen is the length of the label at the start of s.
func nameLen(s string) int {
	if n := strings.IndexFunc(s, func(r rune) bool { return !isNameRune(r) }); n >= 0 {
		return n
	}
	return len(s)
}

// dotLen is the length of the dot at the start of s, 0 if there is none.
func dotLen(s string) int {
	if r, width := utf8.DecodeRuneInString(s); width > 0 && isDot(r) {
		return width
	}
	return 0
}

// Characters other than white space that readers drop or overlook next to an at sign, and
// next to a dot. (An angle bracket after an at sign begins an address: "Ann @
// <a@b.example>".)
const (
	besideAt  = "\"'`\\{}|*/~^=+$#!&%?"
	besideDot = besideAt + "<>()[]"
)

func skip(s string, i int, what string) int {
	for i < len(s) {
		r, width := utf8.DecodeRuneInString(s[i:])
		if !unicode.IsSpace(r) && !strings.ContainsRune(what, r) {
			break
		}
		i += width
	}
	return i
}

// endsName reports whether a name ends before rest, as everybody sees it. An apostrophe,
// a question mark and the end of an encoded word may be part of a word, and end a name
// only where the word ends too.
func endsName(rest string) bool {
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "?="), "'?")
	return rest == "" || strings.IndexByte(" \t<>()[],;:\"", rest[0]) >= 0
}

// isAt takes the forms of the at sign that look like it.
func isAt(r rune) bool { return r == '@' || r == '\uff20' || r == '\ufe6b' }

// isDot takes the forms of the dot that IDNA reads as one (RFC 5895 section 2) and those
// that look like it.
func isDot(r rune) bool {
	switch r {
	case '.', '\u3002', '\uff0e', '\uff61', '\u2024', '\ufe52':
		return true
	}
	return false
}

// isNameRune takes all that could stand in a label, with everything beyond ASCII that is
// neither space nor dot.
func isNameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return isDomainChar(byte(r))
	}
	return !unicode.IsSpace(r) && !isDot(r) && !isAt(r)
}

// withoutComments is s without what stands in matching parentheses.
func withoutComments(s string) string {
	if !strings.Contains(s, "(") {
		return s
	}
	var opened []int // lengths of out at the parentheses that are open
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			opened = append(opened, len(out))
			out = append(out, c)
		case c == ')' && len(opened) > 0:
			out = out[:opened[len(opened)-1]]
			opened = opened[:len(opened)-1]
		default:
			out = append(out, c)
		}
	}
	return string(out)
}
