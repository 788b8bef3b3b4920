package notify

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/message"
)

// MaxHeaders is how much of a message's header a notification shows, in octets.
const MaxHeaders = 32 << 10

// Marker is the header field that every notification has. Its value is "message"
// or "digest".
const Marker = "X-dmarcd-Notification"

const autoSubmitted = "Auto-Submitted"

// Event is one message to notify somebody about, for the recipients of one domain. Its
// texts come from the network and may contain anything.
type Event struct {
	At         time.Time // zero for now
	To         []string  // recipients, one mail each: the addresses of dmarc.notify
	Sender     string    // MAIL FROM as local@domain; "" for the null reverse-path
	HeaderFrom string    // domain of the From field; "" if it has no single one
	Subject    string    // as the field has it, words of RFC 2047 and folds included
	MessageID  string
	QueueID    string
	Rcpts      []string // the envelope's recipients of this domain
	Headers    []byte   // the message's own header, of which at most MaxHeaders is shown; read-only
	Automatic  bool     // see SetHeader
	Rule       string   // the key that decided, such as "dmarc.actions.reject"
	Action     string   // what was done with the message: "bypass", "quarantine", "reject" ...
	Tags       string   // other actions taken, such as "tag subject, notify"
	SPF        string   // results
	DKIM       string
	DMARC      string
	ClientIP   netip.Addr // zero for a local client
	Domain     string     // the recipients' domain, for the log
}

// SetHeader fills Headers, Subject and Automatic from the header of the message.
// It copies what it keeps.
func (e *Event) SetHeader(h *message.Header) {
	size, whole := 0, 0
	for _, f := range h.Fields {
		if size+len(f.Raw) > MaxHeaders {
			break
		}
		size += len(f.Raw)
		whole++
	}
	e.Headers = make([]byte, 0, size+64)
	for _, f := range h.Fields[:whole] {
		e.Headers = append(e.Headers, f.Raw...)
	}
	left := len(h.Fields) - whole
	for _, n := range h.CutNames {
		left += n
	}
	if left > 0 {
		e.Headers = fmt.Appendf(e.Headers, "[%d more fields]\r\n", left)
	}
	e.Subject = ""
	if f, ok := h.First("Subject"); ok {
		e.Subject = string(f.Value()[:min(len(f.Value()), maxEncoded)])
	}
	e.Automatic = automatic(h)
}

// automatic reports whether a message was sent by a program on its own: a notification of
// ours, or an answer to one, among them. A field that was not kept counts as automatic.
func automatic(h *message.Header) bool {
	for _, f := range h.Fields {
		if saysAutomatic([]byte(f.Name), f.Value()) {
			return true
		}
	}
	return h.CutNames[strings.ToLower(Marker)] > 0 || h.CutNames[strings.ToLower(autoSubmitted)] > 0
}

// saysAutomatic judges one field. RFC 3834 section 5: all but "no" is automatic.
func saysAutomatic(name, value []byte) bool {
	switch {
	case len(name) == len(Marker) && strings.EqualFold(string(name), Marker):
		return true
	case len(name) != len(autoSubmitted) || !strings.EqualFold(string(name), autoSubmitted):
		return false
	}
	word := bytes.TrimSpace(value)
	if end := bytes.IndexAny(word, " \t\r\n;("); end >= 0 {
		word = word[:end]
	}
	return !strings.EqualFold(string(word), "no")
}

// automaticHeader is automatic for a header in one piece, such as that of an event
// without SetHeader.
func automaticHeader(h []byte) bool {
	for len(h) > 0 {
		end := fieldEnd(h)
		name, value, found := bytes.Cut(h[:end], []byte(":"))
		if found && saysAutomatic(bytes.TrimRight(name, " \t"), value) {
			return true
		}
		h = h[end:]
	}
	return false
}

// fieldEnd is where the first field of h ends: after a line end that no blank follows
// (RFC 5322 section 2.2.3).
func fieldEnd(h []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(h[i:], '\n')
		if n < 0 {
			return len(h)
		}
		i += n + 1
		if i == len(h) || h[i] != ' ' && h[i] != '\t' {
			return i
		}
	}
}

// nullSender reports whether the message has the null reverse-path (RFC 5321
// section 4.5.5), as bounces have.
func (e *Event) nullSender() bool { return e.Sender == "" || e.Sender == "<>" }

// bounded is the event without what its mail does not show, and without references to
// larger texts.
func (e *Event) bounded() Event {
	b := *e
	for _, s := range []*string{
		&b.Sender, &b.HeaderFrom, &b.MessageID, &b.QueueID, &b.Rule, &b.Action, &b.Tags, &b.SPF, &b.DKIM, &b.DMARC, &b.Domain,
	} {
		*s = cutCopy(*s, maxValue)
	}
	b.Subject = cutCopy(e.Subject, maxEncoded)
	b.To = nil // each mail has its own
	b.Rcpts = slices.Clone(e.Rcpts[:min(len(e.Rcpts), maxRcpts)])
	for i := range b.Rcpts {
		b.Rcpts[i] = cutCopy(b.Rcpts[i], maxValue)
	}
	if more := len(e.Rcpts) - len(b.Rcpts); more > 0 {
		b.Rcpts = append(b.Rcpts, fmt.Sprintf("and %d more", more))
	}
	if len(b.Headers) > MaxHeaders+64 {
		b.Headers = bytes.Clone(b.Headers[:MaxHeaders])
	}
	return b
}

func cutCopy(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.Clone(s[:most])
}
