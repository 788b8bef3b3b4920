package outgoing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dmarcd/internal/memory"
)

// Pipeline makes reports, keeps them in a queue and sends them. Safe for concurrent
// use.
type Pipeline struct {
	store    Store
	resolver Resolver
	log      *slog.Logger
	clock    func() time.Time
	timing   Timing
	config   atomic.Pointer[Config]
	stats    counters
	breaker  breaker
	running  running
	taken    taken
	failures *collector
	wake     chan struct{} // holds one wake-up for the queue
	passed   memory.Day    // the last day skipped while reports are off; used by plan only
}

// New makes a Pipeline; Run makes it work.
func New(o Options, c Config) *Pipeline {
	p := &Pipeline{
		store: o.Store, resolver: o.Resolver, log: o.Log, clock: o.Now,
		timing: o.Timing.or(DefaultTiming()), wake: make(chan struct{}, 1),
	}
	p.breaker = breaker{first: p.timing.PauseFirst, most: p.timing.PauseMost}
	p.config.Store(&c)
	p.stats.begin()
	p.failures = newCollector(p)
	return p
}

// Update applies c to everything that begins from now on. A queue that waits for the mail
// server tries it at once: the server may be a new one.
func (p *Pipeline) Update(c Config) {
	p.config.Store(&c)
	p.breaker.reset()
	p.wakeSender()
}

func (p *Pipeline) current() *Config { return p.config.Load() }

func (p *Pipeline) now() time.Time { return p.clock() }

// wakeSender makes the sender check the queue without waiting for the next tick.
func (p *Pipeline) wakeSender() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, and then briefly lets mails under way finish. While another
// daemon leads, it only collects failure reports.
func (p *Pipeline) Run(ctx context.Context) error {
	var others sync.WaitGroup
	others.Go(func() { p.failures.run(ctx) })
	defer others.Wait()
	return p.store.Lead(ctx, p.lead)
}

// lead is the leader's work.
func (p *Pipeline) lead(ctx context.Context, epoch int64) error {
	var work sync.WaitGroup
	work.Go(func() {
		p.every(ctx, p.timing.Plan, "reports could not be made yet", func() error { return p.plan(ctx, epoch) })
	})
	work.Go(func() { p.send(ctx, epoch) })
	work.Wait()
	p.stats.noGauges()
	return context.Cause(ctx)
}

// every does something at once and then in intervals. What fails is tried again
// sooner at first.
func (p *Pipeline) every(ctx context.Context, interval time.Duration, trouble string, do func() error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failed := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := do(); err != nil {
			failed++
			p.warn(ctx, trouble, err)
			timer.Reset(min(interval, time.Duration(failed)*max(interval/10, time.Second)))
			continue
		}
		failed = 0
		timer.Reset(interval)
	}
}

// Stats is what has happened since the start. The gauges are those of the leader,
// and nil on the other daemons.
func (p *Pipeline) Stats() Stats {
	s := p.stats.read()
	s.Paused = p.breaker.paused()
	return s
}
