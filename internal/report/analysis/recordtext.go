package analysis

import (
	"fmt"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

// recordTag is a tag of a record as written.
type recordTag struct{ name, value string }

// tagOrder is the order in which new tags are written.
var tagOrder = []string{"v", "p", "sp", "np", "t", "adkim", "aspf", "psd", "fo", "rua", "ruf"}

// maxRecordTags bounds the tags kept of a record.
const maxRecordTags = 64

// splitRecord splits any text into tags.
func splitRecord(text string) []recordTag {
	var out []recordTag
	for _, part := range strings.SplitN(text, ";", maxRecordTags+1) {
		name, value, _ := strings.Cut(part, "=")
		if name = strings.Trim(name, recordSpace); name != "" {
			out = append(out, recordTag{name: name, value: strings.Trim(value, recordSpace)})
		}
	}
	return out[:min(len(out), maxRecordTags)]
}

// recordSpace may surround a tag and its value.
const recordSpace = " \t\r\n"

// joinRecord writes tags as a record.
func joinRecord(tags []recordTag) string {
	parts := make([]string, len(tags))
	for i, t := range tags {
		parts[i] = t.name + "=" + t.value
	}
	return strings.Join(parts, "; ")
}

// known reports whether the tag has a meaning in a policy record (RFC 9989 section 4.7).
func known(name string) bool {
	for _, n := range tagOrder {
		if n == name {
			return true
		}
	}
	return false
}

// SameRecord reports whether two records mean the same: equal tags and values, regardless of
// order and white space. It ignores case in the values of tags of RFC 9989, except addresses.
func SameRecord(a, b string) bool {
	x, y := canonical(a), canonical(b)
	if len(x) != len(y) {
		return false
	}
	for name, value := range x {
		if other, ok := y[name]; !ok || other != value {
			return false
		}
	}
	return true
}

// canonical returns a record for comparison. The first of repeated tags counts.
func canonical(text string) map[string]string {
	out := map[string]string{}
	for _, t := range splitRecord(text) {
		if _, ok := out[t.name]; ok {
			continue
		}
		value := strings.Join(strings.FieldsFunc(t.value, func(r rune) bool { return strings.ContainsRune(recordSpace, r) }), "")
		if known(t.name) && t.name != "rua" && t.name != "ruf" {
			value = strings.ToLower(value)
		}
		out[t.name] = value
	}
	return out
}

// maxString is the longest string of a TXT record (RFC 1035 section 3.3.14).
const maxString = 255

// ZoneLine formats a TXT record as a line of a zone file (RFC 1035 section 5), in strings of
// at most 255 octets.
func ZoneLine(name dns.Name, text string) string {
	var b strings.Builder
	b.WriteString(name.String() + ". IN TXT")
	for first := true; first || text != ""; first = false {
		part := text[:min(len(text), maxString)]
		text = text[len(part):]
		b.WriteString(` "`)
		for i := 0; i < len(part); i++ {
			switch c := part[i]; {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	return b.String()
}

// reportURI converts an address or URI to the form of rua or ruf (RFC 9989 section 4.8: "," and
// ";" and "!" encoded).
func reportURI(address string) (string, error) {
	address = strings.TrimSpace(address)
	text := address
	if !strings.Contains(address, ":") {
		var b strings.Builder
		b.WriteString("mailto:")
		for i := 0; i < len(address); i++ {
			c := address[i]
			switch {
			case c > '~', c <= ' ', strings.IndexByte(`%!,;"<>\^{|}`+"`", c) >= 0:
				fmt.Fprintf(&b, "%%%02X", c)
			default:
				b.WriteByte(c)
			}
		}
		text = b.String()
	}
	record, err := dmarc.ParseRecord("v=DMARC1; p=none; rua=" + text)
	if err != nil || len(record.RUA) != 1 || strings.ContainsAny(text, ",;") {
		return "", fmt.Errorf("%q is neither a mail address nor a reporting URI", address)
	}
	return text, nil
}
