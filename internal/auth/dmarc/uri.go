package dmarc

import (
	"errors"
	"strings"
	"unicode/utf8"

	"dmarcd/internal/dns"
)

// URI is a report address of a domain owner (RFC 9989 section 4.6). Reports go by
// mail only: a URI of another scheme is kept for display.
type URI struct {
	Text    string   // as published, without the obsolete size limit ("!10m")
	Scheme  string   // lower case
	Address string   // of a mailto: URI, decoded: local@host as published, a local part with a comma in quotes; "" for another scheme
	Host    dns.Name // right of the "@" of Address; zero for another scheme
}

// parseURI parses one URI of rua or ruf (RFC 9989 section 4.8).
func parseURI(s string) (URI, error) {
	s, size, sized := strings.Cut(s, "!") // a "!" of the URI itself is percent-encoded
	if sized && !isSize(size) {
		return URI{}, errors.New("unencoded exclamation point")
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) {
		return URI{}, errors.New("no scheme")
	}
	if rest == "" || !isURIText(rest) {
		return URI{}, errors.New("not the characters of a URI")
	}
	u := URI{Text: s, Scheme: strings.ToLower(scheme)}
	if u.Scheme != "mailto" {
		return u, nil
	}
	path, _, _ := strings.Cut(rest, "?") // header fields (RFC 6068 section 2) are ignored
	path, _, _ = strings.Cut(path, "#")
	path = decode(path)
	at := strings.LastIndexByte(path, '@')
	if at <= 0 || !isLocalPart(path[:at]) {
		return URI{}, errors.New("no plain mail address")
	}
	local := path[:at]
	if strings.Contains(local, ",") { // RFC 5321 section 4.1.2
		local = `"` + local + `"`
	}
	host, err := dns.Parse(path[at+1:])
	if err != nil || !isHostName(host.String()) {
		return URI{}, errors.New("no host name right of the @")
	}
	u.Address, u.Host = local+path[at:], host
	return u, nil
}

// isSize matches the limit that RFC 7489 section 6.4 allowed, without its "!".
func isSize(s string) bool {
	digits := strings.TrimRight(s, "kmgtKMGT")
	return digits != "" && len(s)-len(digits) <= 1 && strings.Trim(digits, "0123456789") == ""
}

// isScheme checks scheme of RFC 3986 section 3.1.
func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if !('a' <= c && c <= 'z') && (i == 0 || !isDigit(s[i]) && s[i] != '+' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != ""
}

// isURIText restricts s to the characters of RFC 3986 section 2.
func isURIText(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isAlnum(c):
		case c == '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return false
			}
		case strings.IndexByte("-._~:/?#[]@$&'()*+=", c) < 0:
			return false
		}
	}
	return true
}

// isLocalPart accepts a local part that needs no quotes (RFC 5321 section 4.1.2, RFC
// 6531 section 3.3), and a comma, which is encoded in a URI (RFC 9989 section 4.8).
// Report addresses use no others, and decoded text in an SMTP command must be
// harmless.
func isLocalPart(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x80 && !isAlnum(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.,", c) < 0 {
			return false
		}
	}
	return s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..") && utf8.ValidString(s)
}

// isHostName restricts a name to letters, digits, hyphens and underscores.
func isHostName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// decode undoes percent-encoding in text that passed isURIText.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c = byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		}
		out = append(out, c)
	}
	return string(out)
}

func unhex(c byte) int {
	switch lower := c | 0x20; {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= lower && lower <= 'f':
		return int(lower-'a') + 10
	}
	return -1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlnum(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

func join(us []URI) string {
	texts := make([]string, len(us))
	for i, u := range us {
		texts[i] = u.Text
	}
	return strings.Join(texts, ",")
}
