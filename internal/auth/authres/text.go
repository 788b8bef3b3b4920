package authres

import (
	"net/netip"

	"dmarcd/internal/dns"
)

// Maximum lengths of one text. They keep our lines below the 998 octets of RFC 5322
// section 2.1.1.
const (
	maxName    = 255 // a domain name has 253 octets at most, RFC 1035 section 2.3.4
	maxAddress = 254 // a path without its brackets, RFC 5321 section 4.5.3.1.3
	maxText    = 200 // a reason
	maxShort   = 64  // a word, an algorithm, the start of a signature
)

// fold ends a line; the next begins with one blank (RFC 5322 section 2.2.3).
const fold = "\r\n "

// mark replaces every unprinted byte, and ends a text that was cut. It is not a token
// character, so a marked value is never mistaken for a name.
const mark = '?'

// nothing is printed for an absent name or word.
const nothing = "none"

// isToken reports whether c may occur in a token (RFC 2045 section 5.1): any visible
// ASCII but the tspecials.
func isToken(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=':
		return false
	}
	return true
}

// isAddr reports whether c is harmless in every field that we write, even outside
// quotes. Ordinary addresses contain nothing else.
func isAddr(c byte) bool {
	switch c {
	case '@', ':', '/', '[', ']', '?', '=':
		return true
	}
	return isToken(c)
}

// isName is isAddr without "=", because a value with it could look like an item
// ("dkim=pass") to a reader that searches for words. No domain name in mail, selector or
// algorithm contains it.
func isName(c byte) bool { return c != '=' && isAddr(c) }

// isText reports whether c is harmless in a quoted string of ours.
func isText(c byte) bool { return c == ' ' || isName(c) || c == ',' || c == '<' || c == '>' }

// appendClean appends s, with every byte that ok refuses replaced by a mark. It cuts s
// to most bytes and then marks the end.
func appendClean(b []byte, s string, most int, ok func(byte) bool) []byte {
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	for i := 0; i < len(s); i++ {
		if ok(s[i]) {
			b = append(b, s[i])
		} else {
			b = append(b, mark)
		}
	}
	if cut {
		b = append(b, mark)
	}
	return b
}

// appendPvalue appends s as a pvalue of RFC 8601 section 2.2: unchanged if it is a
// token, otherwise cleaned and as a quoted-string.
func appendPvalue(b []byte, s string, most int) []byte {
	if len(s) <= most && allToken(s) {
		return append(b, s...)
	}
	b = append(b, '"')
	b = appendClean(b, s, most, isName)
	return append(b, '"')
}

// appendID appends an authserv-id (RFC 8601 section 2.5). It comes from the
// configuration and keeps its characters: quotes and backslashes are escaped (RFC 5322
// section 3.2.4). U-labels are printed as A-labels, as mail that is not
// internationalized needs (RFC 8616 section 4).
func appendID(b []byte, id string) []byte {
	if !isASCII(id) {
		if name, err := dns.Parse(id); err == nil {
			id = name.String()
		}
	}
	if id != "" && len(id) <= maxName && allToken(id) {
		return append(b, id...)
	}
	b = append(b, '"')
	for i := 0; i < len(id) && i < maxName; i++ {
		switch c := id[i]; {
		case c < ' ' || c >= 0x7f:
			b = append(b, mark)
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendWord appends a result or action, a Keyword of RFC 5321 section 4.1.2. Anything
// else, above all "", is printed as "none", which claims nothing.
func appendWord(b []byte, s string) []byte {
	if s == "" || len(s) > maxShort {
		return append(b, nothing...)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '-' && !isAlnum(c) {
			return append(b, nothing...)
		}
	}
	return append(b, s...)
}

// appendNameOrNone appends a name to a vendor field, which has no quoting.
func appendNameOrNone(b []byte, s string) []byte {
	if s == "" {
		return append(b, nothing...)
	}
	return appendClean(b, s, maxName, isName)
}

// appendIP appends an address: IPv6 bare and in lower case (RFC 5952), IPv4-mapped as
// IPv4. The zero Addr is "unknown".
func appendIP(b []byte, ip netip.Addr) []byte {
	if !ip.IsValid() {
		return append(b, "unknown"...)
	}
	return ip.Unmap().WithZone("").AppendTo(b)
}

func allToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isToken(s[i]) {
			return false
		}
	}
	return s != ""
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isBlank treats every control character as a blank: readers and MTAs interpret them
// differently, and none belongs in a name.
func isBlank(c byte) bool { return c <= ' ' || c == 0x7f }
