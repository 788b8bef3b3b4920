package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"dmarcd/internal/memory"
)

// spreadReach is how many days the middle of a spread period may be from any of its days.
const spreadReach = 17

// pruneReceived removes data older than the given days: raw reports, records, and rollups
// with the history of DNS records. Zero means no limit. It returns what it removed.
func (s *Store) pruneReceived(ctx context.Context, raws, records, rollups time.Duration, now time.Time) (int64, error) {
	day := func(age time.Duration) int64 { return int64(memory.DayOf(now.Add(-age))) }
	var removed int64
	slice := func(query string, before int64) func(context.Context) (int64, error) {
		return func(ctx context.Context) (n int64, err error) {
			err = s.write(ctx, "prune received reports", func(ctx context.Context, t *tx) error {
				n, err = t.exec(ctx, query, before, receivedSlice)
				return err
			})
			return n, err
		}
	}
	var steps []func(context.Context) (int64, error)
	if raws > 0 {
		steps = append(steps, slice(`DELETE FROM received_raws WHERE id IN (SELECT id FROM received_raws WHERE day < $1 LIMIT $2)`, day(raws)))
	}
	if records > 0 {
		steps = append(steps, s.detailEnds(day(records)), s.rollUpBefore(day(records)),
			slice(`DELETE FROM received_faults WHERE report IN (SELECT id FROM received_reports WHERE day < $1 LIMIT $2)`, day(records)-spreadReach),
			slice(`DELETE FROM received_reports WHERE id IN (SELECT id FROM received_reports WHERE day < $1 LIMIT $2)`, day(records)-spreadReach),
			slice(`DELETE FROM received_items WHERE id IN (SELECT i.id FROM received_items i WHERE i.day < $1
				AND NOT EXISTS (SELECT 1 FROM received_reports p WHERE p.item = i.id) LIMIT $2)`, day(records)),
			s.dropSets(day(records)-spreadReach))
	}
	if rollups > 0 {
		steps = append(steps,
			slice(`DELETE FROM received_rollup_days WHERE day IN (SELECT day FROM received_rollup_days WHERE day < $1 LIMIT $2)`, day(rollups)),
			slice(`DELETE FROM received_snapshots WHERE id IN (SELECT id FROM received_snapshots WHERE latest = 0 AND last_seen < $1 LIMIT $2)`,
				now.Add(-rollups).Unix()))
	}
	for _, step := range steps {
		if err := s.untilNone(ctx, &removed, step); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// detailEnds notes the first day whose records are kept.
func (s *Store) detailEnds(day int64) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		return 0, s.write(ctx, "prune received reports", func(ctx context.Context, t *tx) error {
			var older int64
			if err := t.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM received_blocks WHERE day < $1 LIMIT 1) a`, day).Scan(&older); err != nil || older == 0 {
				return err
			}
			_, err := t.exec(ctx, `INSERT INTO received_state (name, value) VALUES ('detail', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, day)
			return err
		})
	}
}

// rollUpBefore puts rollups in the place of the rows before a day, a day at a time.
func (s *Store) rollUpBefore(day int64) func(context.Context) (int64, error) {
	return func(ctx context.Context) (n int64, err error) {
		err = s.write(ctx, "roll received reports up", func(ctx context.Context, t *tx) error {
			n = 0
			var first int64
			err := t.row(ctx, `SELECT day FROM received_blocks WHERE day < $1 ORDER BY day LIMIT 1`, day).Scan(&first)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			n, err = t.rollUp(ctx, first)
			return err
		})
		return n, err
	}
}

// dropSets removes sets that are in use until a day before.
func (s *Store) dropSets(day int64) func(context.Context) (int64, error) {
	return func(ctx context.Context) (n int64, err error) {
		err = s.write(ctx, "prune received reports", func(ctx context.Context, t *tx) error {
			if _, err := t.takeIDs(ctx, 0); err != nil { // keeps batches out
				return err
			}
			old, err := t.keys(ctx, `SELECT id FROM received_sets WHERE last_day < $1 LIMIT $2`, day, receivedSlice)
			if n = int64(len(old)); n == 0 || err != nil {
				return err
			}
			if err := t.nextEpoch(ctx); err != nil {
				return err
			}
			for chunk := range slices.Chunk(anys(old), 256) {
				for _, query := range []string{`DELETE FROM received_set_names WHERE aset IN`, `DELETE FROM received_sets WHERE id IN`} {
					if _, err := t.exec(ctx, query+` (`+argList(1, len(chunk))+`)`, slices.Clone(chunk)...); err != nil {
						return err
					}
				}
			}
			return nil
		})
		return n, err
	}
}
