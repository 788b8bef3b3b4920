package dkim

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

// maxTags bounds a tag-list. Signatures know fourteen tags (RFC 6376 section
// 3.5) and keys seven (section 3.6.1); unknown ones are ignored but counted.
const maxTags = 32

var errTooManyTags = errors.New("too many tags")

// tag is one tag-spec of a tag-list. Its slices alias the text it was read from.
type tag struct {
	name  []byte
	value []byte // without the white space around it
	// Where the value stands in the text with all the white space around it,
	// from after the "=" to before the ";".
	start, end int
}

type tagList []tag

// parseTags reads a tag-list (RFC 6376 section 3.2) and appends its tags to
// list. A name that is none or stands twice makes the whole list an error.
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

// isTagName tells whether s may name a tag. The grammar has letters, digits and
// underscores only; names outside it are no tags that matter.
func isTagName(s []byte) bool {
	for _, c := range s {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(s) > 0
}

// isSpace tells the octets of folding white space, RFC 6376 section 2.8.
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

// decodeBase64 reads a base64string of RFC 6376 section 2.10: white space may
// stand anywhere, the final padding may be missing.
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

// cutItem takes the first item off a list separated by colons, without the
// white space around it. more is false when the list was used up.
func cutItem(list []byte) (item, rest []byte, more bool) {
	item, rest, more = bytes.Cut(list, []byte(":"))
	return trim(item), rest, more
}

// hasItem tells whether want, or else the item wild, stands in a list separated by colons.
func hasItem(list []byte, want, wild string) bool {
	for more := true; more; {
		var item []byte
		if item, list, more = cutItem(list); string(item) == want || wild != "" && string(item) == wild {
			return true
		}
	}
	return false
}
