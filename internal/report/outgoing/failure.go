package outgoing

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/report"
	"dmarcd/internal/report/destination"
)

// Bounds of failure reports.
const (
	maxPending   = 256      // messages that wait for the collector
	maxKinds     = 256      // kinds of failures collected at once
	maxHeader    = 48 << 10 // octets of header kept of a message
	hostShare    = 6        // one host gets at most this part of the hourly limit
	limitsWindow = time.Hour
)

// Stand-ins in the stored mail of a failure report, for what differs from one
// destination to the next.
const (
	standInTo        = "destination@stand-in.invalid"
	standInMessageID = "message-id@stand-in.invalid"
)

// fillIn makes the mail for one destination.
func fillIn(mail []byte, to, messageID string) []byte {
	mail = bytes.ReplaceAll(mail, []byte(standInTo), []byte(to))
	return bytes.ReplaceAll(mail, []byte(standInMessageID), []byte(messageID))
}

// Message is a message that may call for a failure report.
type Message struct {
	Record *memory.Record
	Header *message.Header // as received
	// AuthenticationResults is the value of the field that we put on the message.
	AuthenticationResults string
	// Trace returns the DNS answers used, where the record has none, as for most messages
	// that pass. Only Fail calls it, at most once; nil if unknown.
	Trace func() *memory.Trace
}

// Fail takes a judged message. It never blocks, and keeps the message, which must not be
// changed any more. Most messages cause no report; those without room are counted.
func (p *Pipeline) Fail(m Message) {
	c := p.current()
	if !c.Failures {
		return
	}
	if !c.wantsFailure(&m) {
		p.stats.add(func(s *Stats) { s.FailuresIgnored++ })
		return
	}
	m.Header = cutHeader(m.Header)
	if m.Record.Trace == nil && m.Trace != nil {
		traced := *m.Record
		traced.Trace = m.Trace()
		m.Record = &traced
	}
	m.Trace = nil
	select {
	case p.failures.pending <- m:
	default:
		p.stats.add(func(s *Stats) { s.FailuresDropped++ })
	}
}

// wantsFailure reports whether the owner requests a report on the message, and may get
// one.
func (c *Config) wantsFailure(m *Message) bool {
	r := m.Record
	d := &r.Verdict.DMARC
	switch {
	case d.Record == nil, d.Record.Unusable, d.Status != dmarc.Pass && d.Status != dmarc.Fail:
		return false
	case len(d.Record.RUF) == 0, d.Record.PSD == dmarc.PSDYes: // RFC 9991 section 3
		return false
	case r.CarriesReport, r.NullSender, r.Decision.Action == policy.Defer, automatic(m.Header):
		return false
	case c.Exclude.Match(d.PolicyDomain), m.AuthenticationResults == "":
		return false
	}
	counted := slices.ContainsFunc(r.Outcomes, func(o memory.Outcome) bool { return o.DailyReports && o.Decision.Evaluated })
	return counted && triggered(&r.Verdict)
}

// triggered reads fo= (RFC 9989 section 4.7).
func triggered(v *policy.Verdict) bool {
	d := &v.DMARC
	for option := range strings.SplitSeq(d.Record.FO, ":") {
		switch option {
		case "0":
			if !d.SPFAligned && !d.DKIMAligned {
				return true
			}
		case "1":
			if !d.SPFAligned || !d.DKIMAligned {
				return true
			}
		case "d":
			if slices.ContainsFunc(v.DKIM, func(r dkim.Result) bool { return r.Status == dkim.Fail || r.Status == dkim.PermError }) {
				return true
			}
		case "s":
			switch v.SPF.Status {
			case spf.Fail, spf.Softfail, spf.PermError:
				return true
			}
		}
	}
	return false
}

// automatic reports whether a program sent the message, such as an answer or a report: a
// report on it could cause another one (RFC 3834 section 5, RFC 6522).
func automatic(h *message.Header) bool {
	return h != nil && (report.IsAutomatic(h) || report.IsReportMail(h))
}

// cutHeader keeps the beginning of a header.
func cutHeader(h *message.Header) *message.Header {
	if h == nil {
		return nil
	}
	size := 0
	for i, f := range h.Fields {
		if size += len(f.Raw); size > maxHeader {
			return &message.Header{Fields: h.Fields[:i:i], Cut: true}
		}
	}
	return h
}

// collector makes failure reports, one for all messages that fail alike.
type collector struct {
	p       *Pipeline
	pending chan Message
	kinds   map[string]*alike
	key     []byte // of the redaction; nil until it was read
}

// alike is a kind of failure that a report was made on not long ago.
type alike struct {
	until time.Time
	last  Message
	more  int // messages since the report
}

func newCollector(p *Pipeline) *collector {
	return &collector{p: p, pending: make(chan Message, maxPending), kinds: map[string]*alike{}}
}

// run works until ctx ends. Collected failures are then dropped: the next message that
// fails alike causes a new report.
func (c *collector) run(ctx context.Context) {
	tick := time.NewTicker(max(c.p.timing.Collapse/60, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-c.pending:
			c.take(ctx, m)
		case <-tick.C:
			c.ripen(ctx)
		}
	}
}

// take reports a message, or counts it in where one of its kind was just reported.
func (c *collector) take(ctx context.Context, m Message) {
	key, now := kindOf(m.Record), c.p.now()
	if a := c.kinds[key]; a != nil {
		a.last = m
		a.more++
		c.p.stats.add(func(s *Stats) { s.FailuresCollapsed++ })
		return
	}
	if len(c.kinds) >= maxKinds {
		c.p.stats.add(func(s *Stats) { s.FailuresDropped++ })
		return
	}
	c.kinds[key] = &alike{until: now.Add(c.p.timing.Collapse), last: m}
	c.report(ctx, &m, 1)
}

// ripen reports what was collected for long enough.
func (c *collector) ripen(ctx context.Context) {
	now := c.p.now()
	for key, a := range c.kinds {
		switch {
		case now.Before(a.until) && a.until.Sub(now) <= c.p.timing.Collapse:
		case a.more == 0:
			delete(c.kinds, key)
		default:
			c.report(ctx, &a.last, a.more)
			a.more, a.until = 0, now.Add(c.p.timing.Collapse)
		}
	}
}

// kindOf is the same for messages that fail alike: the same domain, client, results
// and end.
func kindOf(r *memory.Record) string {
	v := &r.Verdict
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s %s %s %t %t", v.DMARC.PolicyDomain, v.DMARC.Author, r.ClientIP, r.Decision.Action,
		v.SPF.Status, v.SPF.Domain, v.DMARC.SPFAligned, v.DMARC.DKIMAligned)
	for i := range v.DKIM {
		fmt.Fprintf(&b, " %s %s %s", v.DKIM[i].Domain, v.DKIM[i].Selector, v.DKIM[i].Status)
	}
	return b.String()
}

// report stores the report on a message. What cannot be stored is dropped.
func (c *collector) report(ctx context.Context, m *Message, incidents int) {
	p := c.p
	config := p.current()
	stored, err := false, error(nil)
	if config.Failures {
		stored, err = c.store(ctx, config, m, incidents)
	}
	if err != nil {
		p.warn(ctx, "a failure report was lost", err)
	}
	p.stats.add(func(s *Stats) {
		if stored {
			s.FailuresSent++
		} else {
			s.FailuresDropped++
		}
	})
	if stored {
		p.wakeSender()
	}
}

func (c *collector) store(ctx context.Context, config *Config, m *Message, incidents int) (bool, error) {
	p := c.p
	receiver, err := config.receiver()
	if err != nil {
		return false, err
	}
	if c.key == nil {
		secret, err := p.store.Secret(ctx)
		if err != nil {
			return false, err
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("redaction of failure reports"))
		c.key = mac.Sum(nil)
	}
	now := p.now().UTC()
	f := failureOf(config, m, incidents, now)
	mail, err := f.Bytes(report.Redactor{Key: c.key})
	if err != nil {
		return false, err
	}
	d := &m.Record.Verdict.DMARC
	r := NewReport{File: mail, Report: Report{
		Kind: KindFailure, Domain: d.PolicyDomain.String(), Day: memory.DayOf(now), ReportID: strings.ToLower(rand.Text()),
		Subject: "DMARC failure report for " + d.Author.String(), OrgName: config.OrgName, Email: config.Email,
		Made: now, Messages: int64(incidents), Rows: 1, Octets: int64(len(mail)), Stored: true,
	}}
	for _, to := range destination.Addresses(d.Record.RUF) {
		delivery := newDelivery(to, d.PolicyDomain, receiver, now)
		delivery.Expires = now.Add(p.timing.GiveUp)
		r.Delivered = append(r.Delivered, delivery)
	}
	if len(r.Delivered) == 0 {
		return false, errors.New("outgoing: ruf names no mail address")
	}
	return p.store.AddFailure(ctx, r, Limits{
		Since: now.Add(-limitsWindow), All: config.FailuresPerHour, PerHost: max(1, config.FailuresPerHour/hostShare),
	})
}

// failureOf is the report on a message.
func failureOf(c *Config, m *Message, incidents int, now time.Time) report.Failure {
	r := m.Record
	v := &r.Verdict
	f := report.Failure{
		From: c.Email, FromName: c.OrgName, To: standInTo, MessageID: standInMessageID, Date: now,
		UserAgent: c.Generator, AuthenticationResults: m.AuthenticationResults, ReportedDomain: v.DMARC.Author,
		MailFrom: r.Sender, SourceIP: r.ClientIP, Arrival: r.At, EnvelopeID: r.QueueID,
		Delivery: deliveryResult(r.Decision.Action), Incidents: incidents, Header: m.Header,
	}
	if f.MailFrom != "" && !strings.Contains(f.MailFrom, "@") {
		f.MailFrom = "@" + f.MailFrom // the local part is not kept
	}
	if !v.DMARC.DKIMAligned {
		f.Failed = append(f.Failed, report.MechanismDKIM)
	}
	if !v.DMARC.SPFAligned {
		f.Failed = append(f.Failed, report.MechanismSPF)
		if v.SPF.Status != spf.Pass && v.SPFAlignment == dmarc.Aligned {
			f.SPF = spfRecords(r)
		}
	}
	for i := range v.DKIM {
		s := &v.DKIM[i]
		if s.Selector == "" || s.Domain.IsZero() {
			continue // it could not be read; the fields are nothing without (RFC 6591 section 3.2.3)
		}
		if s.Status != dkim.Pass && i < len(v.DKIMAlignments) && v.DKIMAlignments[i] == dmarc.Aligned {
			f.DKIM = &report.DKIMFailure{Domain: s.Domain, Identity: s.Identity, Selector: s.Selector}
			break
		}
	}
	return f
}

// spfRecords are the records that SPF used, as far as the DNS answers were kept.
func spfRecords(r *memory.Record) []report.SPFRecord {
	if r.Trace == nil {
		return nil
	}
	chain := append([]string{r.Verdict.SPF.Domain.String()}, r.Verdict.SPF.Chain...)
	var out []report.SPFRecord
	for _, a := range r.Trace.Answers {
		if a.Type != "TXT" || !slices.Contains(chain, a.Name) {
			continue
		}
		name, err := dns.Parse(a.Name)
		if err != nil {
			continue
		}
		for _, text := range a.Texts {
			text = joined(text)
			if strings.HasPrefix(strings.ToLower(text), "v=spf1") {
				out = append(out, report.SPFRecord{Domain: name, Record: text})
			}
		}
	}
	return out
}

// joined is a TXT record without the quotes of its presentation form.
func joined(s string) string {
	return strings.NewReplacer(`" "`, "", `\"`, `"`, `\\`, `\`).Replace(strings.Trim(s, `"`))
}

func deliveryResult(a policy.Action) report.Delivery {
	switch a {
	case policy.Reject:
		return report.DeliveryReject
	case policy.Quarantine:
		return report.DeliverySpam
	case policy.Discard:
		return report.DeliveryPolicy
	}
	return report.DeliveryDelivered
}
