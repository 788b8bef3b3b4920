package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// exportPage is how many records one transaction of an export reads.
const exportPage = 2000

// maxExportSets bounds the sets that an export keeps decoded.
const maxExportSets = 20_000

// Details is analysis.Figures'.
func (s *Store) Details(ctx context.Context, q analysis.Query) (analysis.Page[analysis.Detail], error) {
	return s.details(ctx, &q, map[int64]*setBody{})
}

// Export is analysis.Figures'.
func (s *Store) Export(ctx context.Context, q analysis.Query, yield func(*analysis.Detail) error) error {
	sets := map[int64]*setBody{}
	q.Limit, q.After = exportPage, ""
	for {
		if len(sets) > maxExportSets {
			clear(sets)
		}
		page, err := s.details(ctx, &q, sets)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if err := yield(&page.Rows[i]); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// detailRow is a record as it is read.
type detailRow struct {
	analysis.Detail
	set, code, spf, dkim, rowFlags, reportFlags, begin, end int64
	domain                                                  string
}

// details reads a page. sets are those that are decoded already.
//
// A record whose period is spread stands there once, on its last day in the period.
func (s *Store) details(ctx context.Context, q *analysis.Query, sets map[int64]*setBody) (analysis.Page[analysis.Detail], error) {
	var page analysis.Page[analysis.Detail]
	after, err := readCursor(q.After, 2)
	if err != nil {
		return page, err
	}
	err = s.read(ctx, "details", func(ctx context.Context, t *tx) error {
		page = analysis.Page[analysis.Detail]{}
		found, err := t.detailRows(ctx, q, after)
		if err != nil {
			return err
		}
		if q.Limit > 0 && len(found) > q.Limit {
			found = found[:q.Limit]
			last := &found[q.Limit-1]
			page.Next = cursor{int64(last.Day), []string{strconv.FormatInt(last.Report, 10), strconv.Itoa(last.Record)}}.String()
		}
		if err := t.addShares(ctx, q, found); err != nil {
			return err
		}
		if err := t.addSets(ctx, found, sets); err != nil {
			return err
		}
		labels, err := t.labels(ctx, q.Managed)
		if err != nil {
			return err
		}
		page.Rows = make([]analysis.Detail, len(found))
		for i := range found {
			found[i].finish(sets[found[i].set], labels)
			page.Rows[i] = found[i].Detail
		}
		return nil
	})
	return page, err
}

func (t *tx) detailRows(ctx context.Context, q *analysis.Query, after *cursor) ([]detailRow, error) {
	w := &conditions{}
	w.rows(q)
	last := noDay - 1
	if !q.Filter.All {
		last = bounded(int64(q.Filter.To))
	}
	w.add(`r.next_day > ` + w.arg(last))
	if after != nil {
		id, err := strconv.ParseInt(after.Key[0], 10, 64)
		number, err2 := strconv.ParseInt(after.Key[1], 10, 64)
		if err != nil || err2 != nil {
			return nil, errAfter
		}
		day := w.arg(after.Count)
		w.add(fmt.Sprintf(`r.day <= %[1]s AND (r.day < %[1]s OR (r.report, r.number) > (%[2]s, %[3]s))`, day, w.arg(id), w.arg(number)))
	}
	query := `SELECT a.day, a.report, a.number, a.messages, a.whole, a.disposition, a.spf, a.dkim, a.flags, a.aset,
			p.org, i.host, i.ip, n.value, coalesce(d.value, ''), o.policy_domain, o.p, o.trust, o.flags, o.begins, o.ends
		FROM (SELECT * FROM received_rows r WHERE ` + w.and() + ` ORDER BY r.day DESC, r.report, r.number LIMIT ` + w.arg(pageLimit(q.Limit)) + `) a
		JOIN received_reports o ON o.id = a.report JOIN received_reporters p ON p.id = o.reporter
		JOIN received_identities i ON i.id = a.identity JOIN received_names n ON n.id = i.service
		LEFT JOIN received_names d ON d.id = a.domain ORDER BY a.day DESC, a.report, a.number`
	var out []detailRow
	err := t.rows(ctx, func(scan func(...any) error) error {
		var r detailRow
		err := scan((*int64)(&r.Day), &r.Report, &r.Record, &r.Messages, &r.Of, &r.code, &r.spf, &r.dkim, &r.rowFlags, &r.set,
			&r.Reporter, &r.Host, &r.IP, &r.Service, &r.domain, &r.PolicyDomain, (*string)(&r.Policy), (*string)(&r.Trust), &r.reportFlags, &r.begin, &r.end)
		out = append(out, r)
		return err
	}, query, w.args...)
	return out, err
}

// addShares adds up what of spread records falls into the period.
func (t *tx) addShares(ctx context.Context, q *analysis.Query, found []detailRow) error {
	for i := range found {
		r := &found[i]
		if r.Messages == r.Of {
			continue
		}
		w := &conditions{}
		w.add(`r.report = ` + w.arg(r.Report) + ` AND r.number = ` + w.arg(int64(r.Record)))
		w.period(&q.Filter, "r.day", 0)
		if err := t.row(ctx, `SELECT CAST(sum(r.messages) AS BIGINT) FROM received_rows r WHERE `+w.and(), w.args...).Scan(&r.Messages); err != nil {
			return err
		}
	}
	return nil
}

// addSets decodes the sets of rows that are not known yet.
func (t *tx) addSets(ctx context.Context, found []detailRow, sets map[int64]*setBody) error {
	var missing []any
	for i := range found {
		if _, ok := sets[found[i].set]; !ok {
			sets[found[i].set] = nil
			missing = append(missing, found[i].set)
		}
	}
	return t.inChunks(ctx, missing, func(scan func(...any) error) error {
		var id int64
		var text string
		if err := scan(&id, &text); err != nil {
			return err
		}
		body := &setBody{}
		if err := json.Unmarshal([]byte(text), body); err != nil {
			t.s.undecodable.Add(1)
			return nil
		}
		sets[id] = body
		return nil
	}, `SELECT id, body FROM received_sets WHERE id IN`)
}

// finish fills in what follows from the rest.
func (r *detailRow) finish(body *setBody, labels []analysis.LabelSet) {
	if r.Of == r.Messages {
		r.Of = 0
	}
	r.Disposition = dispositions[min(max(r.code, 0), int64(len(dispositions)-1))]
	r.SPF, r.DKIM = verdictOf(r.spf), verdictOf(r.dkim)
	if r.SPF == report.DMARCPass || r.DKIM == report.DMARCPass {
		r.Compliant = r.Messages
	}
	r.Domain = nameOf(r.domain)
	r.Flags = analysis.Flags(r.rowFlags | r.reportFlags).Names()
	r.Begin, r.End = time.Unix(r.begin, 0).UTC(), time.Unix(r.end, 0).UTC()
	r.Reasons = []string{}
	if len(labels) > 0 {
		r.Label = labelOf(labels, r.domain, &analysis.SourceRow{Service: r.Service, Host: r.Host, IP: r.IP})
	}
	if body == nil {
		return
	}
	r.HeaderFrom, r.EnvelopeFrom, r.NullSender, r.EnvelopeTo, r.Auth = body.HeaderFrom, body.EnvelopeFrom, body.NullSender, body.EnvelopeTo, body.Auth
	for _, reason := range body.Auth.Reasons {
		text := string(reason.Type)
		if reason.Comment != "" {
			text += ": " + reason.Comment
		}
		r.Reasons = append(r.Reasons, text)
	}
}

// unixTime is a time in seconds; 0 is none.
func unixTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// microTime likewise, in microseconds.
func microTime(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// unixOf is the reverse of unixTime.
func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// microOf is the reverse of microTime.
func microOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
