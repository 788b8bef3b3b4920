package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dmarcd/internal/memory"
)

// Slices of Prune: what one transaction removes at most.
const (
	pruneTraces        = 500
	pruneMessages      = 500
	pruneAggregateRows = 2000
	pruneTexts         = 20_000 // rows examined
	pruneDomains       = 2000
)

// Retention is how long things are kept, and how much. Zero is no limit.
type Retention struct {
	Messages   time.Duration // those that are held as long as Aggregates
	Traces     time.Duration
	Aggregates time.Duration // aggregates, in whole days; the reports made of them, policies
	RawReports time.Duration // the files of reports that were sent, and those that were received
	Received   time.Duration // records of received reports
	Rollups    time.Duration // their sums, and the history of DNS records
	MaxBytes   int64         // beyond it the oldest traces go first, then the oldest messages; all else is kept
}

// Pruned counts what Prune removed.
type Pruned struct {
	Messages       int64 // by age
	Traces         int64 // by age, or with their message
	Aggregates     int64
	Reports        int64
	Received       int64 // rows of received reports, and dependent rows
	OversizeTraces int64 // removed although they were young enough
	Oversize       int64 // messages, likewise
	Bytes          int64 // what the store takes up afterwards
}

// Prune removes data past retention as of now, in small transactions, each followed by a
// pause as long as it took, so that loading continues. It returns what it removed even
// after an error.
func (s *Store) Prune(ctx context.Context, keep Retention, now time.Time) (Pruned, error) {
	var p Pruned
	err := s.pruneByAge(ctx, keep, now, &p)
	if err == nil && keep.MaxBytes > 0 {
		err = s.squeeze(ctx, keep.MaxBytes, &p)
	}
	return p, s.finishPruning(ctx, &p, err)
}

// finishPruning frees space and measures the rest.
func (s *Store) finishPruning(ctx context.Context, p *Pruned, err error) error {
	if err == nil {
		err = s.dropStrays(ctx)
	}
	if err == nil {
		err = s.dialect.giveBack(ctx, s)
	}
	if err == nil {
		p.Bytes, err = s.Size(ctx)
	}
	return err
}

// pruneByAge removes data that is too old.
func (s *Store) pruneByAge(ctx context.Context, keep Retention, now time.Time, p *Pruned) error {
	for _, kind := range []struct {
		keep time.Duration
		drop func(ctx context.Context, before time.Time) error
	}{
		{keep.Traces, func(ctx context.Context, before time.Time) error {
			return s.untilNone(ctx, &p.Traces, func(ctx context.Context) (int64, error) { return s.dropTraces(ctx, firstID(before)) })
		}},
		{keep.Messages, func(ctx context.Context, before time.Time) error {
			return s.untilNone(ctx, &p.Messages, func(ctx context.Context) (int64, error) {
				return s.dropMessages(ctx, firstID(before), notHeld, &p.Traces)
			})
		}},
		{keep.Aggregates, func(ctx context.Context, before time.Time) error {
			return s.untilNone(ctx, &p.Messages, func(ctx context.Context) (int64, error) {
				return s.dropMessages(ctx, firstID(before), onlyHeld, &p.Traces)
			})
		}},
		{keep.Aggregates, func(ctx context.Context, before time.Time) error {
			return s.pruneAggregates(ctx, int64(memory.DayOf(before)), p)
		}},
		{keep.Aggregates, s.dropPolicies},
		{keep.Aggregates, func(ctx context.Context, before time.Time) error {
			return s.untilNone(ctx, &p.Reports, func(ctx context.Context) (int64, error) { return s.dropReports(ctx, before) })
		}},
		{keep.RawReports, func(ctx context.Context, before time.Time) error {
			var files int64
			return s.untilNone(ctx, &files, func(ctx context.Context) (int64, error) { return s.dropReportFiles(ctx, before) })
		}},
	} {
		if kind.keep <= 0 {
			continue
		}
		if err := kind.drop(ctx, now.Add(-kind.keep)); err != nil {
			return err
		}
	}
	n, err := s.pruneReceived(ctx, keep.RawReports, keep.Received, keep.Rollups, now)
	p.Received += n
	return err
}

// untilNone repeats a slice until it removes nothing.
func (s *Store) untilNone(ctx context.Context, total *int64, slice func(context.Context) (int64, error)) error {
	for {
		start := time.Now()
		n, err := slice(ctx)
		if err != nil || n == 0 {
			return err
		}
		*total += n
		if err := pause(ctx, max(s.timing.slicePause, min(time.Since(start), time.Second))); err != nil {
			return err
		}
	}
}

// dropTraces removes the oldest traces of messages before end.
func (s *Store) dropTraces(ctx context.Context, end int64) (n int64, err error) {
	err = s.write(ctx, "prune traces", func(ctx context.Context, t *tx) error {
		n, err = t.dropTraces(ctx, `message IN (SELECT message FROM traces WHERE message < $1 ORDER BY message LIMIT $2)`, end, pruneTraces)
		return err
	})
	return n, err
}

// dropTraces removes the traces that a condition names, and keeps the days' books.
func (t *tx) dropTraces(ctx context.Context, condition string, args ...any) (n int64, err error) {
	days := make(map[int64]dayCount)
	err = t.rows(ctx, func(scan func(...any) error) error {
		var id, length int64
		if err := scan(&id, &length); err != nil {
			return err
		}
		n++
		d := days[dayOfID(id)]
		d.traceBytes -= length + traceOverhead
		days[dayOfID(id)] = d
		return nil
	}, `DELETE FROM traces WHERE `+condition+` RETURNING message, length(body)`, args...)
	if err != nil {
		return 0, err
	}
	return n, t.addDays(ctx, days)
}

// Which messages dropMessages removes. Held mail is kept longer, since somebody must
// decide about it.
const (
	notHeld  = 0
	onlyHeld = 1
)

// dropMessages removes the oldest messages before end that are held, or are not, with all
// dependent rows.
func (s *Store) dropMessages(ctx context.Context, end int64, held int, traces *int64) (n int64, err error) {
	var gone int64
	err = s.write(ctx, "prune messages", func(ctx context.Context, t *tx) error {
		n, gone = 0, 0
		days := make(map[int64]dayCount)
		var domains [][]any
		var first, last int64
		err := t.rows(ctx, func(scan func(...any) error) error {
			var id int64
			var blob []byte
			if err := scan(&id, &blob); err != nil {
				return err
			}
			if n == 0 {
				first, last = id, id
			}
			n++
			first, last = min(first, id), max(last, id)
			d := days[dayOfID(id)]
			d.messages--
			d.messageBytes -= int64(len(blob)) + messageOverhead
			days[dayOfID(id)] = d
			// A record that cannot be read leaves its domains to dropStrays.
			if r, err := memory.DecodeRecord(blob); err == nil {
				for domain := range domainsOf(r) {
					domains = append(domains, []any{dayOfID(id), domain, id})
				}
			}
			return nil
		}, `DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE id < $1 AND held = $2 ORDER BY id LIMIT $3) RETURNING id, record`, end, held, pruneMessages)
		if err != nil || n == 0 {
			return err
		}
		if err := t.dropDomains(ctx, domains); err != nil {
			return err
		}
		if gone, err = t.dropTraces(ctx, `message >= $1 AND message <= $2`, first, last); err != nil {
			return err
		}
		return t.addDays(ctx, days)
	})
	if err != nil {
		return 0, err
	}
	*traces += gone
	return n, nil
}

// dropDomains removes rows of message_domains by their keys.
func (t *tx) dropDomains(ctx context.Context, keys [][]any) error {
	slices.SortFunc(keys, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(int64), b[0].(int64)), cmp.Compare(a[1].(string), b[1].(string)), cmp.Compare(a[2].(int64), b[2].(int64)))
	})
	return t.many(ctx, `DELETE FROM message_domains WHERE (day, domain, message) IN (`, []string{"INTEGER", "TEXT", "BIGINT"}, keys, `)`, nil)
}

// dropStrays removes the rows of days without messages: domains of messages whose record
// could not be read.
func (s *Store) dropStrays(ctx context.Context) error {
	var n int64
	return s.untilNone(ctx, &n, func(ctx context.Context) (n int64, err error) {
		err = s.write(ctx, "prune domains", func(ctx context.Context, t *tx) error {
			n, err = t.exec(ctx, `DELETE FROM message_domains WHERE (day, domain, message) IN (
				SELECT day, domain, message FROM message_domains
				WHERE day < (SELECT coalesce(min(day), 2147483647) FROM days WHERE messages > 0) LIMIT $1)`, pruneDomains)
			return err
		})
		return n, err
	})
}

// pruneAggregates removes aggregates before a day, then texts that nobody uses.
func (s *Store) pruneAggregates(ctx context.Context, day int64, p *Pruned) error {
	var dropped int64
	err := s.untilNone(ctx, &dropped, func(ctx context.Context) (n int64, err error) {
		err = s.write(ctx, "prune aggregates", func(ctx context.Context, t *tx) error {
			n, err = t.exec(ctx, `DELETE FROM aggregates WHERE (day, policy_domain, record_id, row_id, psl, failed) IN (
				SELECT day, policy_domain, record_id, row_id, psl, failed FROM aggregates WHERE day < $1
				ORDER BY day, policy_domain, record_id, row_id, psl, failed LIMIT $2)`, bounded(day), pruneAggregateRows)
			return err
		})
		return n, err
	})
	p.Aggregates += dropped
	if err != nil {
		return err
	}
	if err := s.write(ctx, "prune days", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM days WHERE day < $1 AND messages <= 0`, bounded(day))
		return err
	}); err != nil || dropped == 0 {
		return err
	}
	return s.dropTexts(ctx, day)
}

// dropTexts removes texts that no aggregate since day uses. It looks at all texts, so
// it is done only when aggregates were removed, once a day.
func (s *Store) dropTexts(ctx context.Context, day int64) error {
	defer s.texts.forget()
	var next, end int64
	err := s.read(ctx, "texts", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM texts`).Scan(&next, &end)
	})
	for ; err == nil && next <= end; next += pruneTexts {
		err = s.write(ctx, "prune texts", func(ctx context.Context, t *tx) error {
			_, err := t.exec(ctx, `DELETE FROM texts WHERE id >= $1 AND id < $2 AND last_day < $3`, next, next+pruneTexts, bounded(day))
			return err
		})
		if err == nil {
			err = pause(ctx, s.timing.slicePause)
		}
	}
	return err
}
