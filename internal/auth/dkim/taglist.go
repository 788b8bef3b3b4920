package dkim

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

// maxTags bounds a tag-list. Fourteen tags are defined for signatures (RFC 6376
// section 3.5) and seven for keys (section 3.6.1); unknown ones are ignored but
// counted.
const maxTags = 32

var errTooManyTags = errors.New("too many tags")

// tag is one tag-spec of a tag-list. Its slices alias the parsed text.
type tag struct {
	name  []byte
	value []byte // without the white space around it
	// Position of the value in the text with all white space around it, from after the
	// "=" to before the ";".
	start, end int
}

type tagList []tag

// parseTags parses a tag-list (RFC 6376 section 3.2) and appends its tags to list.
// An invalid or repeated name makes the whole list an error.
func parseTags(list tagList, text []byte) (tagList, error) {
	for at := 0; at < len(text); {
		end := len(text)
		if i := bytes.IndexByte(text[at:], ';'); i >= 0 {
			end = at + i
		}
		spec := text[at:end]
		if eq := bytes.IndexByte(spec, '='); eq >= 0 {
			t := tag{name: trim(spec[:eq]), value: trim(spec[eq+1:]), start: at + eq + 1, end: end}
			switch _, twice := list.get(string(t.name)); {
			case !isTagName(t.name):
				return nil, fmt.Errorf("tag name %q", quoted(t.name))
			case twice:
				return nil, fmt.Errorf("tag %q twice", quoted(t.name))
			case len(list) == maxTags:
				return nil, errTooManyTags
			}
			list = append(list, t)
		} else if len(trim(spec)) > 0 {
			return nil, fmt.Errorf("%q is no tag", quoted(spec))
		}
		at = end + 1
	}
	return list, nil
}

// get finds a tag; names are case-sensitive (RFC 6376 section 3.2).
func (l tagList) get(name string) (tag, bool) {
	for i := range l {
		if string(l[i].name) == name {
			return l[i], true
		}
	}
	return tag{}, false
}

// isTagName reports whether s may name a tag. The grammar allows only letters,
// digits and underscores; no known tag has other characters.
func isTagName(s []byte) bool {
	for _, c := range s {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(s) > 0
}

// isSpace reports whether c belongs to folding white space (RFC 6376 section 2.8).
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trim removes folding white space at both ends.
func trim(s []byte) []byte {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// squeeze appends s to dst without its folding white space.
func squeeze(dst, s []byte) []byte {
	for _, c := range s {
		if !isSpace(c) {
			dst = append(dst, c)
		}
	}
	return dst
}

// decodeBase64 decodes a base64string of RFC 6376 section 2.10: white space may occur
// anywhere, the final padding may be missing.
func decodeBase64(s []byte) ([]byte, error) {
	var stack [1024]byte
	clean := squeeze(stack[:0], s)
	for range 2 {
		clean = bytes.TrimSuffix(clean, []byte("="))
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, err := base64.RawStdEncoding.Decode(out, clean)
	return out[:n], err
}

// cutItem removes the first item of a colon-separated list and trims its white
// space. more is false for the last item.
func cutItem(list []byte) (item, rest []byte, more bool) {
	item, rest, more = bytes.Cut(list, []byte(":"))
	return trim(item), rest, more
}

// hasItem reports whether a colon-separated list contains want or wild.
func hasItem(list []byte, want, wild string) bool {
	for more := true; more; {
		var item []byte
		if item, list, more = cutItem(list); string(item) == want || wild != "" && string(item) == wild {
			return true
		}
	}
	return false
}
