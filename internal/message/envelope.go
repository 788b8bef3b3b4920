// Package message holds one mail as the protocol packages need it: its SMTP envelope, and
// its header with the exact bytes. It never keeps a body, and depends on neither SPF,
// DKIM nor the milter protocol.
package message

import (
	"net/netip"
	"strings"
	"time"

	"dmarcd/internal/dns"
)

// Envelope is the SMTP envelope of one transaction. The listener that received it fills
// it in; it does not change afterwards.
type Envelope struct {
	ClientIP netip.Addr // unmapped; zero for a local client or if not known
	Host     string     // the MTA's own name; "" if not known
	Helo     string     // HELO or EHLO argument as sent; may be an address literal; "" if not known
	MailFrom Address    // zero for the null reverse-path "<>"
	Rcpts    []Address  // those accepted, in that order
	AuthUser string     // SASL login; "" for a client that did not log in
	QueueID  string     // the MTA's name for this mail; "" if not known
	Received time.Time  // UTC
}

// NullSender reports whether the reverse-path was "<>" (RFC 5321 section 4.5.5).
func (e *Envelope) NullSender() bool { return e.MailFrom == Address{} }

// Address is a mailbox of the envelope. The zero Address is the null reverse-path.
type Address struct {
	Local  string   // left of the last "@", as sent; the whole text if there is no "@"
	Host   string   // right of the last "@", as sent; "" without one
	Domain dns.Name // Host as a name; zero for an address literal or an invalid name
}

// ParseAddress reads the path of a MAIL or RCPT command, with or without its
// angle brackets and source route (RFC 5321 section 4.1.2). It never fails:
// text that is no address keeps its parts and has a zero Domain. Only "<>", and
// nothing at all, give the null reverse-path.
func ParseAddress(s string) Address {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "<"); ok {
		s = strings.TrimSuffix(rest, ">")
	}
	whole := s
	if strings.HasPrefix(s, "@") { // source route: @one,@two:joe@three, RFC 5321 appendix C
		if i := strings.IndexByte(s, ':'); i >= 0 {
			s = s[i+1:]
		}
	}
	if s == "" || s == "@" {
		return Address{Local: whole}
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 || withinQuotes(s, at) {
		return Address{Local: s}
	}
	a := Address{Local: s[:at], Host: s[at+1:]}
	if d, err := dns.Parse(a.Host); err == nil && !strings.HasPrefix(a.Host, "[") {
		a.Domain = d
	}
	return a
}

// withinQuotes reports whether position at of s is in a quoted string (RFC 5321 section
// 4.1.2).
func withinQuotes(s string, at int) bool {
	quoted := false
	for i := 0; i < at; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		}
	}
	return quoted
}

// String is the address as local@host, "" for the null reverse-path.
func (a Address) String() string {
	if a.Host == "" {
		return a.Local
	}
	return a.Local + "@" + a.Host
}
