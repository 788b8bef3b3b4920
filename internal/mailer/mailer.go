// Package mailer hands finished mail to an MTA by SMTP (RFC 5321), one connection per
// mail. It does not resolve mail exchangers and keeps no queue: that is the MTA's task,
// and retries are the caller's.
//
// A server cannot delay a caller beyond its context and Config.Timeout, nor make it use
// much memory.
//
// # Divergences
//
//   - Mail is 7-bit with lines of CRLF, and envelope addresses are ASCII without quoted
//     blanks: the server needs neither 8BITMIME nor SMTPUTF8 (RFC 6531). Other mail is
//     refused, so that no two readers can disagree about its end.
//   - A 5xx reply before MAIL FROM (greeting, EHLO, AUTH) is a temporary failure. It
//     concerns this server or our configuration, not the mail.
//   - Config.Timeout bounds the wait for replies; RFC 5321 section 4.5.3.2 asks for
//     minutes, but the server is nearby. Only the reply after the mail gets its ten
//     minutes: a client that gives up earlier sends the mail twice.
//   - If TLS is not required, the server's certificate is not checked: unauthenticated
//     TLS is better than none (RFC 7435), and the alternative is plain text.
package mailer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// TLSPolicy states when STARTTLS (RFC 3207) encrypts a connection.
type TLSPolicy int

// TLS policies. A login implies TLSRequired.
const (
	TLSOffered  TLSPolicy = iota // if the server offers it; the certificate is not checked
	TLSRequired                  // always, with a certificate that is valid for the host of Addr
	TLSNever
)

// MaxRecipients is the maximum number of recipients of one mail, which every server must
// accept (RFC 5321 section 4.5.3.1.8).
const MaxRecipients = 100

// defaultTimeout is the default of Config.Timeout.
const defaultTimeout = time.Minute

// answerTimeout bounds the wait for the reply after the mail (RFC 5321 section 4.5.3.2.6).
const answerTimeout = 10 * time.Minute

// Config states where and how mail is handed over.
type Config struct {
	Addr     string // host:port
	Username string // "" for no login
	Password string // never sent without TLS
	TLS      TLSPolicy
	RootCAs  *x509.CertPool // roots for the server's certificate; nil for those of the system
	HeloName string         // a host name or address literal; "" for "localhost"
	// Timeout bounds each step: connecting, TLS, one reply, writing a part of the mail. 0 is a
	// minute. The reply after the mail may take ten minutes (RFC 5321 section 4.5.3.2.6); use
	// the context for a shorter bound.
	Timeout time.Duration
}

// Mailer hands mail over. It is safe for concurrent use.
type Mailer struct {
	config Config
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// New returns a Mailer. It does not connect.
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

// Send hands over one mail for all of to. It returns once the server has taken
// responsibility for it (RFC 5321 section 4.2.5), or has not. from is the reverse-path, ""
// for the null one (section 4.5.5). msg is the whole mail: header and body, 7-bit, every
// line ended by CRLF. Send does not keep it.
//
// nil means that all recipients receive the mail. An *Error means that none does, for one
// reason; a *RecipientsError names those who do not. Both have a Temporary method. When
// ctx ends, Send returns an error that wraps its cause; the server may have accepted the
// mail all the same.
func (m *Mailer) Send(ctx context.Context, from string, to []string, msg []byte) error {
	if err := checkMail(from, to, msg); err != nil {
		return err
	}
	s, err := m.connect(ctx, m.config.TLS)
	if errorStage(err) == StageHandshake && m.config.TLS == TLSOffered && ctx.Err() == nil {
		// The offered TLS did not work. Delivery matters more, because TLS was not required.
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

// tlsConfig returns the configuration for a connection to the host of Addr.
func (m *Mailer) tlsConfig(policy TLSPolicy) *tls.Config {
	host, _, _ := net.SplitHostPort(m.config.Addr) // Addr was dialled
	return &tls.Config{
		ServerName:         host,
		RootCAs:            m.config.RootCAs,
		InsecureSkipVerify: policy == TLSOffered, // RFC 7435 section 3: encrypt, even if to an unknown
		MinVersion:         tls.VersionTLS12,
	}
}
