package store

import (
	"context"
	"maps"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// packedStep is the migration from which on rows of received reports are packed. Its SQL
// makes the tables, and packReceived fills them.
const packedStep = "0008_packed"

// packPage is how many rows are read at once to be packed.
const packPage = 20_000

// packReceived packs the rows of the old tables, and removes them there.
func (t *tx) packReceived(ctx context.Context) error {
	var detail int64 // first day whose rows are kept
	if err := t.row(ctx, `SELECT coalesce(max(value), 0) FROM received_state WHERE name = 'detail'`).Scan(&detail); err != nil {
		return err
	}
	rolled, err := t.keys(ctx, `SELECT DISTINCT day FROM received_rollups WHERE day < $1 ORDER BY day`, detail)
	if err != nil {
		return err
	}
	for _, day := range rolled {
		if err := t.packRollup(ctx, day); err != nil {
			return err
		}
	}
	days, err := t.keys(ctx, `SELECT day FROM received_rows UNION SELECT day FROM received_reports WHERE day >= $1 AND status IN ('stored', 'empty') ORDER BY 1`, detail)
	if err != nil {
		return err
	}
	for _, day := range days {
		if err := t.packDay(ctx, day, day >= detail); err != nil {
			return err
		}
	}
	for _, table := range []string{"received_rows", "received_rollups"} {
		if _, err := t.exec(ctx, `DROP TABLE `+table); err != nil {
			return err
		}
	}
	return nil
}

// packRollup keeps the part of a day's rollup whose rows no longer exist.
func (t *tx) packRollup(ctx context.Context, day int64) error {
	sum := rollup{}
	for _, one := range []struct {
		sign  int64
		query string
	}{
		{1, `SELECT domain, service, disposition, spf, dkim, messages, records FROM received_rollups WHERE day = $1`},
		{-1, `SELECT r.domain, i.service, r.disposition, r.spf, r.dkim, CAST(sum(r.messages) AS BIGINT), count(*) FROM received_rows r
			JOIN received_identities i ON i.id = r.identity WHERE r.day = $1 AND r.counts = 1
			GROUP BY r.domain, i.service, r.disposition, r.spf, r.dkim`},
	} {
		err := t.rows(ctx, func(scan func(...any) error) error {
			var k rollupKey
			var disposition, spf, dkim, messages, records int64
			err := scan(&k.domain, &k.service, &disposition, &spf, &dkim, &messages, &records)
			k.code = disposition<<2 | spf<<1 | dkim
			sum.add(k, one.sign*messages, one.sign*records)
			return err
		}, one.query, day)
		if err != nil {
			return err
		}
	}
	maps.DeleteFunc(sum, func(_ rollupKey, n [2]int64) bool { return n[1] <= 0 })
	if len(sum) == 0 {
		return nil
	}
	return t.mergeRollup(ctx, day, sum)
}

// packDay packs the rows of a day. Reports of the day without a row on it get a segment
// of their own if the day's rows are all kept.
func (t *tx) packDay(ctx context.Context, day int64, homes bool) error {
	var all []segment
	if homes {
		err := t.rows(ctx, func(scan func(...any) error) error {
			g := segment{day: day, home: true}
			err := g.scanReport(scan)
			all = append(all, g)
			return err
		}, `SELECT `+packedReport+` FROM received_reports p WHERE p.day = $1
			AND (p.status = 'empty' OR p.status = 'stored' AND (p.spread = 1 OR p.records = 0)) ORDER BY p.id`, day)
		if err != nil {
			return err
		}
	}
	for report, number := int64(-1), int64(-1); ; {
		segments, n, err := t.packedRows(ctx, day, report, number)
		if err != nil {
			return err
		}
		if len(segments) > 0 {
			last := &segments[len(segments)-1]
			report, number = last.report, last.rows[len(last.rows)-1].number
		}
		all = append(all, segments...)
		if err := t.addSegments(ctx, map[int64][]segment{day: all}); err != nil {
			return err
		}
		if all = nil; n < packPage {
			return nil
		}
	}
}

// packedReport are the columns of reports p that scanReport reads.
const packedReport = `p.id, p.domain, p.reporter, p.received, p.day, p.spread, p.messages, p.trust, p.p, p.repaired`

func (g *segment) scanReport(scan func(...any) error, more ...any) error {
	var spread, repaired int64
	var trust, policy string
	err := scan(append([]any{&g.report, &g.domain, &g.reporter, &g.received, &g.middle, &spread, &g.messages, &trust, &policy, &repaired}, more...)...)
	g.spread, g.repaired = spread == 1, repaired == 1
	g.trust, g.policy = codeOf(trusts[:], analysis.Trust(trust)), codeOf(policies[:], report.Policy(policy))
	return err
}

// packedRows reads a page of a day's rows as segments.
func (t *tx) packedRows(ctx context.Context, day, report, number int64) (out []segment, n int, err error) {
	err = t.rows(ctx, func(scan func(...any) error) error {
		var g segment
		var r packedRow
		var disposition, spf, dkim int64
		err := g.scanReport(scan, &r.number, &r.next, &r.identity, &r.set, &r.messages, &r.whole, &disposition, &spf, &dkim, &r.flags)
		r.code = disposition<<2 | spf<<1 | dkim
		if len(out) == 0 || out[len(out)-1].report != g.report {
			g.day, g.home = day, !g.spread && g.report != report
			out = append(out, g)
		}
		last := &out[len(out)-1]
		last.rows = append(last.rows, r)
		n++
		return err
	}, `SELECT `+packedReport+`, r.number, r.next_day, r.identity, r.aset, r.messages, r.whole, r.disposition, r.spf, r.dkim, r.flags
		FROM received_rows r JOIN received_reports p ON p.id = r.report
		WHERE r.day = $1 AND (r.report, r.number) > ($2, $3) ORDER BY r.report, r.number LIMIT $4`, day, report, number, packPage)
	return out, n, err
}
