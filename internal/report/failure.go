package report

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/text"
)

// Mechanism is an authentication mechanism that DMARC uses (RFC 9991 section 4,
// dmarc-method).
type Mechanism string

// The mechanisms.
const (
	MechanismDKIM Mechanism = "dkim"
	MechanismSPF  Mechanism = "spf"
)

// Delivery is the delivery result of the mail in a failure report (RFC 6591 section 3.2.2).
type Delivery string

// The deliveries.
const (
	DeliveryDelivered Delivery = "delivered"
	DeliverySpam      Delivery = "spam"
	DeliveryPolicy    Delivery = "policy"
	DeliveryReject    Delivery = "reject"
)

// Failure is a failure report on one message, or on several with the same failure (RFC 9991).
// It has a redacted header, and no body.
type Failure struct {
	From      string // address
	FromName  string // display name; "" for none
	To        string // address
	MessageID string // without angle brackets
	Date      time.Time

	UserAgent             string   // name and version of our software
	AuthenticationResults string   // the value of the field that we added to the mail
	ReportedDomain        dns.Name // the Author Domain
	// Failed are the mechanisms without an aligned pass; an empty list is written as "none". The
	// field's name, Identity-Alignment, suggests the opposite.
	Failed []Mechanism

	MailFrom   string     // address of MAIL FROM; "" for the null reverse-path
	SourceIP   netip.Addr // zero if not stated
	SourcePort uint16     // 0 if not stated
	Arrival    time.Time  // zero if not stated
	Delivery   Delivery   // "" if not stated
	EnvelopeID string     // our name for the mail; "" if not stated
	Incidents  int        // messages that this represents; not written below 2

	DKIM *DKIMFailure // required if a signature of an aligned domain failed
	SPF  []SPFRecord  // required if SPF of an aligned domain failed: the records used

	Header *message.Header // of the mail; nil to omit it
}

// DKIMFailure describes the failed signature (RFC 6591 section 3.2.3).
type DKIMFailure struct {
	Domain   dns.Name // d=
	Identity string   // i=, such as "@example.com"; "" is written as the domain's
	Selector string   // s=
}

// SPFRecord is a record that SPF used (RFC 6591 section 3.2.6).
type SPFRecord struct {
	Domain dns.Name
	Record string
}

// Bytes returns the whole mail: multipart/report (RFC 6522) of a text, the feedback and the
// header, 7-bit, lines of CRLF. Every address of the reported mail passes through r.
func (f *Failure) Bytes(r Redactor) ([]byte, error) {
	h := head{
		from: f.From, fromName: f.FromName, to: f.To, messageID: f.MessageID, date: f.Date,
		subject: "DMARC failure report for " + hostText(f.ReportedDomain),
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	if f.ReportedDomain.IsZero() || oneLine(f.UserAgent) == "" || oneLine(f.AuthenticationResults) == "" {
		return nil, fmt.Errorf("%w: no reported domain, user agent or authentication results", ErrBadMail)
	}
	boundary := boundaryOf(f.MessageID)
	b := h.append(nil)
	b = append(b, "Content-Type: multipart/report; report-type=feedback-report;\r\n boundary=\""+boundary+"\"\r\n\r\n"...)
	b = append(b, "This is a mail in parts (MIME), a report of RFC 6591.\r\n"...)
	b = append(b, "\r\n--"+boundary+"\r\n"...)
	b = appendText(b, f.text())
	b = append(b, "\r\n--"+boundary+"\r\nContent-Type: message/feedback-report\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"...)
	b = f.feedback(b, r)
	b = append(b, "\r\n--"+boundary+"\r\nContent-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"...)
	if f.Header != nil {
		b = append(b, r.Header(f.Header)...)
	}
	return append(b, "\r\n--"+boundary+"--\r\n"...), nil
}

func (f *Failure) text() string {
	var b strings.Builder
	b.WriteString("This is a DMARC failure report (RFC 9991) on ")
	if f.Incidents > 1 {
		fmt.Fprintf(&b, "%d messages that failed alike.\nIt shows one of them.\n\n", f.Incidents)
	} else {
		b.WriteString("one message.\n\n")
	}
	fmt.Fprintf(&b, "  Author domain: %s\n", hostText(f.ReportedDomain))
	if f.SourceIP.IsValid() {
		fmt.Fprintf(&b, "  Came from:     %s\n", f.address())
	}
	if !f.Arrival.IsZero() {
		fmt.Fprintf(&b, "  On:            %s\n", f.Arrival.UTC().Format(time.RFC1123Z))
	}
	fmt.Fprintf(&b, "  Not aligned:   %s\n\n", f.alignment())
	b.WriteString("Local parts of addresses are replaced by codes, and most header fields and\nthe body are left out, for the privacy of those who wrote and received it.\n\n")
	fmt.Fprintf(&b, "You get it because the DMARC record of the domain asks for it:\n\n  ruf=mailto:%s\n\nTo end these reports, remove that address from \"ruf\" in the record.\n", f.To)
	return b.String()
}

// feedback writes the machine-readable part (RFC 5965 section 3, RFC 6591
// section 3.2, RFC 9991 section 4).
func (f *Failure) feedback(b []byte, r Redactor) []byte {
	b = appendField(b, "Feedback-Type", "auth-failure")
	b = appendField(b, "Version", "1")
	b = appendField(b, "User-Agent", text.XML(f.UserAgent, maxName))
	b = appendField(b, "Auth-Failure", "dmarc")
	b = appendField(b, "Authentication-Results", r.Text(text.XML(unfold(f.AuthenticationResults), maxRedactedField)))
	b = appendField(b, "Reported-Domain", hostText(f.ReportedDomain))
	b = appendField(b, "Identity-Alignment", f.alignment())
	b = appendField(b, "Original-Mail-From", "<"+withoutBrackets(r.Address(text.XML(f.MailFrom, maxContact)))+">")
	if f.SourceIP.IsValid() {
		b = appendField(b, "Source-IP", f.address())
	}
	if f.SourcePort != 0 {
		b = appendField(b, "Source-Port", strconv.Itoa(int(f.SourcePort)))
	}
	if !f.Arrival.IsZero() {
		b = appendField(b, "Arrival-Date", f.Arrival.UTC().Format(time.RFC1123Z))
	}
	if f.EnvelopeID != "" {
		b = appendField(b, "Original-Envelope-Id", text.XML(f.EnvelopeID, maxName))
	}
	if f.Delivery != "" {
		b = appendField(b, "Delivery-Result", string(f.Delivery))
	}
	if f.Incidents > 1 {
		b = appendField(b, "Incidents", strconv.Itoa(f.Incidents))
	}
	if d := f.DKIM; d != nil {
		identity := text.XML(d.Identity, maxContact)
		if identity == "" {
			identity = "@" + d.Domain.String() // RFC 6376 section 3.5
		}
		b = appendField(b, "DKIM-Domain", hostText(d.Domain))
		b = appendField(b, "DKIM-Identity", r.Address(identity))
		b = appendField(b, "DKIM-Selector", text.XML(d.Selector, maxName))
	}
	for _, s := range f.SPF {
		record := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(oneLine(text.XML(s.Record, maxRedactedField)))
		b = appendField(b, "SPF-DNS", "txt : "+hostText(s.Domain)+` : "`+record+`"`)
	}
	return b
}

func (f *Failure) address() string { return f.SourceIP.Unmap().WithZone("").String() }

// alignment lists each failed mechanism once (RFC 9991 section 4).
func (f *Failure) alignment() string {
	var dkim, spf bool
	for _, m := range f.Failed {
		dkim = dkim || m == MechanismDKIM
		spf = spf || m == MechanismSPF
	}
	switch {
	case dkim && spf:
		return "dkim, spf"
	case dkim:
		return "dkim"
	case spf:
		return "spf"
	}
	return "none"
}

func withoutBrackets(s string) string { return strings.Trim(s, "<>") }
