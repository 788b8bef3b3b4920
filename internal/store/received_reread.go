package store

import (
	"context"
	"errors"
	"slices"

	"dmarcd/internal/report/analysis"
)

// KnownReports is analysis.Ingester's.
func (s *Store) KnownReports(ctx context.Context, keys [][32]byte) (map[[32]byte][]analysis.Known, error) {
	var out map[[32]byte][]analysis.Known
	args := make([]any, len(keys))
	for i := range keys {
		args[i] = keys[i][:]
	}
	err := s.read(ctx, "known reports", func(ctx context.Context, t *tx) error {
		out = map[[32]byte][]analysis.Known{}
		return t.knownReports(ctx, args, out)
	})
	return out, err
}

// Stale is analysis.Reports'.
func (s *Store) Stale(ctx context.Context, version int, after int64, limit int) ([]analysis.Stale, error) {
	var out []analysis.Stale
	err := s.read(ctx, "stale reports", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			var one analysis.Stale
			var item int64
			err := scan(&one.ID, &item, (*string)(&one.Status), &one.Policy, &one.Reader)
			one.Item = item == 1
			out = append(out, one)
			return err
		}, `SELECT * FROM (
			SELECT * FROM (SELECT p.id AS id, 0 AS item, p.status, p.policy_domain, p.reader FROM received_reports p JOIN received_raws w ON w.id = p.id
				WHERE p.id > $1 AND (p.reader < $2 OR p.status = 'aside') ORDER BY p.id LIMIT $3) a
			UNION ALL
			SELECT * FROM (SELECT i.id AS id, 1 AS item, '', '', i.reader FROM received_items i JOIN received_raws w ON w.id = i.id
				WHERE i.id > $1 AND i.reader < $2 ORDER BY i.id LIMIT $3) b
			) c ORDER BY id LIMIT $3`, after, version, limit)
	})
	return out, err
}

// Reread is analysis.Reports'.
func (s *Store) Reread(ctx context.Context, id int64, version int, r *analysis.Report) (analysis.Classified, error) {
	var settled analysis.Classified
	err := s.reread(ctx, version, &analysis.Item{Reports: []analysis.Report{*r}}, func(ctx context.Context, in *ingest) error {
		settled = analysis.Classified{ID: id}
		var received int64
		err := in.t.row(ctx, `SELECT status, of_report, received FROM received_reports WHERE id = $1`, id).
			Scan((*string)(&settled.Status), &settled.Of, &received)
		if err != nil {
			return err
		}
		in.batch.Items[0].TakenAt = microTime(received)
		return in.putBack(ctx, version, &settled)
	})
	return settled, err
}

// reread processes reread items as if they had just arrived.
func (s *Store) reread(ctx context.Context, version int, item *analysis.Item, work func(context.Context, *ingest) error) error {
	err := s.write(ctx, "read a report again", func(ctx context.Context, t *tx) error {
		in := &ingest{t: t, batch: &analysis.Batch{Items: []analysis.Item{*item}, Reader: version}}
		for _, step := range []func(context.Context) error{in.reserve, in.findKnown, in.shareNames, in.shareReporters, in.shareSets, in.shareSources} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return work(ctx, in)
	})
	if errors.Is(err, ErrNotFound) {
		return analysis.ErrNotFound
	}
	return err
}

// putBack replaces the stored report by the one of the batch. settled has the previous
// outcome, and gets the new one.
func (in *ingest) putBack(ctx context.Context, version int, settled *analysis.Classified) error {
	r := &in.batch.Items[0].Reports[0]
	if err := in.t.dropRows(ctx, settled.ID); err != nil {
		return err
	}
	kept := settled.Status
	switch settled.Status {
	case analysis.StatusStored, analysis.StatusEmpty, analysis.StatusRefused, analysis.StatusAside:
		key := r.Key()
		in.known[key] = slices.DeleteFunc(in.known[key], func(k analysis.Known) bool { return k.ID == settled.ID })
		settled.Status, settled.Of = analysis.Classify(r, in.known[key])
		if kept = settled.Status; kept == analysis.StatusReplaced {
			kept = r.Status
			if err := in.replace(ctx, key, settled.Of); err != nil {
				return err
			}
		}
	}
	values := append([]any{settled.ID, version, string(kept), settled.Of, boolInt(kept == analysis.StatusStored && r.Trust.Counts())}, in.reportColumns(r)...)
	_, err := in.t.exec(ctx, `UPDATE received_reports SET reader = $2, status = $3, of_report = $4, counts = $5, (`+reportNames+`) = (`+
		argList(6, len(values)-5)+`) WHERE id = $1`, values...)
	if err != nil {
		return err
	}
	in.addFaults(settled.ID, r)
	if err := in.addRows(ctx, settled.ID, r, kept, in.batch.Items[0].TakenAt); err != nil {
		return err
	}
	return in.insert(ctx)
}

// RereadItem is analysis.Reports'.
func (s *Store) RereadItem(ctx context.Context, id int64, version int, item *analysis.Item) ([]analysis.Classified, error) {
	var out []analysis.Classified
	err := s.reread(ctx, version, item, func(ctx context.Context, in *ingest) error {
		in.settled = nil
		if err := in.addAgain(ctx, id); err != nil {
			return err
		}
		out = in.settled
		return nil
	})
	return out, err
}

// addAgain adds those reports of the one item of the batch that it did not give before.
func (in *ingest) addAgain(ctx context.Context, id int64) error {
	it := &in.batch.Items[0]
	before, place := map[[32]byte]bool{}, 0
	err := in.t.rows(ctx, func(scan func(...any) error) error {
		var key []byte
		var status string
		var at int
		err := scan(&key, &status, &at)
		before[[32]byte(key)] = before[[32]byte(key)] || status != string(analysis.StatusRefused)
		place = max(place, at+1)
		return err
	}, `SELECT report_key, status, place FROM received_reports WHERE item = $1`, id)
	if err != nil {
		return err
	}
	const refused = `(SELECT id FROM received_reports WHERE item = $1 AND status = 'refused')`
	for _, table := range []string{`received_raws WHERE id`, `received_faults WHERE report`, `received_reports WHERE id`} {
		if _, err := in.t.exec(ctx, `DELETE FROM `+table+` IN `+refused, id); err != nil {
			return err
		}
	}
	for i := range it.Reports {
		if before[it.Reports[i].Key()] {
			continue
		}
		settled, err := in.add(ctx, &it.Reports[i], id, place, it)
		if err != nil {
			return err
		}
		settled.Report = i
		in.settled = append(in.settled, settled)
		place++
	}
	if err := in.changeItem(ctx, id); err != nil {
		return err
	}
	return in.insert(ctx)
}

// changeItem notes the new kind of the batch's one item. Raw data that its reports keep
// is not stored a second time.
func (in *ingest) changeItem(ctx context.Context, id int64) error {
	it := &in.batch.Items[0]
	n, err := in.t.exec(ctx, `UPDATE received_items SET kind = $2, why = $3, notes = $4, reports = $5, reader = $6, from_address = $7, subject = $8 WHERE id = $1`,
		id, string(it.Kind), it.Why, jsonText(it.Notes), len(it.Reports), in.batch.Reader, it.From, it.Subject)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	if err == nil && it.Raw == nil {
		_, err = in.t.exec(ctx, `DELETE FROM received_raws WHERE id = $1`, id)
	}
	return err
}
