package report

import (
	"strings"
	"unicode/utf8"
)

// Maximum lengths of texts in a file or a row's key, in octets. A domain of 253 octets fits,
// and so does a selector, which is part of a domain.
const (
	maxName    = 255
	maxComment = 1024
	maxReasons = 16
)

// tidy makes s suitable for XML 1.0 (section 2.2) and for one line: octets that are not UTF-8
// become U+FFFD, control and other forbidden characters become spaces, spaces at both ends
// are removed, and the result has at most most octets. It is idempotent, and returns s itself
// if nothing changes.
func tidy(s string, most int) string {
	if len(s) <= most && isTidy(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // an octet that is no UTF-8 comes as U+FFFD
		if b.Len() >= most {
			break
		}
		if !allowed(r) {
			r = ' '
		}
		if r == ' ' && b.Len() == 0 {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > most {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ")
}

func isTidy(s string) bool {
	if s == "" {
		return true
	}
	if s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return isTidyUnicode(s)
		}
	}
	return true
}

func isTidyUnicode(s string) bool {
	for i, r := range s {
		if !allowed(r) {
			return false
		}
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return false
		}
	}
	return true
}

// allowed reports whether a character may occur in our texts: those of XML 1.0 section 2.2,
// except controls, including C1, which it discourages, and line and paragraph separators.
func allowed(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r <= 0x9f, r == 0x2028, r == 0x2029:
		return false
	case r&0xfffe == 0xfffe: // the two noncharacters at the end of each plane
		return false
	case 0xfdd0 <= r && r <= 0xfdef:
		return false
	}
	return true
}
