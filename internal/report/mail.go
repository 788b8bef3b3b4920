package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/text"
)

// Mail is the mail that carries one aggregate report to one address (RFC 9990 section
// 3.5.2). It must be DKIM-signed afterwards, because the mail itself must pass DMARC.
type Mail struct {
	From      string // address
	FromName  string // display name; "" for none
	To        string // address
	MessageID string // without angle brackets
	Date      time.Time
	Receiver  dns.Name // the Submitter
	Domain    dns.Name // the policy domain
	Metadata  Metadata // of the report; the text states OrgName, Email, ReportID, Begin and End
	Messages  int64    // sum of the counts, stated in the text; 0 to omit it
	FileName  string   // as returned by FileName
	Gzip      []byte   // the file
}

// Bytes returns the whole mail: 7-bit, lines of at most 998 octets that end in CRLF. The same
// values give the same octets. An address that needs quoting or is not ASCII, or a file name
// not made by FileName, is an error that wraps ErrBadMail.
func (m *Mail) Bytes() ([]byte, error) {
	h := head{
		from: m.From, fromName: m.FromName, to: m.To, messageID: m.MessageID, date: m.Date,
		subject: Subject(m.Domain, m.Receiver, m.Metadata.ReportID),
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	if !isFileName(m.FileName) {
		return nil, fmt.Errorf("%w: file name %q", ErrBadMail, text.XML(m.FileName, maxContact))
	}
	if len(m.Gzip) == 0 || m.Receiver.IsZero() || m.Domain.IsZero() {
		return nil, fmt.Errorf("%w: no file, receiver or policy domain", ErrBadMail)
	}
	boundary := boundaryOf(m.MessageID)
	b := make([]byte, 0, len(m.Gzip)*78/57+8<<10)
	b = h.append(b)
	b = append(b, "Content-Type: multipart/mixed; boundary=\""+boundary+"\"\r\n\r\n"...)
	b = append(b, "This is a mail in parts (MIME). The report is attached.\r\n"...)
	b = append(b, "\r\n--"+boundary+"\r\n"...)
	b = appendText(b, m.text())
	b = append(b, "\r\n--"+boundary+"\r\n"...)
	// Each name has its own line, however long: not all report readers can join the pieces of RFC
	// 2231.
	b = append(b, "Content-Type: application/gzip;\r\n name=\""+m.FileName+"\"\r\n"...)
	b = append(b, "Content-Disposition: attachment;\r\n filename=\""+m.FileName+"\"\r\n"...)
	b = append(b, "Content-Transfer-Encoding: base64\r\n\r\n"...)
	b = appendBase64(b, m.Gzip)
	return append(b, "\r\n--"+boundary+"--\r\n"...), nil
}

// text explains the mail to people, and how to stop it.
func (m *Mail) text() string {
	const format = "2006-01-02 15:04:05"
	var b strings.Builder
	fmt.Fprintf(&b, "This is a DMARC aggregate report (RFC 9990): a summary of the mail that\n%s received from addresses of the domain\n%s.\n\n", hostText(m.Receiver), hostText(m.Domain))
	fmt.Fprintf(&b, "  Reported by: %s\n", text.XML(m.Metadata.OrgName, maxName))
	fmt.Fprintf(&b, "  Period:      %s to %s UTC\n", m.Metadata.Begin.UTC().Format(format), m.Metadata.End.UTC().Format(format))
	if m.Messages > 0 {
		fmt.Fprintf(&b, "  Messages:    %d\n", m.Messages)
	}
	fmt.Fprintf(&b, "  Report-ID:   %s\n\n", dotAtomText(m.Metadata.ReportID))
	b.WriteString("The report itself is the attached file, XML compressed by gzip, made for\nprograms to read. It holds no content of any mail.\n\n")
	fmt.Fprintf(&b, "You get it because the DMARC record of this domain asks for it:\n\n  _dmarc.%s ... rua=mailto:%s\n\n", hostText(m.Domain), m.To)
	b.WriteString("To end these reports, remove that address from \"rua\" in the record.\n")
	if m.Metadata.Email != "" {
		fmt.Fprintf(&b, "Questions go to %s.\n", text.XML(m.Metadata.Email, maxContact))
	}
	return b.String()
}

// isFileName reports whether s is safe in quotes and is not a path.
func isFileName(s string) bool {
	const longest = 900
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isHostChar(c) && c != '.' && c != '!' {
			return false
		}
	}
	return s != "" && len(s) <= longest && s[0] != '.'
}

// boundaryOf returns the boundary of a mail. No line of base64, of a header field or of our
// texts begins with it.
func boundaryOf(messageID string) string {
	sum := sha256.Sum256([]byte(messageID))
	return "=_" + hex.EncodeToString(sum[:12])
}
