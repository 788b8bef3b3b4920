package intake

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/settings"
	"dmarcd/internal/spool"
)

// Bounds of one LMTP session.
const (
	lmtpRecipients = 100
	lmtpTimeout    = 5 * time.Minute
	// lmtpLine bounds a line, also of a mail: some reports are sent as XML on one line.
	lmtpLine = 4 << 20
	// lmtpMail bounds what is read of one mail; octets over the limit of the settings are read and
	// discarded. A client that exceeds it is cut off.
	lmtpMail = 1 << 30
)

// LMTP takes mails by LMTP (RFC 2033) into the spool. It answers a mail with 250 once it is
// synced to disk, whatever its content: a bad report is never bounced to its sender. Only a
// mail that cannot be stored is answered with 4xx.
type LMTP struct {
	server *smtp.Server
	feed   *Feed
}

// NewLMTP returns a server. Mails go into the spool under FeedLMTP; feed records the results.
func NewLMTP(s *spool.Spool, config func() *settings.Settings, feed *Feed, log *slog.Logger) *LMTP {
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &lmtpSession{spool: s, settings: config, feed: feed, client: clientOf(c.Conn()), log: log}, nil
	}))
	server.LMTP = true
	server.Domain = config().AuthServID
	server.MaxRecipients = lmtpRecipients
	server.MaxLineLength = lmtpLine
	server.ReadTimeout, server.WriteTimeout = lmtpTimeout, lmtpTimeout
	server.EnableSMTPUTF8 = true
	server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	return &LMTP{server: server, feed: feed}
}

// Serve serves a listener until Shutdown.
func (l *LMTP) Serve(on net.Listener) error {
	if err := l.server.Serve(on); !errors.Is(err, smtp.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown waits for mails in progress, or until ctx ends.
func (l *LMTP) Shutdown(ctx context.Context) error {
	err := l.server.Shutdown(ctx)
	if err != nil && ctx.Err() != nil {
		err = l.server.Close()
	}
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

func clientOf(c net.Conn) netip.Addr {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{} // a unix socket
	}
	return a.Addr().Unmap()
}

type lmtpSession struct {
	spool      *spool.Spool
	settings   func() *settings.Settings
	feed       *Feed
	client     netip.Addr
	log        *slog.Logger
	recipients []string
}

// Mail implements smtp.Session.
func (s *lmtpSession) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt implements smtp.Session. It accepts any recipient: the MTA decides what comes here.
func (s *lmtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.recipients = append(s.recipients, strings.ToLower(cut(to)))
	return nil
}

// Reset implements smtp.Session.
func (s *lmtpSession) Reset() { s.recipients = nil }

// Logout implements smtp.Session.
func (s *lmtpSession) Logout() error { return nil }

// Data implements smtp.Session.
func (s *lmtpSession) Data(r io.Reader) error { return s.LMTPData(r, nil) }

// errEndless is the reply to a mail that does not end.
var errEndless = &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "no mail is that large"}

// LMTPData implements smtp.LMTPSession: one answer for all recipients.
func (s *lmtpSession) LMTPData(r io.Reader, _ smtp.StatusCollector) error {
	draft := s.spool.Begin(s.settings().Analysis.Limits.MailBytes)
	defer draft.Abort()
	bounded := &io.LimitedReader{R: r, N: lmtpMail}
	if _, err := io.Copy(dropErrors{draft}, bounded); err != nil {
		return err // of the connection
	}
	if bounded.N == 0 {
		return errEndless
	}
	err := draft.Commit(spool.Meta{Feed: FeedLMTP, Trust: spool.NotKnown, Addresses: s.recipients, Client: s.client})
	s.feed.Ran(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, spool.ErrFull):
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "no room for more mail; please try again later"}
	}
	s.log.Warn("a mail cannot be put into the spool", "error", err.Error())
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "the mail cannot be kept; please try again later"}
}

// dropErrors reads a mail to its end even if it cannot be stored: Commit returns the error
// again.
type dropErrors struct{ draft *spool.Draft }

func (d dropErrors) Write(p []byte) (int, error) {
	_, _ = d.draft.Write(p)
	return len(p), nil
}
