package intake

import (
	"bytes"
	"fmt"
	"mime"
	"regexp"
	"strings"

	"dmarcd/internal/report/analysis"
)

// fields are the unfolded fields of a header, up to a bound.
type fields []field

type field struct{ name, value string }

// get returns the first field of that name; "" if there is none.
func (f fields) get(name string) string {
	for i := range f {
		if strings.EqualFold(f[i].name, name) {
			return f[i].value
		}
	}
	return ""
}

// readHeader parses fields up to an empty line and returns what follows it. It skips lines that
// are not fields.
func readHeader(b []byte) (fields, []byte) {
	var out fields
	left := maxHeader
	for begun := false; len(b) > 0; {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(bytes.TrimSpace(line)) == 0 {
			b = rest
			if begun {
				return out, b
			}
			continue
		}
		begun = true
		b = rest
		if left -= len(line); left < 0 {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if n := len(out); n > 0 {
				out[n-1].value += " " + strings.TrimSpace(string(line))
			}
			continue
		}
		if name, value, found := bytes.Cut(line, []byte(":")); found && len(out) < maxFields {
			out = append(out, field{strings.TrimSpace(string(name)), strings.TrimSpace(string(value))})
		}
	}
	return out, nil
}

var paramRE = regexp.MustCompile(`;\s*([A-Za-z0-9*_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))`)

// mediaType parses a Content-Type or Content-Disposition leniently: the type in lower case, and
// the parameters; the first of a name counts.
func mediaType(s string) (kind string, params map[string]string) {
	const longest = 4 << 10
	s = s[:min(len(s), longest)]
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

// fileName returns the file name of a part; "" for none.
func (f fields) fileName() string {
	_, params := mediaType(f.get("Content-Disposition"))
	if name := params["filename"]; name != "" {
		return decoded(name)
	}
	_, params = mediaType(f.get("Content-Type"))
	return decoded(params["name"])
}

// mail reads a mail, either the input or an attachment.
func (r *reading) mail(b []byte, at place) error {
	if bytes.HasPrefix(b, []byte("From ")) {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	if at.mails > maxMails {
		r.capped(at, fmt.Sprintf("mails more than %d deep", maxMails))
		return nil
	}
	head, body := readHeader(b)
	if at.depth == 0 {
		r.item.From, r.item.Subject = cut(fromAddress(head.get("From"))), cut(decoded(head.get("Subject")))
		r.meant = isReportSubject(r.item.Subject)
	}
	if why := bounced(head); why != "" {
		r.set(analysis.KindBounce, why)
		return nil
	}
	return r.entity(head, body, at)
}

// bounced recognises a bounce that is not in the format of RFC 3464, by its header.
func bounced(head fields) string {
	from := strings.ToLower(fromAddress(head.get("From")))
	switch {
	case head.get("X-Failed-Recipients") != "":
		return "a bounce, by its field X-Failed-Recipients"
	case strings.HasPrefix(from, "mailer-daemon@") || from == "mailer-daemon", strings.TrimSpace(head.get("Return-Path")) == "<>" && strings.HasPrefix(from, "postmaster@"):
		return "a bounce, by its sender"
	}
	return ""
}

// fromAddress returns the address of a From field, as far as possible.
func fromAddress(s string) string {
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		s, _, _ = strings.Cut(s[i+1:], ">")
	}
	return strings.TrimSpace(s)
}

// reportKinds are the kinds of a multipart/report or a part of one that is no aggregate report
// (RFC 6522, RFC 3464, RFC 5965, RFC 8460, RFC 8098).
var reportKinds = map[string]analysis.Kind{
	"delivery-status": analysis.KindBounce, "feedback-report": analysis.KindFailure, "tlsrpt": analysis.KindTLS, "disposition-notification": analysis.KindOther,
	"message/delivery-status": analysis.KindBounce, "message/global-delivery-status": analysis.KindBounce, "message/feedback-report": analysis.KindFailure,
	"message/disposition-notification": analysis.KindOther,
}

var kindTexts = map[analysis.Kind]string{
	analysis.KindBounce: "a bounce", analysis.KindFailure: "a failure report", analysis.KindTLS: "a TLS report", analysis.KindOther: "a receipt",
}

// entity reads a mail or a part of one.
func (r *reading) entity(head fields, body []byte, at place) error {
	if r.parts++; r.parts > maxParts {
		if r.parts == maxParts+1 {
			r.capped(at, fmt.Sprintf("a mail of over %d parts", maxParts))
		}
		return nil
	}
	if at.depth > maxDepth {
		r.capped(at, fmt.Sprintf("parts more than %d deep", maxDepth))
		return nil
	}
	kind, params := mediaType(head.get("Content-Type"))
	if name := head.fileName(); name != "" {
		at.name = name
	}
	if other, known := reportKinds[kind]; known {
		r.set(other, kindTexts[other])
		return nil
	}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		if other, known := reportKinds[strings.ToLower(params["report-type"])]; known && kind == "multipart/report" {
			r.set(other, kindTexts[other])
			if other != analysis.KindTLS {
				return nil
			}
		}
		if parts, err := r.multipart(body, params["boundary"], at); parts || err != nil {
			return err
		}
		if parts, err := r.multipart(body, guessBoundary(body), at); parts || err != nil {
			r.note("the boundary of the parts is not the one that the header tells")
			return err
		}
	case kind == "message/rfc822", kind == "message/global":
		at.depth++
		at.mails++
		if err := r.rest(); err != nil {
			return err
		}
		return r.mail(decodeBody(head, body, r.note), at)
	}
	at.text = kind == "" || strings.HasPrefix(kind, "text/")
	return r.attachment(head, body, at)
}

// multipart reads the parts of a body; parts is false if it has none.
func (r *reading) multipart(body []byte, boundary string, at place) (parts bool, err error) {
	at.depth++
	at.name = ""
	for part := range splitParts(body, boundary) {
		parts = true
		head, content := readHeader(part)
		if len(part) > 0 && (part[0] == '\r' || part[0] == '\n') { // a part without a header
			head, content = nil, part
		}
		if err := r.entity(head, content, at); err != nil {
			return parts, err
		}
		if r.parts > maxParts {
			break
		}
	}
	return parts, nil
}

// guessBoundary returns the apparent boundary of a body: that of its first line that begins with
// "--"; "" for none.
func guessBoundary(body []byte) string {
	const far, longest = 4 << 10, 70 // RFC 2046 section 5.1.1
	for line := range bytes.Lines(body[:min(len(body), far)]) {
		if rest, found := bytes.CutPrefix(line, []byte("--")); found {
			if rest = bytes.TrimSpace(rest); len(rest) > 0 && len(rest) <= longest {
				return string(rest)
			}
		}
	}
	return ""
}

// splitParts returns the parts of a multipart body (RFC 2046 section 5.1.1); if the end
// delimiter is missing, the body ends the last part.
func splitParts(body []byte, boundary string) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		if boundary == "" {
			return
		}
		mark := []byte("--" + boundary)
		start := -1
		for pos := 0; pos < len(body); {
			end := len(body)
			if i := bytes.IndexByte(body[pos:], '\n'); i >= 0 {
				end = pos + i + 1
			}
			rest, found := bytes.CutPrefix(body[pos:end], mark)
			if rest = bytes.TrimSpace(rest); found && (len(rest) == 0 || string(rest) == "--") {
				if start >= 0 && !yield(body[start:pos]) {
					return
				}
				if start = end; len(rest) > 0 {
					return
				}
			}
			pos = end
		}
		if start >= 0 {
			yield(body[start:])
		}
	}
}

// attachment reads a part without parts, in the encoding of its header, otherwise in that of its
// octets.
func (r *reading) attachment(head fields, body []byte, at place) error {
	content := decodeBody(head, body, r.note)
	if sniff(content) == unknownContent {
		switch raw := sniff(body); {
		case raw == xmlContent || raw == gzipContent || raw == zipContent:
			r.note("a part is not encoded as its header says")
			content = body
		case hiddenRE.Match(body):
			r.note("a part is base64, which its header does not say")
			content, _ = decodeBase64(body)
		}
	}
	if kind := sniff(content); at.text && (kind == mailContent || kind == mboxContent) {
		r.other(unknownContent, content[:min(len(content), sniffed)], at)
		return nil
	}
	return r.leaf(content, at)
}

// decodeBody decodes the transfer encoding as far as possible. It ignores the blanks and folds
// that some mails have in the field's value.
func decodeBody(head fields, body []byte, note func(string)) []byte {
	encoding := strings.ToLower(strings.Join(strings.Fields(head.get("Content-Transfer-Encoding")), ""))
	switch strings.Trim(encoding, `";`) {
	case "base64", "base-64":
		out, odd := decodeBase64(body)
		if odd {
			note("something stands within or behind the base64 of a part")
		}
		return out
	case "quoted-printable":
		return decodeQuoted(body)
	}
	return body
}
