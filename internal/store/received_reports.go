package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// listedColumns are those of listed: of reports p, their items i and reporters o.
const listedColumns = `p.id, p.received, i.feed, 'aggregate', p.status, p.why, p.of_report, coalesce(d.value, ''), p.policy_domain, o.org, o.email,
	p.report_id, p.begins, p.ends, p.dialect, p.trust, o.auth, p.records, p.messages, p.compliant, p.quarantined, p.flags,
	CASE WHEN w.id IS NULL THEN 0 ELSE 1 END, p.file_name, i.from_address, i.subject, i.notes, p.detail`

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
			one, err := t.scanListed(scan)
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

// listedItems is the query for items without reports; "" where they are not requested.
// They belong to no domain, so only viewers of all domains see them.
func listedItems(w *conditions, q *analysis.ReportsQuery, after *cursor, afterID int64) string {
	if q.Managed != nil || len(q.Filter.Domain) > 0 || q.Status != "" && q.Status != analysis.StatusAside && q.Status != analysis.StatusRefused || q.Trust != "" || !q.Filter.Reporter.Empty() {
		return ""
	}
	w.terms = nil
	w.add(`i.reports = 0`)
	if q.Kind != "" {
		w.add(`i.kind = ` + w.arg(string(q.Kind)))
	}
	const unread = `i.kind IN ('unreadable', 'too_large')`
	switch q.Status {
	case analysis.StatusAside:
		w.add(`NOT ` + unread)
	case analysis.StatusRefused:
		w.add(unread)
	}
	w.period(&q.Filter, "+i.day", 0) // read by time of arrival
	if after != nil {
		w.add(fmt.Sprintf(`(i.taken_at, i.id) < (%s, %s)`, w.arg(after.Count), w.arg(afterID)))
	}
	return `SELECT i.id AS id, i.taken_at AS received, i.feed, i.kind, CASE WHEN ` + unread + ` THEN 'refused' ELSE 'aside' END, i.why, 0, '', '', '', '', '', 0, 0, '', '', '', 0, 0, 0, 0, 0,
			CASE WHEN w.id IS NULL THEN 0 ELSE 1 END, i.name, i.from_address, i.subject, i.notes, '{}'
		FROM received_items i LEFT JOIN received_raws w ON w.id = i.id WHERE ` + w.and() + ` ORDER BY i.taken_at DESC, i.id DESC LIMIT ` + w.arg(pageLimit(q.Limit))
}

func (t *tx) scanListed(scan func(...any) error) (analysis.Listed, error) {
	var l analysis.Listed
	var received, begin, end, flags, raw int64
	var domain, auth, notes, detail string
	err := scan(&l.ID, &received, &l.Feed, (*string)(&l.Kind), (*string)(&l.Status), &l.Why, &l.Of, &domain, &l.Policy, &l.Reporter, &l.Email,
		&l.ReportID, &begin, &end, (*string)(&l.Dialect), (*string)(&l.Trust), &auth, &l.Records, &l.Messages, &l.Compliant, &l.Quarantined, &flags,
		&raw, &l.Name, &l.From, &l.Subject, &notes, &detail)
	if err != nil {
		return l, err
	}
	var item []report.Note
	var told reportDetail
	if json.Unmarshal([]byte(notes), &item) != nil || json.Unmarshal([]byte(detail), &told) != nil {
		t.s.undecodable.Add(1)
	}
	l.Notes, l.ItemNotes, l.Error, l.SP, l.NP, l.PCT = report.Lines(told.Notes), report.Lines(item), told.Error, told.Policy.SP, told.Policy.NP, told.PCT
	l.Received, l.Begin, l.End = microTime(received), unixTime(begin), unixTime(end)
	l.Domain, l.Auth, l.Flags, l.Raw = nameOf(domain), nameOf(auth), analysis.Flags(flags).Names(), raw == 1
	return l, nil
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

// reporterKey is the key by which reporters are listed.
type reporterKey struct{ reporter, trust int64 }

// Reporters is analysis.Reports'.
func (s *Store) Reporters(ctx context.Context, q analysis.Query) (analysis.Page[analysis.ReporterRow], error) {
	var page analysis.Page[analysis.ReporterRow]
	after, err := readCursor(q.After, 4)
	if err != nil {
		return page, err
	}
	err = s.read(ctx, "reporters", func(ctx context.Context, t *tx) error {
		found, err := t.reporters(ctx, &q)
		if err != nil {
			return err
		}
		ids := map[int64]bool{}
		for k := range found {
			ids[k.reporter] = true
		}
		names := map[int64]analysis.ReporterRow{}
		err = t.inChunks(ctx, anys(slices.Collect(maps.Keys(ids))), func(scan func(...any) error) error {
			var id int64
			var one analysis.ReporterRow
			var auth string
			err := scan(&id, &one.Reporter, &one.Email, &auth)
			one.Auth = nameOf(auth)
			names[id] = one
			return err
		}, `SELECT id, org, email, auth FROM received_reporters WHERE id IN`)
		if err != nil {
			return err
		}
		rows := make([]analysis.ReporterRow, 0, len(found))
		for k, row := range found {
			name := names[k.reporter]
			row.Reporter, row.Email, row.Auth, row.Trust = name.Reporter, name.Email, name.Auth, trustOf(k.trust)
			rows = append(rows, *row)
		}
		page = cutPage(rows, q.Limit, after, func(row *analysis.ReporterRow) int64 { return row.Reports }, func(row *analysis.ReporterRow) []string {
			return []string{row.Reporter, row.Email, row.Auth.String(), string(row.Trust)}
		})
		return nil
	})
	return page, err
}

// reporters counts reports by sender, including those that do not count because they are
// not trusted.
func (t *tx) reporters(ctx context.Context, q *analysis.Query) (map[reporterKey]*analysis.ReporterRow, error) {
	wider := analysis.Query{Managed: q.Managed, Filter: analysis.Filter{ // what lists of reports are filtered by
		From: q.Filter.From, To: q.Filter.To, All: q.Filter.All, Domain: q.Filter.Domain, Without: q.Filter.Without, Reporter: q.Filter.Reporter, Policy: q.Filter.Policy,
	}}
	f, err := t.rowFilter(ctx, &wider)
	if err != nil {
		return nil, err
	}
	out := map[reporterKey]*analysis.ReporterRow{}
	w := &conditions{}
	w.period(&q.Filter, "day", 0)
	return out, t.foldBlocks(ctx, w, func(g *segment, _ unpacker, _ int64) error {
		if !g.home || !f.report(g) {
			return nil
		}
		k := reporterKey{g.reporter, g.trust}
		row := out[k]
		received := microTime(g.received)
		if row == nil {
			row = &analysis.ReporterRow{FirstSeen: received, LastSeen: received}
			out[k] = row
		}
		row.Reports++
		row.Messages += g.messages
		row.Notes += boolInt(g.repaired)
		if received.Before(row.FirstSeen) {
			row.FirstSeen = received
		}
		if received.After(row.LastSeen) {
			row.LastSeen = received
		}
		return nil
	})
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
