package arc

import "bytes"

// readResults parses the value of an ARC-Authentication-Results field: "i=", the
// instance, ";" and the payload of an Authentication-Results field, with comments
// and folds between them (RFC 8617 section 4.1.1). instance is "" if the value does
// not begin that way.
func readResults(value []byte) (instance string, payload string) {
	rest, ok := literal(value, 'i')
	if ok {
		rest, ok = literal(rest, '=')
	}
	if !ok {
		return "", ""
	}
	rest = skipCFWS(rest)
	n := 0
	for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
		n++
	}
	digits := rest[:n]
	if rest, ok = literal(rest[n:], ';'); !ok || n > maxDigits {
		return "", ""
	}
	return string(digits), unfold(rest)
}

// literal removes c, and any CFWS before it, from the front of s.
func literal(s []byte, c byte) (rest []byte, ok bool) {
	s = skipCFWS(s)
	if len(s) == 0 || s[0] != c {
		return s, false
	}
	return s[1:], true
}

// skipCFWS skips white space, folds and comments (RFC 5322 section 3.2.2). An
// unterminated comment extends to the end.
func skipCFWS(s []byte) []byte {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case depth > 0 && c == ')':
			depth--
		case depth > 0 && c == '\\':
			i++
		case depth > 0, c == ' ', c == '\t', c == '\r', c == '\n':
		default:
			return s[i:]
		}
	}
	return nil
}

// unfold removes line ends (RFC 5322 section 2.2.3) and the surrounding white space.
func unfold(s []byte) string {
	s = bytes.TrimSpace(s)
	out := make([]byte, 0, len(s))
	for _, c := range s {
		if c != '\r' && c != '\n' {
			out = append(out, c)
		}
	}
	return string(out)
}
