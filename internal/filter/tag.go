package filter

import (
	"bytes"
	"mime"
	"strings"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// ChangedField is a field of the message that gets another value.
type ChangedField struct {
	Name  string
	Index int    // from 1; 0 where the message has no such field and one is added
	Value string // with its leading space, without the last CRLF
}

// Failed reports whether a decision says that the message failed: what is tagged
// and notified.
func Failed(d policy.Decision) bool {
	switch d.Status {
	case dmarc.Fail, dmarc.PermError:
		return true
	case dmarc.None:
		return d.Would != policy.Bypass
	}
	return false
}

// tagSubject puts the tag of the deciding domain before the Subject of failing
// mail that is let through or quarantined.
func (t *Transaction) tagSubject(out *Outcome) {
	if out.Rules == nil || out.Rules.Mode == policy.Monitor || !Failed(out.Decision) {
		return
	}
	tag := out.Rules.DMARC.TagSubject
	if tag == "" || out.Decision.Action != policy.Bypass && out.Decision.Action != policy.Quarantine {
		return
	}
	h := &t.collector.header
	if !out.Rules.DMARC.TagSigned && (verifies(out.Verdict.DKIM) || isSealed(h)) {
		return
	}
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

// verifies reports whether a signature verified, which a tag would break. A field
// that verifies nothing has nothing to lose.
func verifies(results []dkim.Result) bool {
	for i := range results {
		if results[i].Status == dkim.Pass || results[i].Status == dkim.TempError {
			return true
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
