package inbound

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
	"dmarcd/internal/filter"
	"dmarcd/internal/message"
	"dmarcd/internal/text"
)

// maxLogged bounds one remote value in the log.
const maxLogged = 200

// log writes the one line that each message gets.
func (s *session) log(o *filter.Result, took time.Duration) {
	if !s.config.Log.Enabled(s.ctx, slog.LevelInfo) {
		return
	}
	const usual = 24
	a := make([]slog.Attr, 0, usual)
	a = append(a,
		slog.String("queue_id", text.Cut(o.Envelope.QueueID, maxLogged)),
		slog.String("client", clientWord(o)),
		slog.String("helo", text.Cut(o.Envelope.Helo, maxLogged)),
		slog.String("mail_from", s.addressWord(o.Envelope.MailFrom)),
		slog.String("message_id", o.MessageID),
	)
	if o.Bypassed == "" {
		a = append(a, verdictAttrs(o)...)
	}
	a = append(a,
		slog.String("rcpt", s.recipientWord(o)),
		slog.String("action", string(o.Decision.Action)),
		slog.String("reason", string(o.Decision.Reason)),
	)
	if o.Decision.Would != o.Decision.Action {
		a = append(a, slog.String("would", string(o.Decision.Would)))
	}
	if o.Decision.Rule != "" {
		a = append(a, slog.String("rule", o.Decision.Rule))
	}
	if o.ForgedKept {
		a = append(a, slog.Int("forged_kept", o.Forged))
	}
	if o.Dropped {
		a = append(a, slog.Bool("dropped", true))
	}
	if s.test {
		a = append(a, slog.Bool("test", true))
	}
	a = append(a, slog.Float64("ms", float64(took.Microseconds())/1000))
	s.config.Log.LogAttrs(context.WithoutCancel(s.ctx), slog.LevelInfo, "message", a...)
}

// verdictAttrs are the results for the message.
func verdictAttrs(o *filter.Result) []slog.Attr {
	v := &o.Verdict
	a := []slog.Attr{
		slog.String("from", joinNames(v.Authors)),
		slog.String("spf", string(v.SPF.Status)),
		slog.String("dkim", signatureWords(v.DKIM)),
		slog.String("dmarc", string(v.DMARC.Status)),
		slog.String("policy", string(v.DMARC.Policy)),
	}
	if v.ARC.Status != "" {
		a = append(a, slog.String("arc", string(v.ARC.Status)))
	}
	for _, trouble := range []struct {
		key string
		err error
	}{{"spf_error", v.SPF.Err}, {"dmarc_error", v.DMARC.Err}, {"arc_error", v.ARC.Err}} {
		if trouble.err != nil {
			a = append(a, slog.String(trouble.key, text.Cut(text.Error(trouble.err), maxLogged)))
		}
	}
	return a
}

// signatureWords lists the signatures as "pass:example.com,fail:example.net".
func signatureWords(results []dkim.Result) string {
	if len(results) == 0 {
		return string(dkim.None)
	}
	var b strings.Builder
	for i := range results {
		if b.Len() > maxLogged {
			b.WriteString(",…")
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(results[i].Status))
		if d := results[i].Domain; !d.IsZero() {
			b.WriteByte(':')
			b.WriteString(text.Cut(d.String(), maxLogged))
		}
	}
	return b.String()
}

// addressWord is an envelope address for the log, with its local part only if configured.
func (s *session) addressWord(a message.Address) string {
	switch {
	case a == message.Address{}:
		return "<>"
	case s.settings.Log.Addresses:
		return text.Cut(a.String(), maxLogged)
	}
	return text.Cut(a.Host, maxLogged)
}

// recipientWord lists the recipients' domains, or their addresses if configured.
func (s *session) recipientWord(o *filter.Result) string {
	var b strings.Builder
	last := ""
	for _, r := range o.Envelope.Rcpts {
		word := s.addressWord(r)
		if word == last {
			continue
		}
		if b.Len() > maxLogged {
			b.WriteString(",…")
			break
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(word)
		last = word
	}
	return b.String()
}

func clientWord(o *filter.Result) string {
	if o.Envelope.ClientIP.IsValid() {
		return o.Envelope.ClientIP.String()
	}
	return "local"
}

func joinNames(names []dns.Name) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = n.String()
	}
	return text.Cut(strings.Join(words, ","), maxLogged)
}
