// Package text makes text that others wrote safe, once, at the place where it
// leaves the program: a terminal, a line of the log, an SMTP reply, XML, HTML, a
// cell of CSV. Everything before that place handles text as it came.
//
// A character is unsafe where it can end a line, steer a terminal, reorder or hide
// what stands beside it, or stand for nothing: control characters (C0, DEL, C1),
// line and paragraph separators, bidirectional controls (U+061C, U+200E, U+200F,
// U+202A to U+202E, U+2066 to U+2069), other invisible format characters, private
// and unassigned code points, and octets that are not UTF-8. The marks U+061C,
// U+200E and U+200F cannot turn a line round, but they are invisible, so that two
// names which look the same would differ.
//
// The caller of a function gives the greatest length in octets of what comes back.
// The functions keep no state and may be called from several goroutines.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	mark     = '?' // stands for an unsafe character
	ellipsis = "…" // follows text that was cut
)

// IsSafe reports whether a character can be shown: it has a shape of its own and no
// effect on its neighbours. The space is the only safe white space.
func IsSafe(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }

// Line is s as one line for a terminal, a table or a text mail. White space becomes
// a space, each other unsafe character "?". Of a longer text the first most octets
// stay, and "…" follows.
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

// Lines is Line for text of several lines: line feeds stay, and CR LF becomes a
// line feed.
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

// ASCII is s in printable ASCII, for an SMTP reply or a header field: CR, LF and tab
// become a space, each other octet that is not printable becomes "?". Of a longer
// text the first most octets stay, without a sign that it was cut.
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

// Cut is the first most octets of s, whole characters, followed by "…" where that is
// not all of it. It makes nothing safe: it bounds text on its way to a writer that
// does.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + ellipsis
}

// rewrite puts each character through to, which never returns an invalid one.
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
