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

// maxTagged bounds the Subject fields that are tagged. RFC 5322 section 3.6 allows one.
// Which of several a reader shows is not known, so each is tagged.
const maxTagged = 10

// maxSubject is the maximal length of a tagged Subject: a milter cannot write a longer
// field. A Subject that would be longer is not tagged; the decision is the same.
const maxSubject = 60_000

// tagSubject puts a tag before every Subject that does not have it.
func (t *Transaction) tagSubject(out *Result, tag string) {
	if tag == "" {
		return
	}
	h := &t.collector.header
	index := 0
	for i := range h.Fields {
		if !h.Fields[i].Is("Subject") {
			continue
		}
		if index++; index > maxTagged {
			return
		}
		old := strings.TrimLeft(string(bytes.TrimRight(h.Fields[i].Value(), "\r\n")), " \t\r\n")
		if bearsTag(old, tag) {
			continue
		}
		if value := strings.TrimRight(" "+encodeTag(tag, old)+" "+old, " "); len(value) <= maxSubject {
			out.Change = append(out.Change, ChangedField{Name: "Subject", Index: index, Value: value})
		}
	}
	if index == 0 && !h.Cut { // else it may be among the fields that were not kept
		out.Change = append(out.Change, ChangedField{Name: "Subject", Value: " " + encodeTag(tag, "")})
	}
}

// bearsTag reports whether a Subject begins with the tag, raw or with its encoded words
// decoded.
func bearsTag(subject, tag string) bool {
	if strings.HasPrefix(subject, tag) {
		return true
	}
	read, err := new(mime.WordDecoder).DecodeHeader(strings.NewReplacer("\r", "", "\n", "").Replace(subject))
	return err == nil && strings.HasPrefix(strings.TrimLeft(read, " \t"), tag)
}

// encodeTag encodes the tag for a header (RFC 2047), before a Subject. Blanks between two
// encoded words are not displayed, so an encoded tag before such a word ends in a blank
// of its own.
func encodeTag(tag, subject string) string {
	if isASCII(tag) {
		return tag
	}
	if strings.HasPrefix(subject, "=?") {
		tag += " "
	}
	return mime.BEncoding.Encode("UTF-8", tag)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// sealed is isSealed, called only where its result can affect a tag.
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
