package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
)

// Slices of what prunes reports.
const (
	pruneReports = 500
	pruneFiles   = 100
)

// requeueSlice is how many deliveries one transaction of Requeue looks at.
const requeueSlice = 200

// gaugeWindow is how far back final deliveries are counted.
const gaugeWindow = 7 * 24 * time.Hour

const reportColumns = `id, kind, policy_domain, day, report_id, file_name, subject, org_name, email, made, messages, row_count, octets, stored, note, problem`

const deliveryColumns = `id, report, address, state, cause, error, attempts, due, expires, sent, message_id, verified, record`

func scanReport(scan func(...any) error) (outgoing.Report, error) {
	var r outgoing.Report
	var kind string
	var day, made, stored int64
	err := scan(&r.ID, &kind, &r.Domain, &day, &r.ReportID, &r.FileName, &r.Subject, &r.OrgName, &r.Email, &made,
		&r.Messages, &r.Rows, &r.Octets, &stored, &r.Note, &r.Problem)
	r.Kind, r.Day, r.Made, r.Stored = outgoing.Kind(kind), memory.Day(day), time.UnixMilli(made).UTC(), stored == 1
	return r, err
}

func scanDelivery(scan func(...any) error) (d outgoing.Delivery, report int64, err error) {
	var state, cause string
	var due, sent sql.NullInt64
	var expires, verified int64
	err = scan(&d.ID, &report, &d.To, &state, &cause, &d.Error, &d.Attempts, &due, &expires, &sent, &d.MessageID, &verified, &d.Record)
	d.State, d.Cause, d.Verified = outgoing.State(state), outgoing.Cause(cause), verified == 1
	d.Due, d.Sent, d.Expires = fromMillis(due), fromMillis(sent), time.UnixMilli(expires).UTC()
	return d, report, err
}

func (t *tx) report(ctx context.Context, id int64) (outgoing.Report, error) {
	var r outgoing.Report
	found := false
	err := t.rows(ctx, func(scan func(...any) error) error {
		var err error
		r, err = scanReport(scan)
		found = true
		return err
	}, `SELECT `+reportColumns+` FROM reports WHERE id = $1`, id)
	if err == nil && !found {
		err = fmt.Errorf("%w: report %d", ErrNotFound, id)
	}
	return r, err
}

// Report is outgoing.Archive's.
func (r Reports) Report(ctx context.Context, id int64) (outgoing.Report, error) {
	var out outgoing.Report
	err := r.s.read(ctx, "report", func(ctx context.Context, t *tx) error {
		var err error
		if out, err = t.report(ctx, id); err != nil {
			return err
		}
		list := []outgoing.Report{out}
		err = t.addDeliveries(ctx, list)
		out = list[0]
		return err
	})
	return out, missing(err)
}

// Find is outgoing.Archive's.
func (r Reports) Find(ctx context.Context, domain string, day memory.Day, reportID string) (int64, error) {
	var id int64
	err := r.s.read(ctx, "find report", func(ctx context.Context, t *tx) error {
		if reportID != "" {
			return t.row(ctx, `SELECT id FROM reports WHERE report_id = $1`, reportID).Scan(&id)
		}
		return t.row(ctx, `SELECT id FROM reports WHERE kind = 'aggregate' AND policy_domain = $1 AND day = $2`, domain, bounded(int64(day))).Scan(&id)
	})
	return id, missing(err)
}

// condition is a WHERE clause in the making.
type condition struct {
	parts []string
	args  []any
}

// add adds a part in which ? is the argument.
func (c *condition) add(part string, arg any) {
	c.args = append(c.args, arg)
	c.parts = append(c.parts, strings.ReplaceAll(part, "?", fmt.Sprintf("$%d", len(c.args))))
}

func (c *condition) where() string {
	if len(c.parts) == 0 {
		return "1 = 1"
	}
	return strings.Join(c.parts, " AND ")
}

// ofReports adds a filter's conditions on the table reports, named r.
func (c *condition) ofReports(f outgoing.Filter) {
	if f.Kind != "" {
		c.add(`r.kind = ?`, string(f.Kind))
	}
	if f.Domain != "" {
		c.add(`r.policy_domain = ?`, strings.ToLower(f.Domain))
	}
	if f.Since != nil {
		c.add(`r.day >= ?`, bounded(int64(*f.Since)))
	}
	if f.Until != nil {
		c.add(`r.day <= ?`, bounded(int64(*f.Until)))
	}
	if f.Before > 0 {
		c.add(`r.id < ?`, f.Before)
	}
}

// List is outgoing.Archive's.
func (r Reports) List(ctx context.Context, f outgoing.Filter) ([]outgoing.Report, error) {
	var c condition
	c.ofReports(f)
	if f.State != "" {
		c.add(`EXISTS (SELECT 1 FROM deliveries d WHERE d.report = r.id AND d.state = ?)`, string(f.State))
	}
	if f.To != "" {
		c.add(`EXISTS (SELECT 1 FROM deliveries d WHERE d.report = r.id AND d.address_key = ?)`, strings.ToLower(f.To))
	}
	c.add(`1 = 1 ORDER BY r.id DESC LIMIT ?`, f.Limit)
	var out []outgoing.Report
	err := r.s.read(ctx, "list reports", func(ctx context.Context, t *tx) error {
		out = nil
		err := t.rows(ctx, func(scan func(...any) error) error {
			report, err := scanReport(scan)
			out = append(out, report)
			return err
		}, `SELECT `+reportColumns+` FROM reports r WHERE `+c.where(), c.args...)
		if err != nil {
			return err
		}
		return t.addDeliveries(ctx, out)
	})
	return out, err
}

// addDeliveries fills in the deliveries of reports, in the order of the record.
func (t *tx) addDeliveries(ctx context.Context, reports []outgoing.Report) error {
	place := make(map[int64]*outgoing.Report, len(reports))
	for i := range reports {
		reports[i].Delivered = []outgoing.Delivery{}
		place[reports[i].ID] = &reports[i]
	}
	const some = 100 // of one statement
	for start := 0; start < len(reports); start += some {
		part := reports[start:min(start+some, len(reports))]
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i].ID
		}
		err := t.rows(ctx, func(scan func(...any) error) error {
			d, report, err := scanDelivery(scan)
			if r := place[report]; r != nil {
				r.Delivered = append(r.Delivered, d)
			}
			return err
		}, `SELECT `+deliveryColumns+` FROM deliveries WHERE report IN (`+argList(1, len(args))+`) ORDER BY report, id`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Requeue implements outgoing.Archive. It also makes the check whether an outside host
// wants the reports run again.
func (r Reports) Requeue(ctx context.Context, q outgoing.Requeue) (int, error) {
	queued := 0
	for after := int64(0); ; {
		slice, err := r.requeueSome(ctx, &q, after)
		queued += slice.queued
		if err != nil || slice.seen < requeueSlice {
			return queued, err
		}
		after = slice.last
	}
}

// requeued is the result of one slice of Requeue.
type requeued struct {
	queued, seen int
	last         int64 // the last delivery seen
}

// requeueSome is Requeue for the first deliveries after one.
func (r Reports) requeueSome(ctx context.Context, q *outgoing.Requeue, after int64) (done requeued, err error) {
	c := chosenBy(q)
	c.add(`d.id > ?`, after)
	c.add(`1 = 1 ORDER BY d.id LIMIT ?`, requeueSlice)
	err = r.s.write(ctx, "queue again", func(ctx context.Context, t *tx) error {
		done = requeued{}
		type delivery struct {
			id  int64
			own bool
		}
		var chosen []delivery
		err := t.rows(ctx, func(scan func(...any) error) error {
			var d delivery
			var host, domain string
			err := scan(&d.id, &host, &domain)
			d.own = host == domain
			chosen = append(chosen, d)
			return err
		}, `SELECT d.id, d.host, r.policy_domain FROM deliveries d JOIN reports r ON r.id = d.report WHERE `+c.where(), c.args...)
		if err != nil {
			return err
		}
		for _, d := range chosen {
			n, err := t.requeue(ctx, d.id, d.own, q)
			if err != nil {
				return err
			}
			done.queued += int(n)
			done.last = d.id
		}
		done.seen = len(chosen)
		return nil
	})
	if err != nil {
		return requeued{}, err
	}
	return done, nil
}

// chosenBy is the deliveries, named d, of reports, named r, that q chooses.
func chosenBy(q *outgoing.Requeue) condition {
	var c condition
	c.add(`(d.claimed = 0 OR d.due <= ?)`, q.Now.UnixMilli())
	c.add(`r.stored = ?`, 1)
	switch {
	case q.Delivery != 0:
		c.add(`d.id = ?`, q.Delivery)
	case q.Report != 0:
		c.add(`r.id = ?`, q.Report)
	default:
		c.ofReports(q.Filter)
		if q.Filter.To != "" {
			c.add(`d.address_key = ?`, strings.ToLower(q.Filter.To))
		}
	}
	states := make([]string, len(q.States))
	for i, s := range q.States {
		c.args = append(c.args, string(s))
		states[i] = fmt.Sprintf("$%d", len(c.args))
	}
	c.parts = append(c.parts, `d.state IN (`+strings.Join(states, ", ")+`)`)
	return c
}

// requeue makes one delivery due now, unless it is under way; own says that its host
// is the policy domain.
func (t *tx) requeue(ctx context.Context, id int64, own bool, q *outgoing.Requeue) (int64, error) {
	state := outgoing.StateUnconfirmed
	if own {
		state = outgoing.StateQueued
	}
	return t.exec(ctx, `UPDATE deliveries SET state = $2, due = $3, expires = $4, attempts = 0, claimed = 0, cause = '', error = '', verified = $5
		WHERE id = $1 AND (claimed = 0 OR due <= $3)`, id, string(state), q.Now.UnixMilli(), q.Expires.UnixMilli(), boolInt(own))
}

// Suppress is outgoing.Archive's.
func (r Reports) Suppress(ctx context.Context, s outgoing.Suppression) error {
	return r.s.write(ctx, "suppress", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO suppressions (target, reason, by_hand, since, until, automatic_count) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, by_hand = excluded.by_hand, since = excluded.since, until = excluded.until`,
			s.Target, s.Reason, boolInt(s.ByHand), s.Since.UnixMilli(), millis(s.Until), s.AutomaticCount)
		return err
	})
}

// Unsuppress is outgoing.Archive's.
func (r Reports) Unsuppress(ctx context.Context, target string) (bool, error) {
	var n int64
	err := r.s.write(ctx, "unsuppress", func(ctx context.Context, t *tx) error {
		var err error
		n, err = t.exec(ctx, `DELETE FROM suppressions WHERE target = $1`, target)
		return err
	})
	return n > 0, err
}

// Suppressions is outgoing.Archive's.
func (r Reports) Suppressions(ctx context.Context, now time.Time, q outgoing.SuppressionsRequest) ([]outgoing.Suppression, error) {
	since, target := int64(math.MaxInt64), ""
	if q.After != nil {
		since, target = q.After.Since.UnixMilli(), q.After.Target
	}
	out := []outgoing.Suppression{}
	err := r.s.read(ctx, "suppressions", func(ctx context.Context, t *tx) error {
		out = out[:0]
		return t.rows(ctx, func(scan func(...any) error) error {
			var s outgoing.Suppression
			var since, byHand int64
			var until sql.NullInt64
			err := scan(&s.Target, &s.Reason, &byHand, &since, &until, &s.AutomaticCount)
			s.ByHand, s.Since, s.Until = byHand == 1, time.UnixMilli(since).UTC(), fromMillis(until)
			s.Active = s.Until.IsZero() || s.Until.After(now)
			out = append(out, s)
			return err
		}, `SELECT target, reason, by_hand, since, until, automatic_count FROM suppressions
			WHERE ($1 = 1 OR until IS NULL OR until > $2) AND (since < $3 OR since = $3 AND target > $4)
			ORDER BY since DESC, target LIMIT $5`, boolInt(q.All), now.UnixMilli(), since, target, q.Limit)
	})
	return out, err
}

// Gauges implements outgoing.Archive: all waiting deliveries, and of the others those of
// the last week's reports.
func (r Reports) Gauges(ctx context.Context, now time.Time, states []outgoing.State) (outgoing.Gauges, error) {
	var g outgoing.Gauges
	err := r.s.read(ctx, "count deliveries", func(ctx context.Context, t *tx) error {
		g = outgoing.Gauges{Deliveries: map[outgoing.State]int64{}}
		first, err := t.firstReport(ctx, now.Add(-gaugeWindow))
		if err != nil {
			return err
		}
		for _, state := range states {
			since := first
			if state.Waiting() {
				since = 0
			}
			var n int64
			if err := t.row(ctx, `SELECT count(*) FROM deliveries WHERE state = $1 AND report >= $2`, string(state), since).Scan(&n); err != nil {
				return err
			}
			g.Deliveries[state] = n
		}
		return t.row(ctx, `SELECT count(*) FROM suppressions WHERE until IS NULL OR until > $1`, now.UnixMilli()).Scan(&g.Suppressed)
	})
	return g, err
}

// firstReport is the first report made at a time or later, and beyond all where there
// is none.
func (t *tx) firstReport(ctx context.Context, since time.Time) (int64, error) {
	var id int64
	// In the order of the index: min(id) would have PostgreSQL walk along all ids.
	err := t.row(ctx, `SELECT id FROM reports WHERE made >= $1 ORDER BY made, id LIMIT 1`, since.UnixMilli()).Scan(&id)
	if errors.Is(err, ErrNotFound) {
		return math.MaxInt64, nil
	}
	return id, err
}

// dropReports removes reports made before a time, the oldest first, and suppressions
// that ended before it.
func (s *Store) dropReports(ctx context.Context, before time.Time) (n int64, err error) {
	err = s.write(ctx, "prune reports", func(ctx context.Context, t *tx) error {
		ids, err := t.keys(ctx, `SELECT id FROM reports WHERE made < $1 ORDER BY made, id LIMIT $2`, before.UnixMilli(), pruneReports)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM suppressions WHERE until < $1`, before.UnixMilli()); err != nil {
			return err
		}
		n = int64(len(ids))
		return t.forEach(ctx, ids, `DELETE FROM deliveries WHERE report = $1`, `DELETE FROM report_files WHERE report = $1`, `DELETE FROM reports WHERE id = $1`)
	})
	return n, err
}

// dropReportFiles removes the files of reports made before a time.
func (s *Store) dropReportFiles(ctx context.Context, before time.Time) (n int64, err error) {
	err = s.write(ctx, "prune files of reports", func(ctx context.Context, t *tx) error {
		ids, err := t.keys(ctx, `SELECT id FROM reports WHERE stored = 1 AND made < $1 ORDER BY made LIMIT $2`, before.UnixMilli(), pruneFiles)
		if err != nil {
			return err
		}
		n = int64(len(ids))
		return t.forEach(ctx, ids, `DELETE FROM report_files WHERE report = $1`, `UPDATE reports SET stored = 0 WHERE id = $1`)
	})
	return n, err
}

// forEach runs statements for each key.
func (t *tx) forEach(ctx context.Context, keys []int64, queries ...string) error {
	for _, key := range keys {
		for _, query := range queries {
			if _, err := t.exec(ctx, query, key); err != nil {
				return err
			}
		}
	}
	return nil
}
