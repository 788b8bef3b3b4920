package mailer

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// quitTimeout bounds the wait for the reply to QUIT, on which nothing depends.
const quitTimeout = 5 * time.Second

// session is one connection to a server that has been greeted.
type session struct {
	ctx    context.Context
	mailer *Mailer
	conn   *conn
	client *smtp.Client
	unhook func() bool // detaches from ctx
	inSync bool        // every command was answered, so QUIT makes sense
}

// connect dials, greets and, according to policy, starts TLS. The end of ctx closes the
// connection, which interrupts every wait on it.
func (m *Mailer) connect(ctx context.Context, policy TLSPolicy) (*session, error) {
	tcp, err := m.dial(ctx, "tcp", m.config.Addr)
	if err != nil {
		return nil, fault(ctx, StageConnect, err)
	}
	s := &session{ctx: ctx, mailer: m, conn: &conn{Conn: tcp, step: m.config.Timeout}}
	s.unhook = context.AfterFunc(ctx, func() { _ = tcp.Close() })
	if err := s.open(policy); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) open(policy TLSPolicy) error {
	if err := s.greet(s.conn); err != nil {
		return err
	}
	offered, _ := s.client.Extension("STARTTLS")
	switch {
	case policy == TLSNever:
		return nil
	case offered:
		return s.startTLS(policy)
	case policy == TLSRequired:
		return &Error{Stage: StageStartTLS, Err: ErrNoTLS}
	}
	return nil
}

// greet reads the greeting and sends EHLO.
func (s *session) greet(c net.Conn) error {
	s.client = smtp.NewClient(c)
	s.client.CommandTimeout = s.mailer.config.Timeout
	s.client.SubmissionTimeout = answerTimeout
	err := s.client.Hello(s.mailer.config.HeloName)
	s.inSync = err == nil || isReply(err)
	if err != nil {
		return fault(s.ctx, StageGreeting, err)
	}
	return nil
}

// startTLS encrypts the connection. It replaces go-smtp's own function, which would send
// EHLO as "localhost" first, and performs a handshake without a context.
func (s *session) startTLS(policy TLSPolicy) error {
	s.inSync = false
	if err := s.conn.SetReadDeadline(time.Now().Add(s.mailer.config.Timeout)); err != nil {
		return fault(s.ctx, StageStartTLS, err)
	}
	if _, err := io.WriteString(s.conn, "STARTTLS\r\n"); err != nil {
		return fault(s.ctx, StageStartTLS, err)
	}
	r := textproto.NewReader(bufio.NewReader(s.conn))
	_, _, err := r.ReadResponse(220)
	if r.R.Buffered() > 0 {
		// Plain text after the reply was injected, to be taken for the first text under TLS.
		err = fmt.Errorf("%w: more than a reply to STARTTLS", ErrProtocol)
	}
	refused := (*textproto.Error)(nil)
	if errors.As(err, &refused) {
		if s.inSync = true; policy == TLSOffered {
			return nil // the server's TLS is out of order (RFC 3207 section 4); continue in plain text
		}
		err = &smtp.SMTPError{Code: refused.Code, Message: refused.Msg}
	}
	if err != nil {
		return fault(s.ctx, StageStartTLS, err)
	}
	return s.shakeHands(policy)
}

// shakeHands performs the TLS handshake and greets the server again (RFC 3207 section
// 4.2).
func (s *session) shakeHands(policy TLSPolicy) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.mailer.config.Timeout)
	defer cancel()
	secure := tls.Client(s.conn, s.mailer.tlsConfig(policy))
	if err := secure.HandshakeContext(ctx); err != nil {
		return fault(s.ctx, StageHandshake, err)
	}
	return s.greet(&greeted{Conn: secure, greeting: strings.NewReader("220 TLS\r\n")})
}

// login logs in if a user name is set; TLS has been started by then.
func (s *session) login(username, password string) error {
	if username == "" {
		return nil
	}
	var method sasl.Client
	switch {
	case s.client.SupportsAuth(sasl.Plain):
		method = sasl.NewPlainClient("", username, password)
	case s.client.SupportsAuth(sasl.Login):
		method = sasl.NewLoginClient(username, password)
	default:
		return &Error{Stage: StageAuth, Err: ErrNoLogin}
	}
	if err := s.client.Auth(method); err != nil {
		s.inSync = isReply(err)
		return fault(s.ctx, StageAuth, err)
	}
	return nil
}

// transfer performs the mail transaction (RFC 5321 section 3.3).
func (s *session) transfer(from string, to []string, msg []byte) error {
	if most, ok := s.client.MaxMessageSize(); ok && most > 0 && len(msg) > most {
		return &Error{Stage: StageMailFrom, Err: fmt.Errorf("%w: %d octets, over %d", ErrSize, len(msg), most)}
	}
	if err := s.client.Mail(from, &smtp.MailOptions{Size: int64(len(msg))}); err != nil {
		s.inSync = isReply(err)
		return fault(s.ctx, StageMailFrom, err)
	}
	var refused []Refusal
	for _, a := range to {
		err := s.client.Rcpt(a, nil)
		if err == nil {
			continue
		}
		f := fault(s.ctx, StageRcpt, err)
		if !isReply(err) {
			s.inSync = false
			return f
		}
		refused = append(refused, Refusal{To: a, Error: f})
	}
	if len(refused) < len(to) {
		if f := s.content(msg); f != nil {
			return nobody(to, refused, f)
		}
	}
	if len(refused) > 0 {
		return &RecipientsError{Refused: refused}
	}
	return nil
}

// content sends the mail itself.
func (s *session) content(msg []byte) *Error {
	w, err := s.client.Data()
	if err != nil {
		s.inSync = isReply(err)
		return fault(s.ctx, StageData, err)
	}
	s.inSync = false
	if _, err := w.Write(msg); err != nil {
		return fault(s.ctx, StageContent, err)
	}
	if err := w.Close(); err != nil {
		s.inSync = isReply(err)
		return fault(s.ctx, StageContent, err)
	}
	s.inSync = true
	return nil
}

// nobody is the outcome if some recipients were refused individually and then the mail for
// all others.
func nobody(to []string, refused []Refusal, rest *Error) error {
	if len(refused) == 0 {
		return rest
	}
	all := make([]Refusal, 0, len(to))
	for _, a := range to {
		if len(refused) > 0 && refused[0].To == a {
			all, refused = append(all, refused[0]), refused[1:]
			continue
		}
		all = append(all, Refusal{To: a, Error: rest})
	}
	return &RecipientsError{Refused: all}
}

// close ends the session, with QUIT if the server still responds (RFC 5321 section
// 4.1.1.10).
func (s *session) close() {
	if s.inSync && s.ctx.Err() == nil {
		s.client.CommandTimeout = min(s.client.CommandTimeout, quitTimeout)
		_ = s.client.Quit() // the mail's disposition is known
	}
	s.unhook()
	_ = s.conn.Close() // likewise
}
