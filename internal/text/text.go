// Package text makes foreign text safe, once, where it leaves the program: on a terminal,
// in a line of the log, an SMTP reply, XML, HTML or a cell of CSV. Until then, code
// handles the text as received.
//
// A character is unsafe if it can end a line, control a terminal, reorder or hide its
// neighbours, or has no meaning: control characters (C0, DEL, C1), line and paragraph
// separators, bidirectional controls (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to
// U+2069), other invisible format characters, private and unassigned code points, and
// octets that are not UTF-8. The marks U+061C, U+200E and U+200F cannot reverse a line,
// but they are invisible, so that two names that look the same could differ.
//
// The caller of a function gives the maximum length of its result in octets. The functions
// are stateless and safe for concurrent use.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	mark     = '?' // replaces an unsafe character
	ellipsis = "…" // follows truncated text
)

// IsSafe reports whether a character can be shown: it has its own shape and does not
// affect its neighbours. The space is the only safe white space.
func IsSafe(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }

// Line returns s as one line for a terminal, a table or a text mail. White space becomes a
// space, any other unsafe character "?". A longer text is cut to most octets, followed by
// "…".
func Line(s string, most int) string {
	if len(s) <= most && isASCII(s) {
		return s
	}
	return rewrite(s, most, func(r rune) rune {
		switch {
		case IsSafe(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return mark
	})
}

// Lines is Line for text of several lines: line feeds stay, and CR LF becomes a line feed.
func Lines(s string, most int) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return rewrite(s, most, func(r rune) rune {
		switch {
		case IsSafe(r), r == '\n':
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return mark
	})
}

// ASCII returns s in printable ASCII, for an SMTP reply or a header field: CR, LF and tab
// become a space, any other unprintable octet "?". A longer text is cut to most octets
// without a mark.
func ASCII(s string, most int) string {
	s = s[:min(len(s), most)]
	if isASCII(s) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case c == '\n', c == '\r', c == '\t':
			b[i] = ' '
		case c < ' ', c > '~':
			b[i] = mark
		}
	}
	return string(b)
}

// Cut returns the first most octets of s, whole characters, followed by "…" if that is not
// all. It makes nothing safe: it bounds text on its way to a writer that does.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + ellipsis
}

// rewrite maps each character with to, which never returns an invalid one.
func rewrite(s string, most int, to func(rune) rune) string {
	var b strings.Builder
	b.Grow(min(len(s), most) + len(ellipsis))
	for _, r := range s { // an octet that is no UTF-8 comes as U+FFFD
		r = to(r)
		if b.Len()+utf8.RuneLen(r) > most {
			b.WriteString(ellipsis)
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isASCII reports whether s is printable ASCII.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
