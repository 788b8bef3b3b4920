package filter

import (
	"bytes"
	"mime"
	"strings"

	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// ChangedField is a field of the message that gets another value.
type ChangedField struct {
	Name  string
	Index int    // from 1; 0 where the message has no such field and one is added
	Value string // with its leading space, without the last CRLF
}

// tagSubject puts a tag before the Subject.
func (t *Transaction) tagSubject(out *Outcome, tag string) {
	if tag == "" {
		return
	}
	h := &t.collector.header
	encoded := encodeTag(tag)
	f, ok := h.First("Subject")
	if !ok && h.Cut {
		return // it may stand among the fields that were not kept
	}
	if !ok {
		out.Change = append(out.Change, ChangedField{Name: "Subject", Value: " " + encoded})
		return
	}
	old := bytes.TrimRight(f.Value(), "\r\n")
	text := bytes.TrimLeft(old, " \t\r\n")
	if bytes.HasPrefix(text, []byte(encoded)) {
		return
	}
	out.Change = append(out.Change, ChangedField{Name: "Subject", Index: 1, Value: " " + encoded + " " + string(text)})
}

// encodeTag is the tag as it stands in a header (RFC 2047). Blanks between two
// encoded words do not show, so that an encoded tag brings its own at its end.
func encodeTag(tag string) string {
	if isASCII(tag) {
		return tag
	}
	return mime.BEncoding.Encode("UTF-8", tag+" ")
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// sealed is isSealed, asked only where the answer bears on a tag.
func (t *Transaction) sealed(rules []*policy.Rules) bool {
	for _, r := range rules {
		if r.DMARC.TagSubject != "" {
			return isSealed(&t.collector.header)
		}
	}
	return false
}

// isSealed reports whether the sender signed the message for its reader: S/MIME
// (RFC 8551) or PGP/MIME (RFC 3156).
func isSealed(h *message.Header) bool {
	f, ok := h.First("Content-Type")
	if !ok {
		return false
	}
	kind, params, _ := strings.Cut(strings.ToLower(strings.TrimSpace(string(f.Value()))), ";")
	switch strings.TrimSpace(kind) {
	case "multipart/signed":
		return true
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return strings.Contains(params, "signed-data")
	}
	return false
}
