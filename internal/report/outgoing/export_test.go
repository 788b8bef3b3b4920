package outgoing

import (
	"context"
	"time"
)

// Plan is the leader's look at the calendar.
func (p *Pipeline) Plan(ctx context.Context, epoch int64) error { return p.plan(ctx, epoch) }

// DrainNow delivers what is due.
func (p *Pipeline) DrainNow(ctx context.Context, epoch int64) (int, error) {
	return p.drain(ctx, epoch)
}

// ClaimNow claims what is due.
func (p *Pipeline) ClaimNow(ctx context.Context, epoch int64, room int) ([]Task, error) {
	return p.claim(ctx, epoch, room)
}

// Deliver makes one attempt.
func (p *Pipeline) Deliver(ctx context.Context, t *Task) { p.deliver(ctx, t) }

// Collect takes the messages that wait for the collector, and what is ripe.
func (p *Pipeline) Collect(ctx context.Context) {
	for {
		select {
		case m := <-p.failures.pending:
			p.failures.take(ctx, m)
			continue
		default:
		}
		p.failures.ripen(ctx)
		return
	}
}

// Gauge counts the deliveries in those states.
func (p *Pipeline) Gauge(ctx context.Context, states []State) { p.gauge(ctx, states) }

// CountedStates returns the states that the leader counts at a time.
func CountedStates() func(now time.Time) []State {
	var c counted
	return c.due
}

// Judge is judge.
func Judge(err error) (cause Cause, final, suppress, all bool) {
	a := judge(err)
	return a.cause, a.final, a.suppress, a.all
}
