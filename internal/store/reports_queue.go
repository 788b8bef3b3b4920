package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/report/outgoing"
)

// How long a destination is suppressed by itself: doubled each time.
const (
	firstSuppression = 7 * 24 * time.Hour
	maxSuppression   = 60 * 24 * time.Hour
)

// Add is outgoing.Queue's.
func (r Reports) Add(ctx context.Context, epoch int64, reports []outgoing.NewReport) (int, error) {
	stored := 0
	err := r.s.write(ctx, "store reports", func(ctx context.Context, t *tx) error {
		stored = 0
		if err := t.fenceLeader(ctx, epoch); err != nil {
			return err
		}
		for i := range reports {
			added, err := t.addReport(ctx, &reports[i])
			if err != nil {
				return err
			}
			if added {
				stored++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return stored, nil
}

// addReport stores one report; false if its domain and day have one.
func (t *tx) addReport(ctx context.Context, n *outgoing.NewReport) (bool, error) {
	var id int64
	err := t.row(ctx, `INSERT INTO reports (kind, policy_domain, day, report_id, file_name, subject, org_name, email, made,
			messages, row_count, octets, stored, note, problem)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING RETURNING id`,
		string(n.Kind), n.Domain, bounded(int64(n.Day)), n.ReportID, n.FileName, n.Subject, n.OrgName, n.Email, n.Made.UnixMilli(),
		n.Messages, n.Rows, n.Octets, boolInt(n.Stored), n.Note, n.Problem).Scan(&id)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	if n.Stored {
		if _, err := t.exec(ctx, `INSERT INTO report_files (report, body) VALUES ($1, $2)`, id, n.File); err != nil {
			return false, err
		}
	}
	for i := range n.Delivered {
		if err := t.addDelivery(ctx, id, &n.Delivered[i]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// addDelivery stores a delivery, unless the report has one to that address.
func (t *tx) addDelivery(ctx context.Context, report int64, d *outgoing.Delivery) error {
	_, err := t.exec(ctx, `INSERT INTO deliveries (report, address, address_key, host, state, due, claim, claimed, attempts, expires, cause, error, message_id, verified, record)
		VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7, $8, $9, $10, $11, $12) ON CONFLICT (report, address_key) DO NOTHING`,
		report, d.To, strings.ToLower(d.To), hostOf(d.To), string(d.State), millis(d.Due), d.Expires.UnixMilli(),
		string(d.Cause), d.Error, d.MessageID, boolInt(d.Verified), d.Record)
	return err
}

// hostOf is the part after the "@", in lower case.
func hostOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

// millis is null for the zero time.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// fromMillis is the zero time for null.
func fromMillis(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMilli(n.Int64).UTC()
}

// AddFailure is outgoing.Queue's.
func (r Reports) AddFailure(ctx context.Context, n outgoing.NewReport, limits outgoing.Limits) (bool, error) {
	added := false
	err := r.s.write(ctx, "store failure report", func(ctx context.Context, t *tx) error {
		added = false
		var all int
		since := limits.Since.UnixMilli()
		// The lock keeps others from counting until this transaction has added.
		if err := t.row(ctx, `SELECT id FROM report_progress WHERE id = 1`+t.s.dialect.forUpdate).Scan(&all); err != nil {
			return err
		}
		if err := t.row(ctx, `SELECT count(*) FROM reports WHERE made > $1 AND kind = 'failure'`, since).Scan(&all); err != nil || all >= limits.All {
			return err
		}
		within := n
		within.Delivered = nil
		for _, d := range n.Delivered {
			var host int
			err := t.row(ctx, `SELECT count(*) FROM deliveries d JOIN reports r ON r.id = d.report
				WHERE r.made > $1 AND r.kind = 'failure' AND d.host = $2`, since, hostOf(d.To)).Scan(&host)
			if err != nil {
				return err
			}
			if host < limits.PerHost {
				within.Delivered = append(within.Delivered, d)
			}
		}
		if len(within.Delivered) == 0 {
			return nil
		}
		var err error
		added, err = t.addReport(ctx, &within)
		return err
	})
	return added && err == nil, err
}

// Claim is outgoing.Queue's.
func (r Reports) Claim(ctx context.Context, epoch int64, now, lease time.Time, limit int, except []int64) ([]outgoing.Task, error) {
	idle, err := r.idle(ctx, now)
	if err != nil || idle {
		return nil, err
	}
	var tasks []outgoing.Task
	err = r.s.write(ctx, "claim deliveries", func(ctx context.Context, t *tx) error {
		tasks = nil
		if err := t.fenceLeader(ctx, epoch); err != nil {
			return err
		}
		ids, err := t.keys(ctx, `SELECT id FROM deliveries WHERE due <= $1 ORDER BY due LIMIT $2`+t.s.dialect.forUpdate, now.UnixMilli(), limit+len(except))
		if err != nil {
			return err
		}
		for _, id := range ids {
			if slices.Contains(except, id) || len(tasks) == limit {
				continue
			}
			task, err := t.claimOne(ctx, id, now, lease)
			if err != nil {
				return err
			}
			tasks = append(tasks, task)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tasks, nil
}

// idle reports that nothing is due, without a write.
func (r Reports) idle(ctx context.Context, now time.Time) (bool, error) {
	var first sql.NullInt64
	err := r.s.read(ctx, "look at the queue", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT min(due) FROM deliveries WHERE due IS NOT NULL`).Scan(&first)
	})
	return !first.Valid || first.Int64 > now.UnixMilli(), err
}

func (t *tx) claimOne(ctx context.Context, id int64, now, lease time.Time) (outgoing.Task, error) {
	_, err := t.exec(ctx, `UPDATE deliveries SET due = $2, claim = claim + 1, claimed = 1, attempts = attempts + 1 WHERE id = $1`, id, lease.UnixMilli())
	if err != nil {
		return outgoing.Task{}, err
	}
	var task outgoing.Task
	var report int64
	err = t.rows(ctx, func(scan func(...any) error) error {
		var err error
		task.Delivery, report, err = scanDelivery(func(into ...any) error { return scan(append(into, &task.Claim)...) })
		return err
	}, `SELECT `+deliveryColumns+`, claim FROM deliveries WHERE id = $1`, id)
	if err != nil {
		return outgoing.Task{}, err
	}
	if task.Report, err = t.report(ctx, report); err != nil {
		return outgoing.Task{}, err
	}
	err = t.row(ctx, `SELECT reason FROM suppressions WHERE target IN ($1, $2) AND (until IS NULL OR until > $3) ORDER BY by_hand DESC LIMIT 1`,
		strings.ToLower(task.Delivery.To), hostOf(task.Delivery.To), now.UnixMilli()).Scan(&task.SuppressedWhy)
	if errors.Is(err, ErrNotFound) {
		err = nil
	} else if task.SuppressedWhy == "" {
		task.SuppressedWhy = "suppressed"
	}
	return task, err
}

// Complete is outgoing.Queue's.
func (r Reports) Complete(ctx context.Context, task *outgoing.Task, o *outgoing.AttemptResult) (bool, error) {
	ours := false
	err := r.s.write(ctx, "note a delivery", func(ctx context.Context, t *tx) error {
		var sent any
		if o.State == outgoing.StateSent {
			sent = o.At.UnixMilli()
		}
		var due any
		if o.State.Waiting() {
			due = o.Due.UnixMilli()
		}
		n, err := t.exec(ctx, `UPDATE deliveries SET state = $3, due = $4, claimed = 0, attempts = attempts - $5, cause = $6, error = $7,
				sent = CASE WHEN $8 = 1 THEN $9 ELSE sent END, verified = $10, record = $11
			WHERE id = $1 AND claim = $2 AND claimed = 1`,
			task.Delivery.ID, task.Claim, string(o.State), due, boolInt(o.Uncounted), string(o.Cause), o.Error,
			boolInt(sent != nil), sent, boolInt(o.Verified), o.Record)
		ours = n > 0
		if err != nil || !ours {
			return err
		}
		for i := range o.Others {
			if err := t.addDelivery(ctx, task.Report.ID, &o.Others[i]); err != nil {
				return err
			}
		}
		if o.Suppress == "" {
			return nil
		}
		return t.suppress(ctx, o.Suppress, o.Error, o.At)
	})
	return ours && err == nil, err
}

// suppress suppresses an address for a while, longer each time that an earlier
// suppression had expired. A suppression set by a person stays as it is.
func (t *tx) suppress(ctx context.Context, address, reason string, now time.Time) error {
	var until sql.NullInt64
	var times, byHand int64
	target := strings.ToLower(address)
	err := t.row(ctx, `SELECT until, automatic_count, by_hand FROM suppressions WHERE target = $1`+t.s.dialect.forUpdate, target).Scan(&until, &times, &byHand)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	case !until.Valid, until.Int64 > now.UnixMilli():
		return nil // in force: failures during it do not prolong it
	}
	period := maxSuppression
	if times < 8 {
		period = min(firstSuppression<<times, maxSuppression)
	}
	_, err = t.exec(ctx, `INSERT INTO suppressions (target, reason, by_hand, since, until, automatic_count) VALUES ($1, $2, 0, $3, $4, $5)
		ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, by_hand = 0, since = excluded.since, until = excluded.until, automatic_count = excluded.automatic_count`,
		target, reason, now.UnixMilli(), now.Add(period).UnixMilli(), times+1)
	return err
}

// File is outgoing.Queue's.
func (r Reports) File(ctx context.Context, report int64) ([]byte, error) {
	var body []byte
	err := r.s.read(ctx, "file of a report", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT body FROM report_files WHERE report = $1`, report).Scan(&body)
	})
	return body, missing(err)
}

// Bounced is outgoing.Queue's.
func (r Reports) Bounced(ctx context.Context, n outgoing.BounceNote) (bool, error) {
	found := false
	err := r.s.write(ctx, "note a bounce", func(ctx context.Context, t *tx) error {
		found = false
		var address string
		err := t.row(ctx, `UPDATE deliveries SET state = $2, cause = $3, error = $4, due = NULL, claimed = 0
			WHERE message_id = $1 AND state IN ($5, $6) RETURNING address`,
			n.MessageID, string(outgoing.StateFailed), string(n.Cause), n.Error,
			string(outgoing.StateSent), string(outgoing.StateQueued)).Scan(&address)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		found = true
		if !n.Suppress {
			return nil
		}
		return t.suppress(ctx, address, fmt.Sprintf("bounced: %s", n.Error), n.At)
	})
	return found && err == nil, err
}
