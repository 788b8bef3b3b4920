package outgoing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/report/destination"
	"dmarcd/internal/text"
)

// How often the leader updates the gauges.
const (
	gaugesEvery = 15 * time.Second
	finalsEvery = 5 * time.Minute // what has ended, which is much more
)

// send delivers due mail until ctx ends.
func (p *Pipeline) send(ctx context.Context, epoch int64) {
	var workers sync.WaitGroup
	defer workers.Wait()
	free := make(chan struct{}, p.timing.Workers)
	tick := time.NewTicker(p.timing.Tick)
	defer tick.Stop()
	var last counted
	for ctx.Err() == nil {
		if states := last.due(time.Now()); len(states) > 0 && !p.gauge(ctx, states) {
			last.finals = time.Time{}
		}
		more := false
		if room := min(cap(free)-len(free), p.breaker.room(p.now(), len(free), cap(free))); room > 0 {
			tasks, err := p.claim(ctx, epoch, room)
			p.warn(ctx, "the queue of reports cannot be read", err)
			for _, t := range tasks {
				free <- struct{}{}
				workers.Go(func() {
					defer func() { <-free; p.wakeSender() }()
					p.deliver(ctx, &t)
				})
			}
			more = err == nil && len(tasks) == room && len(free) < cap(free)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-tick.C:
		}
	}
}

// drain delivers the mail due now, and returns how many deliveries it tried.
func (p *Pipeline) drain(ctx context.Context, epoch int64) (int, error) {
	total := 0
	for ctx.Err() == nil {
		room := p.breaker.room(p.now(), 0, p.timing.Workers)
		if room == 0 {
			return total, nil
		}
		tasks, err := p.claim(ctx, epoch, room)
		if err != nil || len(tasks) == 0 {
			return total, err
		}
		var workers sync.WaitGroup
		for _, t := range tasks {
			workers.Go(func() { p.deliver(ctx, &t) })
		}
		workers.Wait()
		total += len(tasks)
	}
	return total, ctx.Err()
}

func (p *Pipeline) claim(ctx context.Context, epoch int64, room int) ([]Task, error) {
	now := p.now()
	tasks, err := p.store.Claim(ctx, epoch, now, now.Add(p.timing.Lease), room, p.running.list())
	for i := range tasks {
		p.running.add(tasks[i].Delivery.ID)
	}
	return tasks, err
}

// counted is when the leader counted what.
type counted struct{ waiting, finals time.Time }

// due is the states to be counted now.
func (c *counted) due(now time.Time) []State {
	switch {
	case now.Sub(c.waiting) < gaugesEvery:
		return nil
	case now.Sub(c.finals) < finalsEvery:
		c.waiting = now
		return slices.DeleteFunc(States(), func(s State) bool { return !s.Waiting() })
	}
	c.waiting, c.finals = now, now
	return States()
}

// gauge counts the deliveries in those states; false if it cannot.
func (p *Pipeline) gauge(ctx context.Context, states []State) bool {
	g, err := p.store.Gauges(ctx, p.now(), states)
	if err != nil {
		p.warn(ctx, "the queue of reports cannot be counted", err)
		return false
	}
	p.stats.gauges(g)
	return true
}

// completeTime is for noting the end of an attempt after ctx has ended.
const completeTime = 10 * time.Second

// deliver makes one attempt and notes its result.
func (p *Pipeline) deliver(ctx context.Context, t *Task) {
	defer p.running.remove(t.Delivery.ID)
	limited, cancel := p.attemptContext(ctx)
	o := p.attempt(limited, t)
	cancel()
	o.At = p.now()
	if o.State.Waiting() && !o.Due.Before(t.Delivery.Expires) {
		o.State, o.Due = StateExpired, time.Time{}
	}
	if o.State == StateExpired && o.Cause == CausePolicy && p.relays(t) {
		o.Suppress = t.Delivery.To
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), completeTime)
	defer cancel()
	ours, err := p.store.Complete(noting, t, &o)
	p.logAttempt(ctx, t, &o, ours, err)
}

// relays reports that our server took mail for other hosts since a delivery began: then
// its refusal to relay to this one is permanent.
func (p *Pipeline) relays(t *Task) bool {
	host, err := destination.Host(t.Delivery.To)
	return err == nil && p.taken.elsewhere(host).After(t.Delivery.Expires.Add(-p.timing.GiveUp))
}

// attemptContext bounds one attempt. The end of ctx leaves it a moment, so that a mail
// that is all but taken is not sent twice; the claim outlasts that.
func (p *Pipeline) attemptContext(ctx context.Context) (context.Context, context.CancelFunc) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timing.Attempt)
	unhook := context.AfterFunc(ctx, func() {
		last := time.NewTimer(p.timing.Grace)
		defer last.Stop()
		select {
		case <-limited.Done():
		case <-last.C:
			cancel()
		}
	})
	return limited, func() { unhook(); cancel() }
}

// logAttempt logs and counts the end of an attempt.
func (p *Pipeline) logAttempt(ctx context.Context, t *Task, o *AttemptResult, ours bool, err error) {
	switch {
	case o.State == StateSent:
		p.stats.add(func(s *Stats) { s.Sent++ })
	case o.State == StateReplaced:
	default:
		p.stats.attempt(o.State, o.Cause)
	}
	if o.Suppress != "" {
		p.stats.add(func(s *Stats) { s.Suppressed++ })
	}
	host, _ := destination.Host(t.Delivery.To) // it was read before; the log shows no local parts
	fields := []any{
		"kind", string(t.Report.Kind), "policy_domain", t.Report.Domain, "day", t.Report.Day.String(), "report_id", t.Report.ReportID,
		"to_host", host.String(), "state", string(o.State), "attempts", t.Delivery.Attempts,
	}
	if o.Cause != "" {
		fields = append(fields, "cause", string(o.Cause), "error", o.Error)
	}
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "the end of a delivery could not be stored; the mail may be sent again", append(fields, "store_error", text.Cut(text.Error(err), maxErrorText))...)
	case !ours:
		p.log.WarnContext(ctx, "a delivery was taken over by another daemon before its end", fields...)
	case o.State == StateFailed, o.State == StateExpired:
		p.log.WarnContext(ctx, "a report was not delivered", fields...)
	case o.State.Waiting():
		p.log.DebugContext(ctx, "a report is tried again later", append(fields, "due", o.Due.UTC().Format(time.RFC3339))...)
	default:
		p.log.InfoContext(ctx, "report", fields...)
	}
}

// attempt does the next step of a delivery.
func (p *Pipeline) attempt(ctx context.Context, t *Task) AttemptResult {
	c := p.current()
	o := AttemptResult{State: t.Delivery.State, Verified: t.Delivery.Verified, Record: t.Delivery.Record}
	if t.SuppressedWhy != "" {
		o.State, o.Cause, o.Error = StateSuppressed, CauseSuppressed, t.SuppressedWhy
		return o
	}
	// What never was tried, because nothing ran, is tried once.
	if t.Delivery.Attempts > 1 && !p.now().Before(t.Delivery.Expires) {
		o.State, o.Cause, o.Error = StateExpired, t.Delivery.Cause, t.Delivery.Error
		if o.Cause == "" {
			o.Cause, o.Error = CauseServer, "nothing could be sent in time"
		}
		return o
	}
	if !o.Verified && !p.confirm(ctx, c, t, &o) {
		return o
	}
	mail, err := p.mail(ctx, c, t)
	switch {
	case errors.Is(err, report.ErrBadMail), errors.Is(err, ErrNotFound):
		o.State, o.Cause, o.Error = StateFailed, CauseMail, text.Cut(text.Error(err), maxErrorText)
		return o
	case err != nil:
		return p.again(t, o, CauseServer, err)
	}
	return p.hand(ctx, c, t, o, mail)
}

// confirm checks by DNS whether an outside host wants the report, and reports whether it
// may be sent now.
func (p *Pipeline) confirm(ctx context.Context, c *Config, t *Task, o *AttemptResult) bool {
	domain, err := dns.ParseQuery(t.Report.Domain)
	host, err2 := destination.Host(t.Delivery.To)
	receiver, err3 := c.receiver()
	if err := errors.Join(err, err2, err3); err != nil {
		o.State, o.Cause, o.Error = StateFailed, CauseMail, text.Cut(text.Error(err), maxErrorText)
		return false
	}
	tag := destination.RUA
	if t.Report.Kind == KindFailure {
		tag = destination.RUF
	}
	s := destination.Checker{Resolver: p.resolver, PSL: c.PSL}.Check(ctx, tag, domain, host)
	o.Record = text.Cut(s.Record, maxErrorText)
	switch {
	case s.Err != nil:
		*o = p.again(t, *o, CauseDNS, s.Err)
		o.State = StateUnconfirmed
		return false
	case s.Refused != "":
		o.State, o.Cause, o.Error = StateUnverified, CauseUnverified, text.Cut(s.Refused, maxErrorText)
		return false
	}
	kept, queued := len(s.Replace) == 0, 0
	for _, to := range s.Replace {
		if strings.EqualFold(to, t.Delivery.To) {
			kept = true
			continue
		}
		other := Delivery{To: to, State: StateQueued, Verified: true, Record: o.Record, Due: p.now(), Expires: t.Delivery.Expires,
			MessageID: newMessageID(receiver)}
		if wrong := destination.Unsafe(to); wrong != "" {
			other.State, other.Cause, other.Error, other.Due = StateFailed, CauseMail, wrong, time.Time{}
		} else if queued++; queued > maxReplaced {
			other.hold("%s names more than %d addresses in place of one", host, maxReplaced)
			p.stats.add(func(s *Stats) { s.Capped++ })
		}
		o.Others = append(o.Others, other)
	}
	o.State, o.Verified = StateReplaced, kept
	if kept {
		o.State = StateQueued
	}
	return kept
}

// hand passes the mail to the server and interprets its answer.
func (p *Pipeline) hand(ctx context.Context, c *Config, t *Task, o AttemptResult, mail []byte) AttemptResult {
	from := c.Email
	if t.Report.Kind == KindFailure {
		from = "" // nobody is to answer it, not even a mail server
	}
	err := c.Sender.Send(ctx, from, []string{t.Delivery.To}, mail)
	if err == nil {
		p.breaker.reset()
		if host, err := destination.Host(t.Delivery.To); err == nil {
			p.taken.note(host, p.now())
		}
		o.State, o.Cause, o.Error = StateSent, "", ""
		return o
	}
	a := judge(err)
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		// We stop, or lead no more. Whether the mail was taken is not known.
		o.Cause, o.Error, o.Due, o.Uncounted = a.cause, a.text, p.now(), true
		return o
	case a.all:
		until, began := p.breaker.trouble(p.now())
		if began {
			p.log.WarnContext(ctx, "reports wait: the mail server of reports.smtp does not take them", "until", until.UTC().Format(time.RFC3339), "error", a.text)
		}
		o.Cause, o.Error, o.Uncounted = a.cause, a.text, true
		o.Due = until.Add(rand.N(p.timing.PauseFirst))
		return o
	case a.final:
		p.breaker.reset()
		o.State, o.Cause, o.Error = StateFailed, a.cause, a.text
		if a.suppress {
			o.Suppress = t.Delivery.To
		}
		return o
	}
	if a.cause != CauseTimeout {
		p.breaker.reset()
	}
	o = p.again(t, o, a.cause, nil)
	o.Error = a.text
	return o
}

// again puts a delivery off: for longer each time, and not all for as long.
func (p *Pipeline) again(t *Task, o AttemptResult, cause Cause, err error) AttemptResult {
	pause := p.timing.RetryMost
	if n := t.Delivery.Attempts - 1; n < 16 {
		pause = min(p.timing.RetryFirst<<max(n, 0), pause)
	}
	pause += rand.N(pause/2+1) - pause/4
	o.Cause, o.Due = cause, p.now().Add(pause)
	if err != nil {
		o.Error = text.Cut(text.Error(err), maxErrorText)
	}
	return o
}

// mail makes the mail of a delivery, signed.
func (p *Pipeline) mail(ctx context.Context, c *Config, t *Task) ([]byte, error) {
	file, err := p.store.File(ctx, t.Report.ID)
	if err != nil {
		return nil, err
	}
	var mail []byte
	if t.Report.Kind == KindFailure {
		mail = fillIn(file, t.Delivery.To, t.Delivery.MessageID)
	} else if mail, err = compose(c, &t.Report, &t.Delivery, file); err != nil {
		return nil, err
	}
	if c.Signer == nil {
		return mail, nil
	}
	return c.Signer.sign(mail)
}

// compose makes the mail of an aggregate report. The file, its names and its maker are
// the stored ones; From and the signature follow the current settings.
func compose(c *Config, r *Report, d *Delivery, file []byte) ([]byte, error) {
	receiver, err := destination.Host(r.Email)
	if err != nil {
		return nil, fmt.Errorf("%w: the address in the report: %w", report.ErrBadMail, err)
	}
	domain, err := dns.ParseQuery(r.Domain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", report.ErrBadMail, err)
	}
	m := report.Mail{
		From: c.Email, FromName: c.OrgName, To: d.To, MessageID: d.MessageID, Date: r.Made,
		Receiver: receiver, Domain: domain,
		Metadata: report.Metadata{
			OrgName: r.OrgName, Email: r.Email, ReportID: r.ReportID, Begin: r.Day.Begin(), End: r.Day.End(),
		},
		Messages: r.Messages, FileName: r.FileName, Gzip: file,
	}
	return m.Bytes()
}

// breaker is the circuit breaker: it pauses the queue while our mail server is in trouble.
type breaker struct {
	first, most time.Duration

	mu     sync.Mutex
	failed int // pauses in a row
	until  time.Time
}

// room is how many mails may be started. After trouble a single one is tried first.
func (g *breaker) room(now time.Time, running, most int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.failed == 0:
		return most - running
	case running > 0, now.Before(g.until) && g.until.Sub(now) <= g.most: // not where the clock was set back
		return 0
	}
	return 1
}

// trouble begins a pause, or joins the current one, and returns its end.
func (g *breaker) trouble(now time.Time) (until time.Time, began bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.until) && g.until.Sub(now) <= g.most {
		return g.until, false
	}
	pause := g.most
	if g.failed < 16 {
		pause = min(g.first<<g.failed, pause)
	}
	g.failed++
	g.until = now.Add(pause)
	return g.until, true
}

// reset ends the trouble.
func (g *breaker) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed, g.until = 0, time.Time{}
}

func (g *breaker) paused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed > 0
}

// taken remembers when our server last took mail, for the latest host and for any
// other.
type taken struct {
	mu     sync.Mutex
	host   dns.Name
	latest time.Time
	other  time.Time
}

func (t *taken) note(host dns.Name, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if host != t.host {
		t.other, t.host = t.latest, host
	}
	t.latest = now
}

// elsewhere is when mail for another host was last taken; zero if none was.
func (t *taken) elsewhere(host dns.Name) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if host == t.host {
		return t.other
	}
	return t.latest
}

// running are the deliveries under way here: a clock that is set forward must not
// make their claims lapse.
type running struct {
	mu  sync.Mutex
	ids []int64
}

func (r *running) add(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, id)
}

func (r *running) remove(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.ids, id); i >= 0 {
		r.ids = slices.Delete(r.ids, i, i+1)
	}
}

func (r *running) list() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ids)
}
