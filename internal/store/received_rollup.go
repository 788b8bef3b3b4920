package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// A rollup is what remains of a day after retention removes its rows: their messages by
// domain, service, disposition and verdicts. Figures add up the existing rows and the
// rollups of removed ones; a row is never in both.

// rollupKey names a line of a day's rollup.
type rollupKey struct{ domain, service, code int64 }

// rollupLine is one.
type rollupLine struct {
	rollupKey
	day, messages, records int64
}

// rollup is a day's: messages and records.
type rollup map[rollupKey][2]int64

func (r rollup) add(k rollupKey, messages, records int64) {
	sum := r[k]
	r[k] = [2]int64{sum[0] + messages, sum[1] + records}
}

func (r rollup) pack() []byte {
	keys := slices.SortedFunc(maps.Keys(r), func(a, b rollupKey) int {
		return cmp.Or(cmp.Compare(a.domain, b.domain), cmp.Compare(a.service, b.service), cmp.Compare(a.code, b.code))
	})
	var b []byte
	for _, k := range keys {
		for _, v := range []int64{k.domain, k.service, k.code, r[k][0], r[k][1]} {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	return b
}

func eachLine(body []byte, day int64, yield func(*rollupLine)) (ok bool) {
	u := unpacker{b: body}
	for u.more() {
		l := rollupLine{rollupKey: rollupKey{u.uvarint(), u.uvarint(), u.uvarint()}, day: day, messages: u.uvarint(), records: u.uvarint()}
		if u.bad || l.code < 0 || l.code >= int64(verdictCodes) {
			return false
		}
		yield(&l)
	}
	return true
}

// foldRollups returns the lines that a filter chooses to yield; none where it filters by
// something that rollups do not have.
func (t *tx) foldRollups(ctx context.Context, f *rowFilter, yield func(*rollupLine)) error {
	if !f.q.Filter.RollupOnly() {
		return nil
	}
	w := &conditions{}
	w.period(&f.q.Filter, "day", 0)
	return t.rows(ctx, func(scan func(...any) error) error {
		var day int64
		var body []byte
		if err := scan(&day, &body); err != nil {
			return err
		}
		ok := eachLine(body, day, func(l *rollupLine) {
			if f.rollup(l) {
				yield(l)
			}
		})
		if !ok {
			t.s.undecodable.Add(1)
		}
		return nil
	}, `SELECT day, body FROM received_rollup_days WHERE `+w.and()+` ORDER BY day`, w.args...)
}

// rollUp replaces a day's rows by a rollup, and returns how many there were.
func (t *tx) rollUp(ctx context.Context, day int64) (removed int64, err error) {
	if _, err := t.takeIDs(ctx, 0); err != nil { // keeps batches out
		return 0, err
	}
	byIdentity := rollup{}
	w := &conditions{}
	w.add(`day = ` + w.arg(day))
	err = t.foldBlocks(ctx, w, func(g *segment, rows unpacker, n int64) error {
		removed += max(n, 1)
		if !g.counts() {
			return nil
		}
		return eachRow(g, rows, n, func(r *packedRow) error {
			byIdentity.add(rollupKey{g.domain, r.identity, r.code}, r.messages, 1)
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	if err := t.addRollup(ctx, day, byIdentity); err != nil {
		return 0, err
	}
	_, err = t.exec(ctx, `DELETE FROM received_blocks WHERE day = $1`, day)
	return removed, err
}

// addRollup adds what identities sent on a day to its rollup, as what their services did.
func (t *tx) addRollup(ctx context.Context, day int64, byIdentity rollup) error {
	if len(byIdentity) == 0 {
		return nil
	}
	wanted := map[int64]bool{}
	for k := range byIdentity {
		wanted[k.service] = true
	}
	services := map[int64]int64{}
	err := t.inChunks(ctx, anys(slices.Collect(maps.Keys(wanted))), func(scan func(...any) error) error {
		var id, service int64
		err := scan(&id, &service)
		services[id] = service
		return err
	}, `SELECT id, service FROM received_identities WHERE id IN`)
	if err != nil {
		return err
	}
	sum := rollup{}
	for k, n := range byIdentity {
		sum.add(rollupKey{k.domain, services[k.service], k.code}, n[0], n[1])
	}
	return t.mergeRollup(ctx, day, sum)
}

// mergeRollup adds to a day's rollup.
func (t *tx) mergeRollup(ctx context.Context, day int64, sum rollup) error {
	var body []byte
	err := t.row(ctx, `SELECT body FROM received_rollup_days WHERE day = $1`, day).Scan(&body)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if !eachLine(body, day, func(l *rollupLine) { sum.add(l.rollupKey, l.messages, l.records) }) {
		t.s.undecodable.Add(1)
	}
	_, err = t.exec(ctx, `INSERT INTO received_rollup_days (day, body) VALUES ($1, $2) ON CONFLICT (day) DO UPDATE SET body = excluded.body`, day, sum.pack())
	return err
}
