// Package mailer hands finished mail to an MTA by SMTP (RFC 5321): one mail, one
// connection. It does not look for mail exchangers and keeps no queue: that is
// the MTA's work, and trying again is the caller's.
//
// Nothing that the server does holds a caller up for longer than its context and
// Config.Timeout allow, and nothing that it sends takes much memory.
//
// # Divergences
//
//   - Mail is 7-bit with lines of CRLF, and envelope addresses are ASCII without
//     quoted blanks: neither 8BITMIME nor SMTPUTF8 (RFC 6531) is needed of the
//     server. Other mail is refused, so that no two readers of it can disagree
//     where it ends.
//   - A 5xx answer before MAIL FROM (greeting, EHLO, AUTH) is a temporary failure.
//     It speaks of this server or of our configuration, not of the mail.
//   - Replies are waited for as long as Config.Timeout says; RFC 5321 section
//     4.5.3.2 asks for minutes, but the server is a neighbour. Only the answer
//     after the mail gets its ten minutes: whoever gives up earlier sends it twice.
//   - Where TLS is not required, the server's certificate is not checked: TLS is
//     then better than none (RFC 7435), and the alternative is plain text.
package mailer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// TLSPolicy says when a connection is encrypted by STARTTLS (RFC 3207).
type TLSPolicy int

// TLS policies. A login makes every policy TLSRequired.
const (
	TLSOffered  TLSPolicy = iota // where the server offers it; the certificate is not checked
	TLSRequired                  // always, with a certificate that is valid for the host of Addr
	TLSNever
)

// MaxRecipients is how many recipients one mail may have: as many as every
// server takes (RFC 5321 section 4.5.3.1.8).
const MaxRecipients = 100

// defaultTimeout is for Config.Timeout.
const defaultTimeout = time.Minute

// answerTimeout is for the answer after the mail, RFC 5321 section 4.5.3.2.6.
const answerTimeout = 10 * time.Minute

// Config says where mail is handed over, and how.
type Config struct {
	Addr     string // host:port
	Username string // "" for no login
	Password string // never sent without TLS
	TLS      TLSPolicy
	RootCAs  *x509.CertPool // who may sign the server's certificate; nil for those of the system
	HeloName string         // a host name or address literal; "" for "localhost"
	// Timeout bounds each step: connecting, TLS, one reply, writing a part of the
	// mail. 0 is a minute. The answer after the mail may take ten minutes (RFC
	// 5321 section 4.5.3.2.6); let the context bound it where that is too long.
	Timeout time.Duration
}

// Mailer hands mail over. Safe for concurrent use.
type Mailer struct {
	config Config
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// New makes a Mailer. It does not connect.
func New(c Config) *Mailer {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.HeloName == "" {
		c.HeloName = "localhost"
	}
	if c.Username != "" {
		c.TLS = TLSRequired
	}
	dialer := net.Dialer{Timeout: c.Timeout}
	return &Mailer{config: c, dial: dialer.DialContext}
}

// Send hands one mail over for all of to and returns once the server has taken
// responsibility for it (RFC 5321 section 4.2.5), or has not. from is the
// reverse-path, "" for the null one (section 4.5.5). msg is the whole mail:
// header and body, 7-bit, every line ended by CRLF. It is not kept.
//
// nil means that everybody gets the mail. An *Error means that nobody does, for
// one reason; *RecipientsError that some may get it, and names those who do not.
// Both have a Temporary method. When ctx ends, Send does too, with an
// error that wraps its cause; the mail may then have been taken all the same.
func (m *Mailer) Send(ctx context.Context, from string, to []string, msg []byte) error {
	if err := checkMail(from, to, msg); err != nil {
		return err
	}
	s, err := m.connect(ctx, m.config.TLS)
	if errorStage(err) == StageHandshake && m.config.TLS == TLSOffered && ctx.Err() == nil {
		// The offer was not worth much. TLS was not asked for; the mail was.
		s, err = m.connect(ctx, TLSNever)
	}
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.login(m.config.Username, m.config.Password); err != nil {
		return err
	}
	return s.transfer(from, to, msg)
}

// tlsConfig is for a connection to the host of Addr.
func (m *Mailer) tlsConfig(policy TLSPolicy) *tls.Config {
	host, _, _ := net.SplitHostPort(m.config.Addr) // Addr was dialled
	return &tls.Config{
		ServerName:         host,
		RootCAs:            m.config.RootCAs,
		InsecureSkipVerify: policy == TLSOffered, // RFC 7435 section 3: encrypt, even if to an unknown
		MinVersion:         tls.VersionTLS12,
	}
}
