package daemon

import (
	"context"
	"strings"
	"time"

	"dmarcd/internal/filter"
	"dmarcd/internal/mailer"
	"dmarcd/internal/metrics"
	"dmarcd/internal/notify"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// observer reports events of mail to metrics and notifications.
type observer struct {
	*metrics.Metrics
	notifier *notify.Notifier
}

// Message reports an answered message.
func (o observer) Message(out *filter.Result, took time.Duration) {
	o.Metrics.Message(out, took)
	if out.Bypassed != "" || out.Rules == nil {
		return // bypassed, or no domain's rules decided
	}
	for _, d := range out.Domains {
		if len(d.Rules.DMARC.Notify) > 0 && d.Rules.Mode == policy.Enforce && d.Decision.Failed() {
			o.notifier.Notify(event(out, d))
		}
	}
}

// event is the notification of a message for one set of recipient domains.
func event(out *filter.Result, d filter.DomainDecision) notify.Event {
	v := &out.Verdict
	e := notify.Event{
		At:         out.Envelope.Received,
		To:         d.Rules.DMARC.Notify,
		Sender:     out.Envelope.MailFrom.String(),
		HeaderFrom: v.DMARC.Author.String(),
		MessageID:  out.MessageID,
		QueueID:    out.Envelope.QueueID,
		Rule:       d.Decision.Rule,
		Action:     string(out.Decision.Action),
		Tags:       "notify",
		SPF:        string(v.SPF.Status),
		DKIM:       v.DKIMWord(),
		DMARC:      string(d.Decision.Status),
		ClientIP:   out.Envelope.ClientIP,
	}
	if len(out.Change) > 0 {
		e.Tags = "tag subject, notify"
	}
	names := make([]string, len(d.Domains))
	for i, n := range d.Domains {
		names[i] = n.String()
	}
	e.Domain = strings.Join(names, ", ")
	for _, r := range out.Envelope.Rcpts {
		for _, n := range d.Domains {
			if r.Domain == n {
				e.Rcpts = append(e.Rcpts, r.String())
			}
		}
	}
	e.SetHeader(out.Header)
	return e
}

// notifyConfig returns the configuration of notifications.
func (d *Daemon) notifyConfig(s *settings.Settings) notify.Config {
	template, err := policy.ParseNotification(s.Notify.Template)
	if err != nil || s.Notify.Template == "" {
		template = policy.NotificationTemplate{} // the built-in one; settings has checked the text
	}
	return notify.Config{
		From:     s.Notify.From,
		Template: template,
		PerHour:  s.Notify.PerHour,
		Sender:   mailer.New(mailer.Config{Addr: s.Notify.SMTP, HeloName: s.AuthServID}),
		Log:      d.log,
		Now:      time.Now,
	}
}

// closeNotifier sends the remaining notifications if possible.
func (d *Daemon) closeNotifier(ctx context.Context) {
	if err := d.notifier.Close(ctx); err != nil {
		d.log.Warn("some notifications were not sent", "error", err.Error())
	}
}
