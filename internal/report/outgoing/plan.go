package outgoing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/text"
)

const (
	// catchUp is how many days, the last one included, are made up for.
	catchUp = 7
	// domainPage is how many domains are read at once.
	domainPage = 500
	// Reports stored in one transaction, at most, and octets of theirs.
	batchReports = 64
	batchOctets  = 4 << 20
)

// plan closes the days that are over and makes their reports. It may be interrupted
// anywhere and resumes there.
func (p *Pipeline) plan(ctx context.Context, epoch int64) error {
	c := p.current()
	now := p.now().UTC()
	today := memory.DayOf(now)
	through := today - 1
	if now.Sub(today.Begin()) < c.At {
		through--
	}
	if !c.Enabled {
		return p.pass(ctx, epoch, through-1)
	}
	p.passed = 0
	progress, err := p.store.CloseDays(ctx, epoch, through, today)
	if err != nil {
		return fmt.Errorf("outgoing: close %s: %w", through, err)
	}
	if progress.Reopened != 0 {
		p.log.WarnContext(ctx, "days were closed that are not over: a clock was ahead; they are open again, and what was counted into them is reported when they come",
			"from", max(progress.Closed+1, today).String(), "through", progress.Reopened.String())
	}
	first, last := max(progress.Built+1, through-catchUp+1), min(progress.Closed, through)
	if err := p.skip(ctx, epoch, progress.Built+1, first-1); err != nil {
		return err
	}
	totals, due, err := p.spread(ctx, first, last)
	if err != nil {
		return fmt.Errorf("outgoing: %w", err)
	}
	for i, total := range totals {
		day := first + memory.Day(i)
		if err := p.buildDay(ctx, epoch, c, day, total, due); err != nil {
			return fmt.Errorf("outgoing: reports on %s: %w", day, err)
		}
		if err := p.store.Built(ctx, epoch, day); err != nil {
			return fmt.Errorf("outgoing: reports on %s: %w", day, err)
		}
		p.wakeSender()
	}
	return nil
}

// skip counts as lost the aggregates of days too long ago to be made up for, such as
// those of a clock set years back.
func (p *Pipeline) skip(ctx context.Context, epoch int64, first, last memory.Day) error {
	if first > last {
		return nil
	}
	lost, err := p.store.CountUnreported(ctx, first, last)
	if err == nil {
		err = p.store.Built(ctx, epoch, last) // so that they are counted once
	}
	if err != nil {
		return fmt.Errorf("outgoing: skip days through %s: %w", last, err)
	}
	if lost > 0 {
		p.stats.add(func(s *Stats) { s.Lost += uint64(lost) })
		p.log.WarnContext(ctx, "messages are in no report: their days are too long ago; a clock was wrong, or no daemon made reports for over a week",
			"messages", lost, "from", first.String(), "through", last.String())
	}
	return nil
}

// pass marks days as passed without reports while they are off, so that they are not made
// up for later.
func (p *Pipeline) pass(ctx context.Context, epoch int64, day memory.Day) error {
	if p.passed == day {
		return nil
	}
	if err := p.store.Built(ctx, epoch, day); err != nil {
		return fmt.Errorf("outgoing: pass by %s: %w", day, err)
	}
	p.passed = day
	return nil
}

// spread counts the domains of each day and spreads all their reports over one period of
// time.
func (p *Pipeline) spread(ctx context.Context, first, last memory.Day) (totals []int, due func() time.Time, err error) {
	all := 0
	for day := first; day <= last; day++ {
		n, err := p.store.CountDomains(ctx, day)
		if err != nil {
			return nil, nil, err
		}
		totals = append(totals, n)
		all += n
	}
	began, window := p.now(), min(time.Duration(all)*p.timing.SpreadEach, p.timing.SpreadMost)
	return totals, func() time.Time { return began.Add(rand.N(window + 1)) }, nil
}

// buildDay makes and stores the reports on one day that are not made yet.
func (p *Pipeline) buildDay(ctx context.Context, epoch int64, c *Config, day memory.Day, total int, due func() time.Time) error {
	if total == 0 {
		return nil
	}
	b, err := p.newBuilder(ctx, c, day)
	if err != nil {
		return err
	}
	began := p.now()
	b.due = due
	batch := batch{store: p.store, epoch: epoch}
	var after dns.Name
	for {
		domains, err := p.store.Domains(ctx, day, after, domainPage)
		if err != nil {
			return err
		}
		for i := range domains {
			d := &domains[i]
			if after = d.Domain; !b.wants(d) {
				continue
			}
			if err := p.buildInto(ctx, b, &batch, d.Domain); err != nil {
				return err
			}
		}
		if len(domains) < domainPage {
			break
		}
	}
	if err := batch.flush(ctx); err != nil {
		return err
	}
	p.stats.add(func(s *Stats) { s.Built += uint64(batch.stored) })
	p.capped(ctx, b)
	p.log.InfoContext(ctx, "aggregate reports made", "day", day.String(), "domains", total, "reports", batch.stored,
		"took", p.now().Sub(began).Round(time.Millisecond).String())
	return nil
}

// capped logs mails that were held back.
func (p *Pipeline) capped(ctx context.Context, b *builder) {
	if b.capped == 0 {
		return
	}
	p.stats.add(func(s *Stats) { s.Capped += uint64(b.capped) })
	p.log.WarnContext(ctx, "reports are held back: one organization asks for too many mails", "day", b.day.String(),
		"mails", b.capped, "organizations", len(b.over), "one_of_them", b.overOne().String())
}

// buildInto adds the report on one domain to the batch. Data that no report can be
// made of makes a report without a file, which people see.
func (p *Pipeline) buildInto(ctx context.Context, b *builder, batch *batch, domain dns.Name) error {
	r, err := b.build(ctx, domain)
	switch {
	case errors.Is(err, ErrNothing):
		return nil
	case errors.Is(err, errRows):
		p.log.ErrorContext(ctx, "no report can be made", "policy_domain", domain.String(), "day", b.day.String(), "error", text.Error(err))
		p.stats.add(func(s *Stats) { s.Unmade++ })
		r.File, r.Stored, r.Delivered, r.Problem = nil, false, nil, text.Cut(text.Error(err), maxErrorText)
	case err != nil:
		return err
	}
	return batch.add(ctx, r)
}

// newBuilder fails with ErrRequest where the settings name no reporter; other errors come
// from the store.
func (p *Pipeline) newBuilder(ctx context.Context, c *Config, day memory.Day) (*builder, error) {
	receiver, err := c.receiver()
	switch {
	case err != nil:
		return nil, requestErrorf(ErrRequest, "reports.email of dmarcd.yaml has to be an address that reports come from; it is %q", c.Email)
	case c.OrgName == "":
		return nil, requestErrorf(ErrRequest, "reports.org_name is needed")
	}
	secret, err := p.store.Secret(ctx)
	if err != nil {
		return nil, err
	}
	now := p.now().UTC()
	return &builder{
		source: p.store, config: *c, receiver: receiver, secret: secret, now: now, giveUp: p.timing.GiveUp,
		due: func() time.Time { return now }, day: day, mails: map[dns.Name]int{}, over: map[dns.Name]bool{},
	}, nil
}

// batch stores reports, several in a transaction.
type batch struct {
	store   Queue
	epoch   int64
	reports []NewReport
	octets  int64
	stored  int
}

func (b *batch) add(ctx context.Context, r NewReport) error {
	b.reports = append(b.reports, r)
	b.octets += r.Octets
	if len(b.reports) < batchReports && b.octets < batchOctets {
		return nil
	}
	return b.flush(ctx)
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.reports) == 0 {
		return nil
	}
	n, err := b.store.Add(ctx, b.epoch, b.reports)
	b.stored += n
	b.reports, b.octets = b.reports[:0], 0
	return err
}

// warn logs an error of the store's or the network's, unless all ends.
func (p *Pipeline) warn(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		p.log.LogAttrs(ctx, slog.LevelWarn, what, slog.String("error", text.Cut(text.Error(err), maxErrorText)))
	}
}
