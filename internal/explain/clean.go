package explain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How much is shown of one text that others wrote, in octets. More than this
// explains nothing.
const (
	maxShort  = 300  // names, identifiers
	maxField  = 1000 // header fields, errors, results of other hosts
	maxRecord = 2000 // DNS records
	maxList   = 100  // members of a list
)

// clean is s fit to be shown: printable, "?" for each character that is not, and
// not longer than most octets. Neither control characters nor those that reorder
// or hide text are printable.
func clean(s string, most int) string {
	cut := 0
	if len(s) > most {
		keep := most
		for keep > 0 && !utf8.RuneStart(s[keep]) {
			keep--
		}
		cut, s = len(s)-keep, s[:keep]
	}
	if !printable(s) {
		var b strings.Builder
		for _, c := range s {
			if c == utf8.RuneError || !unicode.IsPrint(c) {
				c = '?'
			}
			b.WriteRune(c)
		}
		s = b.String()
	}
	if cut > 0 {
		s += fmt.Sprintf("... (%d octets more)", cut)
	}
	return s
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cleanAll is clean for a list, never nil, of which the first maxList are shown.
func cleanAll(list []string, most int) []string {
	out := make([]string, 0, min(len(list), maxList+1))
	for i, s := range list {
		if i == maxList {
			return append(out, fmt.Sprintf("... (%d more)", len(list)-i))
		}
		out = append(out, clean(s, most))
	}
	return out
}

// quoted is a text of others between quotes.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for _, prefix := range []string{"spf: ", "dkim: ", "dmarc: ", "arc: ", "message: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return clean(text, maxField)
}

// listed joins names for a sentence: "a", "a and b", "a, b and c", and the number
// of those that would be too many.
func listed(names []string) string {
	const most = 4
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return names[0]
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most-1], ", "), n-most+1)
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// word is a word of a closed list, as far as the record keeps to it.
func word[T ~string](w T) string { return clean(string(w), maxShort) }
