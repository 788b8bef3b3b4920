package store

import (
	"context"
	"errors"
	"time"
)

// TaskRetention is the leader's task of removing old data.
const TaskRetention = "retention"

// Times of Retain.
const (
	retainFirst = 30 * time.Second // after the start
	retainAge   = 10 * time.Minute // between two checks for old data
	retainSize  = 20 * time.Second // between two looks at the size

	// farOver is the part of max_bytes by which the store may exceed it until the next
	// check for old data.
	farOver = 50

	// clockAhead is how far the clock may be ahead of retention's last run, and
	// clockStands is how long it must be stable if it is further ahead.
	clockAhead  = 2 * time.Hour
	clockStands = time.Hour
	clockNoted  = 10 * time.Minute // between two notes of the time
)

// Retain removes data past retention while this daemon leads, until ctx ends: old data at
// intervals, and detail at once where the store is far too large. Each time done gets
// what was removed, and why it ended early.
func (s *Store) Retain(ctx context.Context, keep func() Retention, done func(Pruned, error)) error {
	return s.Lead(ctx, TaskRetention, func(ctx context.Context, _ int64) error {
		c := clock{s: s}
		var nextAge time.Duration
		for wait := s.timing.retainFirst; ; wait = s.timing.retainSize {
			if err := pause(ctx, wait); err != nil {
				return err
			}
			now := s.elapsed()
			switch over, err := s.farOver(ctx, keep().MaxBytes); {
			case now >= nextAge:
				done(s.retain(ctx, &c, keep()))
				nextAge = now + s.timing.retainAge
			case err == nil && over:
				done(s.shrink(ctx, keep().MaxBytes))
			}
		}
	})
}

// retain removes old data, if the clock can be trusted, and detail beyond the size limit.
func (s *Store) retain(ctx context.Context, c *clock, keep Retention) (Pruned, error) {
	believed, err := c.believed(ctx)
	switch {
	case err != nil:
		return Pruned{}, err
	case !believed && keep.MaxBytes > 0:
		return s.shrink(ctx, keep.MaxBytes)
	case !believed:
		return Pruned{}, nil
	}
	return s.Prune(ctx, keep, s.now())
}

// shrink removes detail beyond the size limit, whatever the clock says.
func (s *Store) shrink(ctx context.Context, most int64) (Pruned, error) {
	var p Pruned
	err := s.squeeze(ctx, most, &p)
	return p, s.finishPruning(ctx, &p, err)
}

// farOver reports that the store is far too large, and that there is detail to remove.
func (s *Store) farOver(ctx context.Context, most int64) (bool, error) {
	if most <= 0 {
		return false, nil
	}
	size, err := s.Size(ctx)
	if err != nil || size <= most+most/farOver {
		return false, err
	}
	var any int64
	err = s.read(ctx, "detail", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT id FROM messages LIMIT 1`).Scan(&any)
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// clock decides whether the time can be trusted: a clock that is days ahead for a minute
// must not remove what is kept for weeks. It compares the time with the last run of
// retention, by this daemon or another, or by the newest message.
type clock struct {
	s       *Store
	suspect bool
	since   time.Duration // elapsed, when it was found to be ahead
	told    time.Time     // what the clock showed then
}

func (c *clock) believed(ctx context.Context) (bool, error) {
	now, elapsed := c.s.now(), c.s.elapsed()
	last, err := c.s.retentionClock(ctx)
	if err != nil {
		return false, err
	}
	ahead := now.Sub(last)
	if !last.IsZero() && ahead > clockAhead {
		drift := now.Sub(c.told) - (elapsed - c.since)
		if !c.suspect || drift.Abs() > clockAhead { // it has moved again
			c.suspect, c.since, c.told = true, elapsed, now
			c.s.log.WarnContext(ctx, "the clock is far ahead of when retention last ran: nothing is removed by age until it has stood for an hour",
				"clock", now.UTC().Format(time.RFC3339), "last", last.UTC().Format(time.RFC3339))
		}
		if elapsed-c.since < clockStands {
			return false, nil
		}
	}
	c.suspect = false
	if ahead.Abs() < clockNoted {
		return true, nil
	}
	return true, c.s.write(ctx, "note the time of retention", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO retention_clock (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at`, now.Unix())
		return err
	})
}

// retentionClock is the time of retention's last run or, before the first, of the newest
// message; zero for an empty store.
func (s *Store) retentionClock(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := s.read(ctx, "time of retention", func(ctx context.Context, t *tx) error {
		var seconds, id int64
		err := t.row(ctx, `SELECT at FROM retention_clock WHERE id = 1`).Scan(&seconds)
		if err == nil {
			at = time.Unix(seconds, 0)
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := t.row(ctx, `SELECT id FROM messages ORDER BY id DESC LIMIT 1`).Scan(&id); err != nil {
			return err
		}
		at = timeOfID(id)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, nil
	}
	return at, err
}
