package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
)

// Reports is the store of the reports that we send.
type Reports struct{ s *Store }

var _ outgoing.Store = Reports{}

// Reports is the part of the store that package outgoing works with.
func (s *Store) Reports() Reports { return Reports{s} }

// TaskReports is the leader's task of making and sending reports.
const TaskReports = "reports"

// Lead is Store.Lead of that task.
func (r Reports) Lead(ctx context.Context, do func(context.Context, int64) error) error {
	return r.s.Lead(ctx, TaskReports, do)
}

// fenceLeader is fence, except for a person's request.
func (t *tx) fenceLeader(ctx context.Context, epoch int64) error {
	if epoch == outgoing.ByHand {
		return nil
	}
	return t.fence(ctx, epoch)
}

// openDays decides into which day an aggregate is counted.
type openDays struct {
	open     int64              // the first day that is counted into
	reported map[string][]int64 // days from open on that have a report, by policy domain
}

// first is the day into which aggregates of day are counted: day itself, unless it is
// closed or reported.
func (f *openDays) first(domain string, day int64) int64 {
	day = max(day, f.open)
	for slices.Contains(f.reported[domain], day) {
		day++
	}
	return day
}

// findOpenDays keeps the open days open until the end of the transaction. Open days
// have reports only where a clock was ahead; then it looks the aggregates up.
func (t *tx) findOpenDays(ctx context.Context, aggregates []aggregateRow) (openDays, error) {
	var closed, reopened sql.NullInt64
	err := t.row(ctx, `SELECT closed, reopened FROM report_progress WHERE id = 1`+t.s.dialect.forShare).Scan(&closed, &reopened)
	if err != nil || !closed.Valid {
		return openDays{open: bounded(-1 << 62)}, err
	}
	f := openDays{open: closed.Int64 + 1, reported: map[string][]int64{}}
	if reopened.Int64 < f.open {
		return f, nil
	}
	for i := range aggregates {
		domain := aggregates[i].domain
		if _, known := f.reported[domain]; known || aggregates[i].day > reopened.Int64 {
			continue
		}
		f.reported[domain], err = t.keys(ctx, `SELECT day FROM reports WHERE kind = 'aggregate' AND policy_domain = $1 AND day >= $2`, domain, f.open)
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// within moves aggregates of days that are closed or reported to the next one that is
// not, and adjusts the day until which their texts are in use.
func (l *loading) within(f *openDays) ([]aggregateRow, map[textHash]textUse) {
	late := false
	for i := range l.aggregates {
		y := &l.aggregates[i]
		late = late || y.day != f.first(y.domain, y.day)
	}
	if !late {
		return l.aggregates, l.texts
	}
	texts := maps.Clone(l.texts)
	place := make(map[aggregateKey]int, len(l.aggregates))
	moved := make([]aggregateRow, 0, len(l.aggregates))
	for _, y := range l.aggregates { // in order, so that moved aggregates come first
		y.day = f.first(y.domain, y.day)
		for _, h := range []textHash{y.record, y.row} {
			texts[h] = textUse{body: texts[h].body, day: max(texts[h].day, y.day)}
		}
		if i, ok := place[y.aggregateKey]; ok {
			moved[i].count += y.count
			moved[i].last = max(moved[i].last, y.last)
			continue
		}
		place[y.aggregateKey] = len(moved)
		moved = append(moved, y)
	}
	sortAggregates(moved)
	return moved, texts
}

// CloseDays is outgoing.Source's.
func (r Reports) CloseDays(ctx context.Context, epoch int64, through, today memory.Day) (outgoing.Progress, error) {
	var p outgoing.Progress
	err := r.s.write(ctx, "close days", func(ctx context.Context, t *tx) error {
		if err := t.fenceLeader(ctx, epoch); err != nil {
			return err
		}
		var closed, built, reopened sql.NullInt64
		err := t.row(ctx, `SELECT closed, built, reopened FROM report_progress WHERE id = 1`+t.s.dialect.forUpdate).Scan(&closed, &built, &reopened)
		if err != nil {
			return err
		}
		p = outgoing.Progress{Closed: memory.Day(closed.Int64), Built: memory.Day(built.Int64)}
		before := p
		switch {
		case !closed.Valid:
			p = outgoing.Progress{Closed: through, Built: through - 1}
		case p.Closed < through:
			p.Closed = through
		case p.Closed >= today && epoch != outgoing.ByHand:
			if err := t.reopen(ctx, &p, through, today); err != nil {
				return err
			}
			if p.Reopened != 0 {
				reopened = sql.NullInt64{Int64: max(reopened.Int64, int64(p.Reopened)), Valid: true}
			}
		}
		if p.Built > p.Closed { // a clock was ahead while reports were off
			p.Built = p.Closed - 1
		}
		if closed.Valid && p == before {
			return nil
		}
		_, err = t.exec(ctx, `UPDATE report_progress SET closed = $1, built = $2, reopened = $3 WHERE id = 1`,
			bounded(int64(p.Closed)), bounded(int64(p.Built)), reopened)
		return err
	})
	return p, err
}

// reopen reopens closed days that have not ended yet: a clock was wrong. A day that has
// ended and was reported stays closed. Reports on days that have not ended do not keep
// them closed. Their domains' mail is counted into the next day without a report.
func (t *tx) reopen(ctx context.Context, p *outgoing.Progress, through, today memory.Day) error {
	const again = 7 // days checked again; days with a report have it
	var last sql.NullInt64
	err := t.row(ctx, `SELECT max(day) FROM reports WHERE kind = 'aggregate' AND day < $1`, bounded(int64(today))).Scan(&last)
	if err != nil {
		return err
	}
	closed := through
	if last.Valid {
		closed = max(closed, memory.Day(last.Int64))
	}
	if closed < p.Closed {
		p.Reopened, p.Closed = p.Closed, closed
		p.Built = min(p.Built, closed-again)
	}
	return nil
}

// Built is outgoing.Source's.
func (r Reports) Built(ctx context.Context, epoch int64, day memory.Day) error {
	return r.s.write(ctx, "reports made", func(ctx context.Context, t *tx) error {
		if err := t.fenceLeader(ctx, epoch); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE report_progress SET built = $1 WHERE id = 1 AND built < $1`, bounded(int64(day)))
		return err
	})
}

// CountDomains is outgoing.Source's.
func (r Reports) CountDomains(ctx context.Context, day memory.Day) (n int, err error) {
	err = r.s.read(ctx, "count policy domains", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT count(DISTINCT policy_domain) FROM aggregates WHERE day = $1`, bounded(int64(day))).Scan(&n)
	})
	return n, err
}

// CountUnreported is outgoing.Source's.
func (r Reports) CountUnreported(ctx context.Context, first, last memory.Day) (n int64, err error) {
	err = r.s.read(ctx, "count messages without a report", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT coalesce(sum(y.messages), 0) FROM aggregates y WHERE y.day >= $1 AND y.day <= $2 AND NOT EXISTS
			(SELECT 1 FROM reports r WHERE r.kind = 'aggregate' AND r.policy_domain = y.policy_domain AND r.day = y.day)`,
			bounded(int64(first)), bounded(int64(last))).Scan(&n)
	})
	return n, err
}

// Domains is outgoing.Source's. A domain whose name cannot be read is logged, counted and
// left out: it must not prevent the others' reports.
func (r Reports) Domains(ctx context.Context, day memory.Day, after dns.Name, limit int) ([]outgoing.DomainDay, error) {
	var out []outgoing.DomainDay
	for last := after.String(); len(out) < limit; {
		page, err := r.domainPage(ctx, day, last, limit-len(out))
		if err != nil {
			return nil, err
		}
		end := len(page) < limit-len(out)
		for i := range page {
			last = page[i].name
			d := page[i].day
			if d.Domain, err = dns.ParseQuery(last); err != nil {
				r.s.undecodable.Add(1)
				r.s.log.WarnContext(ctx, "a policy domain cannot be read and gets no report", "name", last, "day", day.String(), "error", err)
				continue
			}
			out = append(out, d)
		}
		if end {
			break
		}
	}
	return out, nil
}

// namedDay is a DomainDay with its name as it is stored.
type namedDay struct {
	name string
	day  outgoing.DomainDay
}

// domainPage returns the domains after a name.
func (r Reports) domainPage(ctx context.Context, day memory.Day, after string, limit int) ([]namedDay, error) {
	var page []namedDay
	err := r.s.read(ctx, "policy domains", func(ctx context.Context, t *tx) error {
		page = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			var d namedDay
			var reported int64
			err := scan(&d.name, &d.day.Messages, &d.day.Failed, &reported)
			d.day.Reported = reported == 1
			page = append(page, d)
			return err
		}, `SELECT y.policy_domain, CAST(sum(y.messages) AS BIGINT), CAST(sum(CASE y.failed WHEN 1 THEN y.messages ELSE 0 END) AS BIGINT),
				CASE WHEN EXISTS (SELECT 1 FROM reports r WHERE r.kind = 'aggregate' AND r.policy_domain = y.policy_domain AND r.day = $1) THEN 1 ELSE 0 END
			FROM aggregates y WHERE y.day = $1 AND y.policy_domain > $2
			GROUP BY y.policy_domain ORDER BY y.policy_domain LIMIT $3`,
			bounded(int64(day)), after, limit)
	})
	return page, err
}

// Policies is outgoing.Source's.
func (r Reports) Policies(ctx context.Context, day memory.Day, domain dns.Name, limit int) ([]outgoing.PolicySeen, int, error) {
	type use struct{ record, psl, last int64 }
	var out []outgoing.PolicySeen
	all := 0
	err := r.s.read(ctx, "policy records", func(ctx context.Context, t *tx) error {
		var uses []use
		out, all = nil, 0
		err := t.rows(ctx, func(scan func(...any) error) error {
			var u use
			if err := scan(&u.record, &u.psl, &u.last); err != nil {
				return err
			}
			if all++; len(uses) < limit {
				uses = append(uses, u)
			}
			return nil
		}, `SELECT record_id, psl, max(last) FROM aggregates WHERE day = $1 AND policy_domain = $2
			GROUP BY record_id, psl ORDER BY 3 DESC, 1 DESC, 2`, bounded(int64(day)), domain.String())
		if err != nil {
			return err
		}
		for _, u := range uses {
			var body []byte
			if err := t.row(ctx, `SELECT body FROM texts WHERE id = $1`, u.record).Scan(&body); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			out = append(out, outgoing.PolicySeen{Record: string(body), PSL: u.psl == 1, Last: time.Unix(u.last, 0).UTC()})
		}
		return nil
	})
	return out, all, err
}

// Rows is outgoing.Source's. Rows of several policy records are joined; as a rule
// there is one, and then a page costs no more than its rows.
func (r Reports) Rows(ctx context.Context, day memory.Day, domain dns.Name, failed bool, after int64, limit int) ([]outgoing.Counted, error) {
	var out []outgoing.Counted
	err := r.s.read(ctx, "rows of a report", func(ctx context.Context, t *tx) error {
		out = nil
		var first, last sql.NullInt64
		err := t.row(ctx, `SELECT (SELECT record_id FROM aggregates WHERE day = $1 AND policy_domain = $2 ORDER BY record_id LIMIT 1),
			(SELECT record_id FROM aggregates WHERE day = $1 AND policy_domain = $2 ORDER BY record_id DESC LIMIT 1)`,
			bounded(int64(day)), domain.String()).Scan(&first, &last)
		if err != nil {
			return err
		}
		one, args := ``, []any{bounded(int64(day)), domain.String(), after, boolInt(failed), limit}
		if first == last {
			one, args = ` AND record_id = $6`, append(args, first.Int64)
		}
		return t.rows(ctx, func(scan func(...any) error) error {
			var c outgoing.Counted
			if err := scan(&c.Cursor, &c.Messages, &c.Key); err != nil {
				return err
			}
			out = append(out, c)
			return nil
		}, `SELECT g.row_id, g.messages, b.body FROM
			(SELECT row_id, CAST(sum(messages) AS BIGINT) AS messages FROM aggregates
				WHERE day = $1 AND policy_domain = $2`+one+` AND row_id > $3 AND failed >= $4
				GROUP BY row_id ORDER BY row_id LIMIT $5) g
			LEFT JOIN texts b ON b.id = g.row_id ORDER BY g.row_id`, args...)
	})
	return out, err
}

// Secret is outgoing.Archive's.
func (r Reports) Secret(ctx context.Context) ([]byte, error) {
	var secret []byte
	read := func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT secret FROM report_progress WHERE id = 1`).Scan(&secret)
	}
	if err := r.s.read(ctx, "secret of reports", read); err != nil || len(secret) > 0 {
		return secret, err
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("store: secret of reports: %w", err)
	}
	err := r.s.write(ctx, "secret of reports", func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `UPDATE report_progress SET secret = $1 WHERE id = 1 AND secret IS NULL`, fresh); err != nil {
			return err
		}
		return read(ctx, t)
	})
	return secret, err
}

// missing makes ErrNotFound that of package outgoing too.
func missing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w (%w)", outgoing.ErrNotFound, err)
	}
	return err
}
