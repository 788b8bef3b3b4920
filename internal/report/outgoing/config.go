package outgoing

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// Sender passes a mail for one address to an MTA and returns once it is accepted or
// refused, or soon after ctx ends. An error may have the methods of refusal; any other
// counts as network trouble. It is used by several goroutines.
type Sender interface {
	Send(ctx context.Context, from string, to []string, mail []byte) error
}

// Resolver looks up TXT records.
type Resolver = dmarc.Resolver

// Config is the pipeline's settings. It must not be changed after it was passed.
type Config struct {
	Enabled     bool // daily reports; queued mail is sent in any case
	Counted     bool // mail of some recipient domain is counted for them (daily_reports)
	OrgName     string
	Email       string // of From, and the envelope sender
	Contact     string
	At          time.Duration // after midnight UTC
	Scope       settings.Scope
	Exclude     policy.DomainList // policy domains
	MinMessages int
	PSL         bool // organizational domains by the public suffix list

	Failures        bool
	FailuresPerHour int

	Generator string // name and version of this software
	Sender    Sender
	Signer    *Signer // nil for unsigned
}

// FromSettings makes a Config from the settings. The caller adds Generator, Sender and
// Signer.
func FromSettings(s *settings.Settings) Config {
	r := &s.Reports
	return Config{
		Enabled: r.Enabled, Counted: countsMail(&s.Policy), OrgName: r.OrgName, Email: r.Email, Contact: r.Contact,
		At: time.Duration(r.At) * time.Minute, Scope: r.Scope, Exclude: r.Exclude, MinMessages: r.MinMessages,
		PSL:      s.Discovery == settings.DiscoveryPSL,
		Failures: r.Enabled && r.Failure.Enabled, FailuresPerHour: r.Failure.PerHour,
	}
}

// countsMail reports whether the rules of some recipient domain have daily_reports.
func countsMail(p *settings.Policy) bool {
	if p.Default != nil && p.Default.DMARC.DailyReports {
		return true
	}
	for _, rules := range p.Domains {
		if rules.DMARC.DailyReports {
			return true
		}
	}
	return false
}

// receiver is the Submitter: the domain of our reports' sender address.
func (c *Config) receiver() (dns.Name, error) {
	return dns.Parse(c.Email[strings.LastIndexByte(c.Email, '@')+1:])
}

// Timing is how long things take. Zero fields have the values of DefaultTiming.
type Timing struct {
	Tick       time.Duration // between two looks at the queue
	Plan       time.Duration // between two looks at the calendar
	Attempt    time.Duration // one mail, its lookups included
	Grace      time.Duration // time for attempts under way at shutdown
	Lease      time.Duration // a claim; longer than Attempt
	Workers    int           // mails at once
	SpreadEach time.Duration // room for each report of a day,
	SpreadMost time.Duration // and for all of them
	RetryFirst time.Duration // pause after the first attempt, doubled after each
	RetryMost  time.Duration
	GiveUp     time.Duration // from the making of a report
	PauseFirst time.Duration // pause of the queue after trouble with our server, doubled each time
	PauseMost  time.Duration
	Collapse   time.Duration // for how long like failures are one report
}

// DefaultTiming is for a daemon.
func DefaultTiming() Timing {
	return Timing{
		Tick: 2 * time.Second, Plan: 20 * time.Second,
		Attempt: 5 * time.Minute, Grace: 10 * time.Second, Lease: 8 * time.Minute, Workers: 4,
		SpreadEach: 2 * time.Second, SpreadMost: time.Hour,
		RetryFirst: 5 * time.Minute, RetryMost: 4 * time.Hour, GiveUp: 48 * time.Hour,
		PauseFirst: 30 * time.Second, PauseMost: 15 * time.Minute,
		Collapse: time.Hour,
	}
}

// or replaces zero values by those of d.
func (t Timing) or(d Timing) Timing {
	for _, p := range []struct{ have, fill *time.Duration }{
		{&t.Tick, &d.Tick}, {&t.Plan, &d.Plan}, {&t.Attempt, &d.Attempt}, {&t.Grace, &d.Grace}, {&t.Lease, &d.Lease},
		{&t.SpreadEach, &d.SpreadEach}, {&t.SpreadMost, &d.SpreadMost}, {&t.RetryFirst, &d.RetryFirst},
		{&t.RetryMost, &d.RetryMost}, {&t.GiveUp, &d.GiveUp}, {&t.PauseFirst, &d.PauseFirst},
		{&t.PauseMost, &d.PauseMost}, {&t.Collapse, &d.Collapse},
	} {
		if *p.have == 0 {
			*p.have = *p.fill
		}
	}
	if t.Workers == 0 {
		t.Workers = d.Workers
	}
	return t
}

// Options are the parts that a Pipeline works with. All are needed but Timing.
type Options struct {
	Store    Store
	Resolver Resolver
	Log      *slog.Logger
	Now      func() time.Time
	Timing   Timing
}
