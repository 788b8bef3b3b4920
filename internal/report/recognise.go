package report

import (
	"mime"
	"regexp"
	"strings"

	"dmarcd/internal/message"
)

// longestField bounds how much of a field is examined.
const longestField = 2 << 10

// subjectRE matches the Subject of RFC 9990 section 3.5.2, in any case, with the additions of
// some reporters.
var subjectRE = regexp.MustCompile(`(?i)\breport\s+domain:\s*\S+.*\bsubmitter:\s*\S`)

// IsReportMail reports whether a header announces a DMARC report: an aggregate report by its
// Subject, or a failure report by its Content-Type (RFC 5965 section 2). Anyone can write such
// a header: use it to avoid reports on reports, never to trust a mail.
func IsReportMail(h *message.Header) bool {
	for _, f := range h.Fields {
		if f.Is("Subject") && subjectRE.MatchString(decoded(fieldText(f))) {
			return true
		}
	}
	return reportType(h) == "feedback-report"
}

// IsAutomatic reports whether a program wrote the mail, in response to another or
// unprompted: a bounce, a receipt, an auto-reply (RFC 3834 section 5), or mail from the null
// reverse-path.
func IsAutomatic(h *message.Header) bool {
	for _, f := range h.Fields {
		text := strings.ToLower(fieldText(f))
		switch {
		case f.Is("Auto-Submitted"):
			if word, _, _ := strings.Cut(text, ";"); strings.TrimSpace(word) != "no" {
				return true
			}
		case f.Is("Return-Path") && text == "<>", f.Is("X-Autoreply"), f.Is("X-Autorespond"),
			f.Is("Precedence") && (text == "auto_reply" || text == "auto-reply"):
			return true
		}
	}
	return reportType(h) != ""
}

// reportType returns the report-type of a multipart/report in lower case (RFC 6522 section
// 3), "?" if it has none, and "" for other mail.
func reportType(h *message.Header) string {
	for _, f := range h.Fields {
		if !f.Is("Content-Type") {
			continue
		}
		kind, params := mediaType(fieldText(f))
		if kind != "multipart/report" {
			continue
		}
		if t := strings.ToLower(params["report-type"]); t != "" {
			return t
		}
		return "?"
	}
	return ""
}

// fieldText returns the value of a field on one line, cut.
func fieldText(f message.Field) string {
	v := f.Value()
	return strings.TrimSpace(unfold(string(v[:min(len(v), longestField)])))
}

// decoded decodes encoded words (RFC 2047); malformed ones stay unchanged.
func decoded(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	var d mime.WordDecoder
	if out, err := d.DecodeHeader(s); err == nil {
		return out
	}
	return s
}

var paramRE = regexp.MustCompile(`;\s*([A-Za-z0-9*_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))`)

// mediaType parses a Content-Type leniently: the type in lower case, and the parameters; the
// first of a name counts.
func mediaType(s string) (kind string, params map[string]string) {
	kind, _, _ = strings.Cut(s, ";")
	kind, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(kind)), " ")
	params = make(map[string]string)
	for _, m := range paramRE.FindAllStringSubmatch(s, 20) {
		name, value := strings.ToLower(m[1]), m[3]
		if value == "" {
			value = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(m[2])
		}
		if _, known := params[name]; !known {
			params[name] = value
		}
	}
	return kind, params
}
