package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
)

// rollupKey is a line of the rollups.
type rollupKey struct{ domain, day, service, disposition, spf, dkim int64 }

// rollupDeltas are changes of rollups that a transaction makes.
type rollupDeltas map[rollupKey]*[2]int64 // messages, records

func (d rollupDeltas) add(k rollupKey, messages, records int64) {
	sum := d[k]
	if sum == nil {
		sum = new([2]int64)
		d[k] = sum
	}
	sum[0] += messages
	sum[1] += records
}

// write makes the changes and forgets them.
func (d rollupDeltas) write(ctx context.Context, t *tx) error {
	keys := slices.SortedFunc(maps.Keys(d), func(a, b rollupKey) int {
		return cmp.Or(cmp.Compare(a.domain, b.domain), cmp.Compare(a.day, b.day), cmp.Compare(a.service, b.service),
			cmp.Compare(a.disposition, b.disposition), cmp.Compare(a.spf, b.spf), cmp.Compare(a.dkim, b.dkim))
	})
	rows := make([][]any, 0, len(keys))
	empty := false
	for _, k := range keys {
		if sum := d[k]; *sum != [2]int64{} {
			rows = append(rows, []any{k.domain, k.day, k.service, k.disposition, k.spf, k.dkim, sum[0], sum[1]})
			empty = empty || sum[1] < 0
		}
	}
	clear(d)
	err := t.insertMany(ctx, `INSERT INTO received_rollups (domain, day, service, disposition, spf, dkim, messages, records)`, rows,
		`ON CONFLICT (domain, day, service, disposition, spf, dkim) DO UPDATE SET
			messages = received_rollups.messages + excluded.messages, records = received_rollups.records + excluded.records`, nil)
	if err != nil || !empty {
		return err
	}
	for _, row := range rows {
		if row[7].(int64) > 0 {
			continue
		}
		if _, err := t.exec(ctx, `DELETE FROM received_rollups WHERE domain = $1 AND day = $2 AND service = $3 AND disposition = $4 AND spf = $5
			AND dkim = $6 AND records = 0`, row[:6]...); err != nil {
			return err
		}
	}
	return nil
}

// gather adds what rows that a condition names contribute, times sign.
func (d rollupDeltas) gather(ctx context.Context, t *tx, sign int64, condition string, args ...any) error {
	return t.rows(ctx, func(scan func(...any) error) error {
		var k rollupKey
		var messages, records int64
		if err := scan(&k.domain, &k.day, &k.service, &k.disposition, &k.spf, &k.dkim, &messages, &records); err != nil {
			return err
		}
		d.add(k, sign*messages, sign*records)
		return nil
	}, `SELECT r.domain, r.day, i.service, r.disposition, r.spf, r.dkim, CAST(sum(r.messages) AS BIGINT), count(*)
		FROM received_rows r JOIN received_identities i ON i.id = r.identity WHERE r.counts = 1 AND `+condition+`
		GROUP BY r.domain, r.day, i.service, r.disposition, r.spf, r.dkim`, args...)
}

// dropRows removes a report's rows, and takes them out of the rollups.
func (t *tx) dropRows(ctx context.Context, report int64, d rollupDeltas) error {
	if err := d.gather(ctx, t, -1, `r.report = $1`, report); err != nil {
		return err
	}
	if err := d.write(ctx, t); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM received_faults WHERE report = $1`, report); err != nil {
		return err
	}
	_, err := t.exec(ctx, `DELETE FROM received_rows WHERE report = $1`, report)
	return err
}
