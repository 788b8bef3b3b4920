package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// listedColumns are those of listed: of reports p, their items i and reporters o.
const listedColumns = `p.id, p.received, i.feed, 'aggregate', p.status, p.why, p.of_report, coalesce(d.value, ''), p.policy_domain, o.org, o.email,
	p.report_id, p.begins, p.ends, p.dialect, p.trust, o.auth, p.records, p.messages, p.compliant, p.quarantined, p.flags,
	CASE WHEN w.id IS NULL THEN 0 ELSE 1 END, p.file_name, i.from_address, i.subject`

// ListReports is analysis.Reports'.
func (s *Store) ListReports(ctx context.Context, q analysis.ReportsQuery) (analysis.Page[analysis.Listed], error) {
	var page analysis.Page[analysis.Listed]
	after, err := readCursor(q.After, 1)
	if err != nil {
		return page, err
	}
	var afterID int64
	if after != nil {
		if afterID, err = strconv.ParseInt(after.Key[0], 10, 64); err != nil {
			return page, errAfter
		}
	}
	w := &conditions{}
	query := listedReports(w, &q, after, afterID)
	if more := listedItems(w, &q, after, afterID); more != "" {
		query = `SELECT * FROM (SELECT * FROM (` + query + `) a UNION ALL SELECT * FROM (` + more + `) b) c ORDER BY received DESC, id DESC LIMIT ` +
			w.arg(pageLimit(q.Limit))
	}
	err = s.read(ctx, "list received reports", func(ctx context.Context, t *tx) error {
		page = analysis.Page[analysis.Listed]{}
		return t.rows(ctx, func(scan func(...any) error) error {
			one, err := scanListed(scan)
			page.Rows = append(page.Rows, one)
			return err
		}, query, w.args...)
	})
	if q.Limit > 0 && len(page.Rows) > q.Limit {
		page.Rows = page.Rows[:q.Limit]
		last := &page.Rows[q.Limit-1]
		page.Next = cursor{last.Received.UnixMicro(), []string{strconv.FormatInt(last.ID, 10)}}.String()
	}
	return page, err
}

func listedReports(w *conditions, q *analysis.ReportsQuery, after *cursor, afterID int64) string {
	outer := w.terms
	w.terms = nil
	w.scope(&q.Query, "p.domain")
	day := "p.day"
	if q.Managed == nil && len(q.Filter.Domain) == 0 {
		day = "+p.day" // read by time of arrival, not by day and then sorted
	}
	w.period(&q.Filter, day, 0)
	w.reports(&q.Filter)
	for _, one := range []struct{ column, value string }{{"p.status", string(q.Status)}, {"p.trust", string(q.Trust)}} {
		if one.value != "" {
			w.add(one.column + ` = ` + w.arg(one.value))
		}
	}
	if q.Kind != "" && q.Kind != analysis.KindAggregate {
		w.add(`1 = 0`)
	}
	if after != nil {
		w.add(fmt.Sprintf(`(p.received, p.id) < (%s, %s)`, w.arg(after.Count), w.arg(afterID)))
	}
	query := `SELECT ` + listedColumns + ` FROM received_reports p JOIN received_items i ON i.id = p.item JOIN received_reporters o ON o.id = p.reporter
		LEFT JOIN received_names d ON d.id = p.domain LEFT JOIN received_raws w ON w.id = p.id WHERE ` + w.and() +
		` ORDER BY p.received DESC, p.id DESC LIMIT ` + w.arg(pageLimit(q.Limit))
	w.terms = outer
	return query
}

// listedItems is the query for items without reports; "" where they are not asked for.
// They belong to no domain, so they are for viewers of all.
func listedItems(w *conditions, q *analysis.ReportsQuery, after *cursor, afterID int64) string {
	if q.Managed != nil || len(q.Filter.Domain) > 0 || q.Status != "" && q.Status != analysis.StatusAside || q.Trust != "" || !q.Filter.Reporter.Empty() {
		return ""
	}
	w.terms = nil
	w.add(`i.reports = 0`)
	if q.Kind != "" {
		w.add(`i.kind = ` + w.arg(string(q.Kind)))
	}
	w.period(&q.Filter, "i.day", 0)
	if after != nil {
		w.add(fmt.Sprintf(`(i.taken_at, i.id) < (%s, %s)`, w.arg(after.Count), w.arg(afterID)))
	}
	return `SELECT i.id AS id, i.taken_at AS received, i.feed, i.kind, 'aside', i.why, 0, '', '', '', '', '', 0, 0, '', '', '', 0, 0, 0, 0, 0,
			CASE WHEN w.id IS NULL THEN 0 ELSE 1 END, i.name, i.from_address, i.subject
		FROM received_items i LEFT JOIN received_raws w ON w.id = i.id WHERE ` + w.and() + ` ORDER BY i.taken_at DESC, i.id DESC LIMIT ` + w.arg(pageLimit(q.Limit))
}

func scanListed(scan func(...any) error) (analysis.Listed, error) {
	var l analysis.Listed
	var received, begin, end, flags, raw int64
	var domain, auth string
	err := scan(&l.ID, &received, &l.Feed, (*string)(&l.Kind), (*string)(&l.Status), &l.Why, &l.Of, &domain, &l.Policy, &l.Reporter, &l.Email,
		&l.ReportID, &begin, &end, (*string)(&l.Dialect), (*string)(&l.Trust), &auth, &l.Records, &l.Messages, &l.Compliant, &l.Quarantined, &flags,
		&raw, &l.Name, &l.From, &l.Subject)
	l.Received, l.Begin, l.End = microTime(received), unixTime(begin), unixTime(end)
	l.Domain, l.Auth, l.Flags, l.Raw = nameOf(domain), nameOf(auth), analysis.Flags(flags).Names(), raw == 1
	return l, err
}

// RawReport is analysis.Reports'.
func (s *Store) RawReport(ctx context.Context, id int64) (analysis.Raw, error) {
	raw := analysis.Raw{ID: id}
	err := s.read(ctx, "raw report", func(ctx context.Context, t *tx) error {
		raw = analysis.Raw{ID: id}
		var domain string
		var received int64
		var auth, detail, origin string
		var digest []byte
		err := t.row(ctx, `SELECT p.file_name, coalesce(d.value, ''), p.trust, p.received, p.status, p.digest, p.detail, o.auth FROM received_reports p
			JOIN received_reporters o ON o.id = p.reporter LEFT JOIN received_names d ON d.id = p.domain WHERE p.id = $1`, id).
			Scan(&raw.Name, &domain, (*string)(&raw.Trust), &received, (*string)(&raw.Status), &digest, &detail, &auth)
		if errors.Is(err, ErrNotFound) {
			raw.Mail = true
			err = t.row(ctx, `SELECT name, taken_at, feed, digest, origin FROM received_items WHERE id = $1`, id).
				Scan(&raw.Name, &received, &raw.Feed, &digest, &origin)
		}
		if err != nil {
			return err
		}
		var told reportDetail
		if json.Unmarshal([]byte(cmp.Or(detail, "{}")), &told) != nil || json.Unmarshal([]byte(cmp.Or(origin, "{}")), &raw.Origin) != nil {
			t.s.undecodable.Add(1)
		}
		raw.Domain, raw.Received, raw.Auth, raw.Recipient = nameOf(domain), microTime(received), nameOf(auth), told.Recipient
		copy(raw.Digest[:], digest)
		err = t.row(ctx, `SELECT body FROM received_raws WHERE id = $1`, id).Scan(&raw.Gzip)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return analysis.Raw{}, analysis.ErrNotFound
	}
	return raw, err
}

// Reporters is analysis.Reports'.
func (s *Store) Reporters(ctx context.Context, q analysis.Query) (analysis.Page[analysis.ReporterRow], error) {
	var page analysis.Page[analysis.ReporterRow]
	after, err := readCursor(q.After, 4)
	if err != nil {
		return page, err
	}
	w := &conditions{}
	w.add(`p.status IN ('stored', 'empty')`)
	w.scope(&q, "p.domain")
	w.period(&q.Filter, "p.day", 0)
	w.reports(&q.Filter)
	query := `SELECT o.org, o.email, o.auth, a.trust, a.reports, a.messages, a.notes, a.first, a.last FROM (
		SELECT p.reporter, p.trust, count(*) AS reports, CAST(sum(p.messages) AS BIGINT) AS messages, CAST(sum(p.repaired) AS BIGINT) AS notes,
			min(p.received) AS first, max(p.received) AS last FROM received_reports p WHERE ` + w.and() + ` GROUP BY p.reporter, p.trust) a
		JOIN received_reporters o ON o.id = a.reporter`
	if after != nil {
		query += fmt.Sprintf(` WHERE a.reports < %[1]s OR a.reports = %[1]s AND (o.org, o.email, o.auth, a.trust) > (%[2]s, %[3]s, %[4]s, %[5]s)`,
			w.arg(after.Count), w.arg(after.Key[0]), w.arg(after.Key[1]), w.arg(after.Key[2]), w.arg(after.Key[3]))
	}
	query += ` ORDER BY a.reports DESC, o.org, o.email, o.auth, a.trust LIMIT ` + w.arg(pageLimit(q.Limit))
	err = s.read(ctx, "reporters", func(ctx context.Context, t *tx) error {
		page = analysis.Page[analysis.ReporterRow]{}
		return t.rows(ctx, func(scan func(...any) error) error {
			var row analysis.ReporterRow
			var auth string
			var first, last int64
			err := scan(&row.Reporter, &row.Email, &auth, (*string)(&row.Trust), &row.Reports, &row.Messages, &row.Notes, &first, &last)
			row.Auth, row.FirstSeen, row.LastSeen = nameOf(auth), microTime(first), microTime(last)
			page.Rows = append(page.Rows, row)
			return err
		}, query, w.args...)
	})
	if q.Limit > 0 && len(page.Rows) > q.Limit {
		page.Rows = page.Rows[:q.Limit]
		last := &page.Rows[q.Limit-1]
		page.Next = cursor{last.Reports, []string{last.Reporter, last.Email, last.Auth.String(), string(last.Trust)}}.String()
	}
	return page, err
}

// HasTokens is analysis.Ingester's.
func (s *Store) HasTokens(ctx context.Context, feed string, tokens []string) (map[string]bool, error) {
	var out map[string]bool
	err := s.read(ctx, "tokens", func(ctx context.Context, t *tx) error {
		out = map[string]bool{}
		return t.inChunks(ctx, anys(tokens), func(scan func(...any) error) error {
			var token string
			err := scan(&token)
			out[token] = true
			return err
		}, `SELECT token FROM received_items WHERE feed = $1 AND token IN`, feed)
	})
	return out, err
}

// Feed is analysis.Ingester's.
func (s *Store) Feed(ctx context.Context, host, name string) (analysis.FeedState, error) {
	f := analysis.FeedState{Host: host, Name: name}
	err := s.read(ctx, "feed", func(ctx context.Context, t *tx) error {
		return t.rows(ctx, func(scan func(...any) error) (err error) {
			f, err = scanFeed(scan)
			return err
		}, `SELECT `+feedColumns+` FROM received_feeds WHERE host = $1 AND name = $2`, host, name)
	})
	return f, err
}

// SaveFeed is analysis.Ingester's.
func (s *Store) SaveFeed(ctx context.Context, f analysis.FeedState) error {
	return s.write(ctx, "save a feed's state", func(ctx context.Context, t *tx) error { return t.saveFeed(ctx, &f) })
}

// Feeds is analysis.Ingester's.
func (s *Store) Feeds(ctx context.Context) ([]analysis.FeedState, error) {
	var out []analysis.FeedState
	err := s.read(ctx, "feeds", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			f, err := scanFeed(scan)
			out = append(out, f)
			return err
		}, `SELECT `+feedColumns+` FROM received_feeds ORDER BY name, host`)
	})
	return out, err
}

const feedColumns = `host, name, last_run, last_ok, error, backlog, taken, position`

func scanFeed(scan func(...any) error) (f analysis.FeedState, err error) {
	var run, ok int64
	err = scan(&f.Host, &f.Name, &run, &ok, &f.Error, &f.Backlog, &f.Taken, &f.Cursor)
	f.LastRun, f.LastOK = microTime(run), microTime(ok)
	return f, err
}

func (t *tx) saveFeed(ctx context.Context, f *analysis.FeedState) error {
	_, err := t.exec(ctx, `INSERT INTO received_feeds (`+feedColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (host, name) DO UPDATE SET last_run = excluded.last_run, last_ok = excluded.last_ok, error = excluded.error,
			backlog = excluded.backlog, taken = excluded.taken, position = excluded.position`,
		f.Host, f.Name, microOf(f.LastRun), microOf(f.LastOK), f.Error, f.Backlog, f.Taken, f.Cursor)
	return err
}

// pruneReceived forgets what is older than the days: raw reports, records, and rollups
// with the history of records in DNS. Zero is no limit. It gives what it removed.
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
		steps = append(steps, s.detailEnds(day(records)),
			slice(`DELETE FROM received_rows WHERE (report, number, day) IN (SELECT report, number, day FROM received_rows WHERE day < $1 LIMIT $2)`, day(records)),
			slice(`DELETE FROM received_faults WHERE report IN (SELECT id FROM received_reports WHERE day < $1 LIMIT $2)`, day(records)-spreadReach),
			slice(`DELETE FROM received_reports WHERE id IN (SELECT id FROM received_reports WHERE day < $1 LIMIT $2)`, day(records)-spreadReach),
			slice(`DELETE FROM received_items WHERE id IN (SELECT i.id FROM received_items i WHERE i.day < $1
				AND NOT EXISTS (SELECT 1 FROM received_reports p WHERE p.item = i.id) LIMIT $2)`, day(records)),
			slice(`DELETE FROM received_set_names WHERE aset IN (SELECT id FROM received_sets WHERE last_day < $1 LIMIT $2)`, day(records)-spreadReach),
			slice(`DELETE FROM received_sets WHERE id IN (SELECT id FROM received_sets WHERE last_day < $1 LIMIT $2)`, day(records)-spreadReach))
	}
	if rollups > 0 {
		steps = append(steps,
			slice(`DELETE FROM received_rollups WHERE (domain, day, service, disposition, spf, dkim) IN
				(SELECT domain, day, service, disposition, spf, dkim FROM received_rollups WHERE day < $1 LIMIT $2)`, day(rollups)),
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

// detailEnds notes the first day of which records are kept.
func (s *Store) detailEnds(day int64) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		return 0, s.write(ctx, "prune received reports", func(ctx context.Context, t *tx) error {
			var older int64
			if err := t.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM received_rows WHERE day < $1 LIMIT 1) a`, day).Scan(&older); err != nil || older == 0 {
				return err
			}
			_, err := t.exec(ctx, `INSERT INTO received_state (name, value) VALUES ('detail', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, day)
			return err
		})
	}
}
