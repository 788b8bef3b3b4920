package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"regexp"
	"strings"
)

// ErrNotBounce is returned for a mail that is no delivery status notification.
var ErrNotBounce = errors.New("report: not a delivery status notification")

// Limits of reading a bounce. The returned mail may be long; what is beyond
// maxBounce is not needed.
const (
	maxBounce           = 256 << 10
	maxBounceDepth      = 5
	maxBounceParts      = 50
	maxBounceRecipients = 100
)

// Bounce is what a delivery status notification says (RFC 3464). Anyone can send
// one: match it with what was sent before acting on it.
type Bounce struct {
	ReportingMTA string // "" if not told
	MessageID    string // of the mail returned, without angle brackets; "" if not told
	Subject      string // of the mail returned; "" if not told
	Recipients   []BounceRecipient
}

// BounceRecipient is what became of the mail for one recipient.
type BounceRecipient struct {
	Original   string // the address as it was sent to; "" if not told
	Final      string // the address that delivery was tried to; "" if not told
	Action     string // failed, delayed, delivered, relayed or expanded, in lower case
	Status     string // such as "5.1.1"; "" if not told
	Diagnostic string // what the remote MTA said; "" if not told
	RemoteMTA  string // "" if not told
}

// Failed tells that the mail was given up, which alone counts against an address:
// Action failed (RFC 3464 section 2.3.3) with a Status of class 5 or, where an MTA
// tried in vain for as long as it keeps mail, of class 4 (RFC 3463 section 2).
func (r *BounceRecipient) Failed() bool {
	return r.Action == "failed" && (strings.HasPrefix(r.Status, "5.") || strings.HasPrefix(r.Status, "4."))
}

// ParseBounce reads a whole mail, or the first 256 KiB of it. A mail that tells
// of no recipient gives ErrNotBounce; other errors are those of r.
func ParseBounce(r io.Reader) (Bounce, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxBounce))
	if err != nil {
		return Bounce{}, fmt.Errorf("report: reading a bounce: %w", err)
	}
	var b bounceReader
	b.entity(raw, 0)
	if len(b.Recipients) == 0 {
		return Bounce{}, ErrNotBounce
	}
	return b.Bounce, nil
}

type bounceReader struct {
	Bounce
	parts int
}

// entity reads a mail or a part: a header, an empty line and what follows.
func (b *bounceReader) entity(raw []byte, depth int) {
	if b.parts++; b.parts > maxBounceParts || depth > maxBounceDepth {
		return
	}
	head, body := readFields(raw)
	kind, params := mediaType(head.get("Content-Type"))
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		for _, part := range splitParts(body, params["boundary"]) {
			b.entity(part, depth+1)
		}
	case kind == "message/delivery-status", kind == "message/global-delivery-status":
		b.status(decodeBody(head, body))
	case kind == "message/rfc822", kind == "message/global", kind == "text/rfc822-headers", kind == "message/rfc822-headers", kind == "message/global-headers":
		b.returned(decodeBody(head, body), depth)
	}
}

// returned reads the mail that came back, unless it is a bounce that was
// forwarded as an attachment.
func (b *bounceReader) returned(raw []byte, depth int) {
	head, _ := readFields(raw)
	if kind, _ := mediaType(head.get("Content-Type")); kind == "multipart/report" && len(b.Recipients) == 0 {
		b.entity(raw, depth+1)
		return
	}
	if b.MessageID == "" {
		b.MessageID = tidy(strings.Trim(head.get("Message-ID"), " <>"), maxContact)
	}
	if b.Subject == "" {
		b.Subject = tidy(decoded(head.get("Subject")), maxComment)
	}
}

var statusRE = regexp.MustCompile(`\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// status reads the groups of fields of RFC 3464 section 2.1: one on the message,
// then one for each recipient.
func (b *bounceReader) status(raw []byte) {
	for len(raw) > 0 && len(b.Recipients) < maxBounceRecipients {
		var group fields
		group, raw = readFields(raw)
		if mta := group.get("Reporting-MTA"); mta != "" && b.ReportingMTA == "" {
			b.ReportingMTA = afterType(mta, maxName)
		}
		r := BounceRecipient{
			Original:   mailbox(group.get("Original-Recipient")),
			Final:      mailbox(group.get("Final-Recipient")),
			Status:     statusRE.FindString(group.get("Status")),
			Diagnostic: afterType(group.get("Diagnostic-Code"), maxComment),
			RemoteMTA:  afterType(group.get("Remote-MTA"), maxName),
		}
		if words := strings.Fields(strings.ToLower(group.get("Action"))); len(words) > 0 {
			r.Action = tidy(words[0], maxName)
		}
		if r.Original != "" || r.Final != "" {
			b.Recipients = append(b.Recipients, r)
		}
	}
}

// afterType is the value behind "rfc822;" or the like (RFC 3464 section 2.1.2).
func afterType(s string, most int) string {
	if kind, value, found := strings.Cut(s, ";"); found && !strings.ContainsAny(kind, " @") {
		s = value
	}
	return tidy(strings.Join(strings.Fields(s), " "), most)
}

// mailbox is the address of a recipient field, without the angle brackets that
// some MTAs put around it.
func mailbox(s string) string { return tidy(strings.Trim(afterType(s, maxContact), "<> "), maxContact) }

// fields are header fields, unfolded.
type fields []struct{ name, value string }

// get is the first field of that name, cut; "" where there is none.
func (f fields) get(name string) string {
	for i := range f {
		if strings.EqualFold(f[i].name, name) {
			return strings.TrimSpace(f[i].value[:min(len(f[i].value), longestField)])
		}
	}
	return ""
}

// readFields reads lines up to an empty one and returns what follows it. Empty
// lines at the beginning are passed over, and so are lines that are no fields.
func readFields(raw []byte) (fields, []byte) {
	const most = 500
	var out fields
	begun := false
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		raw = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(bytes.TrimSpace(line)) == 0 {
			if begun {
				break
			}
			continue
		}
		begun = true
		if line[0] == ' ' || line[0] == '\t' {
			if n := len(out); n > 0 && len(out[n-1].value) < longestField {
				out[n-1].value += string(line)
			}
			continue
		}
		if name, value, found := bytes.Cut(line, []byte(":")); found && len(out) < most {
			out = append(out, struct{ name, value string }{strings.TrimSpace(string(name)), string(value)})
		}
	}
	return out, raw
}

// splitParts are the parts of a multipart body (RFC 2046 section 5.1.1); an end
// that is missing is taken for the end of the body.
func splitParts(body []byte, boundary string) [][]byte {
	if boundary == "" {
		return nil
	}
	mark := []byte("--" + boundary)
	var parts [][]byte
	start := -1
	for pos := 0; pos < len(body); {
		end := len(body)
		if i := bytes.IndexByte(body[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		if rest, found := bytes.CutPrefix(body[pos:end], mark); found {
			rest = bytes.TrimSpace(rest)
			if len(rest) == 0 || string(rest) == "--" {
				if start >= 0 {
					parts = append(parts, body[start:pos])
				}
				if start = end; len(rest) > 0 || len(parts) == maxBounceParts {
					return parts
				}
			}
		}
		pos = end
	}
	if start >= 0 {
		parts = append(parts, body[start:])
	}
	return parts
}

// decodeBody undoes the transfer encoding as far as it can be undone.
func decodeBody(head fields, body []byte) []byte {
	var r io.Reader
	switch strings.ToLower(head.get("Content-Transfer-Encoding")) {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body))
	case "quoted-printable":
		r = quotedprintable.NewReader(bytes.NewReader(body))
	default:
		return body
	}
	out, _ := io.ReadAll(r) // what came before an error is of use
	return out
}
