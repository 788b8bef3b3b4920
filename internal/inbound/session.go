// Package inbound connects the milter to the filter: it turns the events of a
// milter session into calls of the filter, and the filter's outcome into the
// response to the MTA. Taps take copies of messages on their way. It holds no policy.
package inbound

import (
	"context"
	"log/slog"
	"time"

	"dmarcd/internal/filter"
	"dmarcd/internal/memory"
	"dmarcd/internal/message"
	"dmarcd/internal/milter"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// Observer is notified of events before the answer is sent. It is called from many
// goroutines and must not block.
type Observer interface {
	// Message reports an answered message.
	Message(o *filter.Result, took time.Duration)
	// Split reports a recipient that was refused for now, because its domain's rules
	// differ from the first recipient's.
	Split()
}

// Recorder records messages. It is called from many goroutines, and must finish what has
// to precede the MTA's answer before it returns.
type Recorder interface {
	// Record takes each judged message once, but no bypassed one and no test. The callee
	// owns the record; o, from which it was made, is read-only.
	Record(r *memory.Record, o *filter.Result)
}

// Config is what sessions need. Fields may be nil only where they say so.
type Config struct {
	Filter   *filter.Filter
	Settings func() *settings.Settings // the configuration in force; each message takes it once
	Observer Observer
	Recorder Recorder // nil: nothing is recorded
	Host     string   // the name of this host, which records carry
	Taps     []Tap    // each takes copies of the messages that it wants
	Log      *slog.Logger
	Now      func() time.Time
}

// NewSession makes the session of one MTA connection; it has the signature that
// milter.Config requires.
func (c *Config) NewSession(ctx context.Context) milter.Session {
	return &session{config: c, ctx: ctx}
}

// RcptReplies reports whether recipients may have to be answered one by one.
func (c *Config) RcptReplies() bool {
	p := &c.Settings().Policy
	parting := p.MixedRecipients == settings.Separate || p.MixedRecipients == settings.OnConflict
	return parting && p.Distinct()
}

// session is one MTA connection.
type session struct {
	config  *Config
	ctx     context.Context
	connect milter.Connect
	mta     string // its name and version
	helo    string

	settings *settings.Settings // of the transaction under way
	tx       *filter.Transaction
	test     bool
	tapped   tapped
}

func (s *session) Connect(c milter.Connect) {
	s.connect, s.mta, s.helo = c, mtaName(c.MTAVersion), ""
}

func (s *session) Helo(name string) { s.helo = name }

func (s *session) Mail(m milter.Mail) {
	s.Abort()
	s.settings, s.test = s.config.Settings(), m.Test
	s.tx = s.config.Filter.Begin(s.ctx, s.settings, message.Envelope{
		ClientIP: s.connect.Addr,
		Host:     s.connect.MTA,
		Helo:     s.helo,
		MailFrom: message.ParseAddress(m.From),
		AuthUser: m.AuthUser,
		QueueID:  m.QueueID,
		Received: s.config.Now().UTC(),
	})
}

// The values of Sendmail and Postfix for {rcpt_mailer} for a recipient that they refuse
// themselves, and for one that they deliver on this host.
const (
	mailerError = "error"
	mailerLocal = "local"
)

func (s *session) Rcpt(r milter.Rcpt) milter.Reply {
	if r.Mailer == mailerError {
		return milter.Reply{}
	}
	to, resolved := message.ParseAddress(r.To), message.ParseAddress(r.Addr)
	reply := s.tx.Rcpt(filter.Recipient{Written: to, Read: resolved, Local: r.Mailer == mailerLocal}, s.connect.RcptReplies)
	switch {
	case s.test:
	case reply == (policy.Reply{}):
		s.tapped.rcpt(s.config.Taps, s.settings, to, resolved)
	default:
		s.config.Observer.Split()
	}
	return milter.Reply(reply)
}

func (s *session) Header(name string, value []byte) {
	s.tx.Header(name, value)
	s.tapped.header(name, value)
}

func (s *session) EndOfHeader() {
	s.tx.EndOfHeader()
	s.tapped.endOfHeader()
}

func (s *session) Body(chunk []byte) (more bool) {
	more = s.tx.Body(chunk)
	return s.tapped.body(chunk) || more
}

func (s *session) EndOfMessage(_ context.Context, queueID string) milter.Response {
	began := s.config.Now()
	o := s.tx.EndOfMessage(queueID)
	s.tx = nil
	o.Dropped = s.endCopies(&o) && o.Decision.Action == policy.Bypass
	if !s.test {
		s.record(&o)
	}
	s.warn(&o)
	took := s.config.Now().Sub(began)
	s.log(&o, took)
	if !s.test {
		s.config.Observer.Message(&o, took)
	}
	return response(&o)
}

func (s *session) Abort() {
	s.abortCopies()
	if s.tx != nil {
		s.tx.Abort()
		s.tx = nil
	}
}

func (s *session) Close() { s.Abort() }
