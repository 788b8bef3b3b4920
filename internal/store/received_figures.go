package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// countColumns are analysis.Counts of rows or rollups r.
const countColumns = `CAST(sum(r.messages) AS BIGINT) AS messages,
	CAST(sum(CASE WHEN r.spf = 1 OR r.dkim = 1 THEN r.messages ELSE 0 END) AS BIGINT) AS compliant,
	CAST(sum(CASE WHEN r.spf = 1 THEN r.messages ELSE 0 END) AS BIGINT) AS spf_aligned,
	CAST(sum(CASE WHEN r.dkim = 1 THEN r.messages ELSE 0 END) AS BIGINT) AS dkim_aligned,
	CAST(sum(CASE WHEN r.disposition = 1 THEN r.messages ELSE 0 END) AS BIGINT) AS d1,
	CAST(sum(CASE WHEN r.disposition = 2 THEN r.messages ELSE 0 END) AS BIGINT) AS d2,
	CAST(sum(CASE WHEN r.disposition = 3 THEN r.messages ELSE 0 END) AS BIGINT) AS d3,
	CAST(sum(CASE WHEN r.disposition = 4 THEN r.messages ELSE 0 END) AS BIGINT) AS d4`

const countNames = `a.messages, a.compliant, a.spf_aligned, a.dkim_aligned, a.d1, a.d2, a.d3, a.d4`

func countInto(c *analysis.Counts) []any {
	return []any{&c.Messages, &c.Compliant, &c.SPFAligned, &c.DKIMAligned, &c.None, &c.Pass, &c.Quarantine, &c.Reject}
}

// figures is the table that a query reads, and its conditions.
func (t *tx) figures(ctx context.Context, q *analysis.Query) (from string, w *conditions, rolled bool, err error) {
	w = &conditions{}
	rolled, err = t.rolled(ctx, q)
	if rolled {
		w.rollups(q)
		return `received_rollups r`, w, true, err
	}
	w.rows(q)
	return `received_rows r`, w, false, err
}

// rolled tells whether the rollups know the answer: labels of hosts and networks they
// do not.
func (t *tx) rolled(ctx context.Context, q *analysis.Query) (bool, error) {
	if !q.Filter.RollupOnly() || t.s.rowsOnly {
		return false, nil
	}
	if q.Filter.Label.Empty() {
		return true, nil
	}
	var finer int64
	err := t.row(ctx, `SELECT count(*) FROM received_labels WHERE service = ''`).Scan(&finer)
	return finer == 0, err
}

// cursor is where a page ended: a count, and what breaks ties.
type cursor struct {
	Count int64    `json:"c"`
	Key   []string `json:"k"`
}

var errAfter = errkind.New(errkind.BadRequest, "after: not the end of a page of this list")

func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// readCursor reads a cursor with so many keys; nil for the first page.
func readCursor(after string, keys int) (*cursor, error) {
	if after == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil {
		return nil, errAfter
	}
	c := &cursor{}
	if json.Unmarshal(text, c) != nil || len(c.Key) != keys {
		return nil, errAfter
	}
	return c, nil
}

// pageLimit is how many rows are read: one more than asked for.
func pageLimit(limit int) int64 {
	if limit <= 0 {
		return 1 << 40
	}
	return int64(limit) + 1
}

// Overview is analysis.Figures'.
func (s *Store) Overview(ctx context.Context, q analysis.Query) (analysis.Page[analysis.OverviewRow], error) {
	var page analysis.Page[analysis.OverviewRow]
	after, err := readCursor(q.After, 1)
	if err != nil {
		return page, err
	}
	err = s.read(ctx, "overview", func(ctx context.Context, t *tx) error {
		page = analysis.Page[analysis.OverviewRow]{}
		from, w, rolled, err := t.figures(ctx, &q)
		if err != nil {
			return err
		}
		query := `SELECT n.value, ` + countNames + ` FROM (SELECT r.domain, ` + countColumns + ` FROM ` + from + ` WHERE ` + w.and() +
			` GROUP BY r.domain) a JOIN received_names n ON n.id = a.domain`
		if after != nil {
			failed, name := w.arg(after.Count), w.arg(after.Key[0])
			query += fmt.Sprintf(` WHERE a.messages - a.compliant < %[1]s OR a.messages - a.compliant = %[1]s AND n.value > %[2]s`, failed, name)
		}
		query += ` ORDER BY a.messages - a.compliant DESC, n.value LIMIT ` + w.arg(pageLimit(q.Limit))
		err = t.rows(ctx, func(scan func(...any) error) error {
			var row analysis.OverviewRow
			var domain string
			err := scan(append([]any{&domain}, countInto(&row.Counts)...)...)
			row.Domain = nameOf(domain)
			page.Rows = append(page.Rows, row)
			return err
		}, query, w.args...)
		if err != nil {
			return err
		}
		if q.Limit > 0 && len(page.Rows) > q.Limit {
			page.Rows = page.Rows[:q.Limit]
			last := &page.Rows[q.Limit-1]
			page.Next = cursor{last.Messages - last.Compliant, []string{last.Domain.String()}}.String()
		}
		return t.addReporters(ctx, &q, page.Rows, rolled)
	})
	return page, err
}

// addReporters fills in how many reported on the domains, and when last.
func (t *tx) addReporters(ctx context.Context, q *analysis.Query, rows []analysis.OverviewRow, rolled bool) error {
	at := map[string]*analysis.OverviewRow{}
	for i := range rows {
		at[rows[i].Domain.String()] = &rows[i]
	}
	w := &conditions{}
	query := `SELECT p.domain, count(DISTINCT p.reporter) AS reporters, max(p.received) AS last FROM received_reports p WHERE `
	if rolled && plainPeriod(&q.Filter) {
		w.countedReports(q)
		query += w.and()
	} else {
		w.rows(q)
		query += `p.id IN (SELECT r.report FROM received_rows r WHERE ` + w.and() + `)`
	}
	return t.rows(ctx, func(scan func(...any) error) error {
		var domain string
		var reporters, last int64
		if err := scan(&domain, &reporters, &last); err != nil {
			return err
		}
		if row := at[domain]; row != nil {
			row.Reporters, row.LastReport = reporters, time.UnixMicro(last).UTC()
		}
		return nil
	}, `SELECT n.value, a.reporters, a.last FROM (`+query+` GROUP BY p.domain) a JOIN received_names n ON n.id = a.domain`, w.args...)
}

// spreadReach is how many days the middle of a spread period may be away from a day of it.
const spreadReach = 17

// countedReports bounds received_reports p to those with messages in a period, where
// domain and period are the only criteria.
func (w *conditions) countedReports(q *analysis.Query) {
	w.add(`p.counts = 1 AND p.records > 0`)
	w.scope(q, "p.domain")
	if q.Filter.All {
		return
	}
	w.period(&q.Filter, "p.day", spreadReach)
	days := &conditions{args: w.args}
	days.period(&q.Filter, "p.day", 0)
	inner := &conditions{args: days.args}
	inner.period(&q.Filter, "s.day", 0)
	w.args = inner.args
	w.add(`(p.spread = 0 AND ` + days.and() + ` OR p.spread = 1 AND EXISTS (SELECT 1 FROM received_rows s WHERE s.report = p.id AND ` + inner.and() + `))`)
}

// Trend is analysis.Figures'.
func (s *Store) Trend(ctx context.Context, q analysis.Query) ([]analysis.TrendRow, error) {
	var out []analysis.TrendRow
	err := s.read(ctx, "trend", func(ctx context.Context, t *tx) error {
		out = nil
		from, w, _, err := t.figures(ctx, &q)
		if err != nil {
			return err
		}
		return t.rows(ctx, func(scan func(...any) error) error {
			var row analysis.TrendRow
			err := scan(append([]any{(*int64)(&row.Day)}, countInto(&row.Counts)...)...)
			out = append(out, row)
			return err
		}, `SELECT r.day, `+countColumns+` FROM `+from+` WHERE `+w.and()+` GROUP BY r.day ORDER BY r.day`, w.args...)
	})
	return out, err
}

// Totals is analysis.Figures'.
func (s *Store) Totals(ctx context.Context, q analysis.Query) (analysis.Totals, error) {
	var out analysis.Totals
	err := s.read(ctx, "totals", func(ctx context.Context, t *tx) error {
		out = analysis.Totals{}
		from, w, rolled, err := t.figures(ctx, &q)
		if err != nil {
			return err
		}
		if err := t.row(ctx, `SELECT CAST(coalesce(sum(r.messages), 0) AS BIGINT) FROM `+from+` WHERE `+w.and(), w.args...).Scan(&out.Messages); err != nil {
			return err
		}
		reports := &conditions{}
		condition := ""
		if rolled && plainPeriod(&q.Filter) {
			reports.countedReports(&q)
			condition = reports.and()
		} else {
			reports.rows(&q)
			condition = `p.id IN (SELECT r.report FROM received_rows r WHERE ` + reports.and() + `)`
		}
		var newest int64
		err = t.row(ctx, `SELECT count(*), count(DISTINCT p.reporter), coalesce(max(p.received), 0) FROM received_reports p WHERE `+condition,
			reports.args...).Scan(&out.Reports, &out.Reporters, &newest)
		if err != nil {
			return err
		}
		if newest != 0 {
			out.Newest = time.UnixMicro(newest).UTC()
		}
		return t.addUncounted(ctx, &q, &out)
	})
	return out, err
}

// addUncounted counts the reports that want attention.
func (t *tx) addUncounted(ctx context.Context, q *analysis.Query, out *analysis.Totals) error {
	w := &conditions{}
	w.scope(q, "p.domain")
	w.period(&q.Filter, "p.day", 0)
	w.reports(&q.Filter)
	err := t.row(ctx, `SELECT coalesce(sum(CASE WHEN p.status = 'stored' AND p.counts = 0 THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN p.status = 'differs' THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN p.quarantined > 0 OR p.status = 'refused' THEN 1 ELSE 0 END), 0)
		FROM received_reports p WHERE `+w.and(), w.args...).Scan(&out.Failed, &out.Differs, &out.Attention)
	if err != nil {
		return err
	}
	var first int64
	err = t.row(ctx, `SELECT coalesce(max(value), 0) FROM received_state WHERE name = 'detail'`).Scan(&first)
	out.Detail = memory.Day(first)
	return err
}
