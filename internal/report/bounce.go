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

// ErrNotBounce is returned for a mail that is not a delivery status notification.
var ErrNotBounce = errors.New("report: not a delivery status notification")

// Limits of parsing a bounce. The returned mail may be long; the part beyond maxBounce is not
// needed.
const (
	maxBounce           = 256 << 10
	maxBounceDepth      = 5
	maxBounceParts      = 50
	maxBounceRecipients = 100
)

// Bounce is the content of a delivery status notification (RFC 3464). Anyone can send one:
// match it with sent mail before acting on it.
type Bounce struct {
	ReportingMTA string // "" if not stated
	MessageID    string // of the returned mail, without angle brackets; "" if not stated
	Subject      string // of the returned mail; "" if not stated
	Recipients   []BounceRecipient
}

// BounceRecipient is the outcome of the mail for one recipient.
type BounceRecipient struct {
	Original   string // the original recipient address; "" if not stated
	Final      string // the address of the delivery attempt; "" if not stated
	Action     string // failed, delayed, delivered, relayed or expanded, in lower case
	Status     string // such as "5.1.1"; "" if not stated
	Diagnostic string // the reply of the remote MTA; "" if not stated
	RemoteMTA  string // "" if not stated
}

// Failed reports whether delivery was given up, which alone counts against an address:
// Action failed (RFC 3464 section 2.3.3) with a Status of class 5 or, if an MTA tried for as
// long as it keeps mail, of class 4 (RFC 3463 section 2).
func (r *BounceRecipient) Failed() bool {
	return r.Action == "failed" && (strings.HasPrefix(r.Status, "5.") || strings.HasPrefix(r.Status, "4."))
}

// ParseBounce parses a whole mail, or the first 256 KiB of it. A mail without recipients in a
// delivery status returns ErrNotBounce; other errors are those of r.
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

// entity parses a mail or a part: a header, an empty line and a body.
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

// returned parses the returned mail, unless it is a bounce forwarded as an attachment.
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

// status parses the field groups of RFC 3464 section 2.1: one for the message, then one for
// each recipient.
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

// afterType returns the value after "rfc822;" or the like (RFC 3464 section 2.1.2).
func afterType(s string, most int) string {
	if kind, value, found := strings.Cut(s, ";"); found && !strings.ContainsAny(kind, " @") {
		s = value
	}
	return tidy(strings.Join(strings.Fields(s), " "), most)
}

// mailbox returns the address of a recipient field, without the angle brackets that some MTAs
// add.
func mailbox(s string) string { return tidy(strings.Trim(afterType(s, maxContact), "<> "), maxContact) }

// fields are header fields, unfolded.
type fields []struct{ name, value string }

// get returns the first field of that name, cut; "" if there is none.
func (f fields) get(name string) string {
	for i := range f {
		if strings.EqualFold(f[i].name, name) {
			return strings.TrimSpace(f[i].value[:min(len(f[i].value), longestField)])
		}
	}
	return ""
}

// readFields parses lines up to an empty one and returns the text after it. It skips empty
// lines at the beginning, and lines that are not fields.
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

// splitParts returns the parts of a multipart body (RFC 2046 section 5.1.1); if the end
// delimiter is missing, the body ends the last part.
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

// decodeBody decodes the transfer encoding as far as possible.
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
	out, _ := io.ReadAll(r) // the data before an error is useful
	return out
}
