package store

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"dmarcd/internal/report/analysis"
)

// Unidentified is analysis.Sources'.
func (s *Store) Unidentified(ctx context.Context, now time.Time, limit int) ([]netip.Addr, error) {
	var out []netip.Addr
	err := s.read(ctx, "sources to look up", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			var ip string
			if err := scan(&ip); err != nil {
				return err
			}
			if addr, err := netip.ParseAddr(ip); err == nil {
				out = append(out, addr)
			}
			return nil
		}, `SELECT ip FROM received_identities WHERE current = 1 AND again <= $1 ORDER BY last_day DESC, id LIMIT $2`, now.Unix(), limit)
	})
	return out, err
}

// Identify is analysis.Sources'.
func (s *Store) Identify(ctx context.Context, found []analysis.Identity) error {
	for chunk := range slices.Chunk(found, 100) {
		err := s.write(ctx, "identify sources", func(ctx context.Context, t *tx) error {
			for i := range chunk {
				if err := t.identify(ctx, &chunk[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// identify notes what one source is called.
func (t *tx) identify(ctx context.Context, f *analysis.Identity) error {
	if _, err := t.takeIDs(ctx, 0); err != nil { // keeps batches out
		return err
	}
	ids, err := t.nameIDs(ctx, []string{f.Service})
	if err != nil {
		return err
	}
	service := ids[f.Service]
	var id, from, old, again, lastDay int64
	var host string
	source := clientKey(f.Source)
	err = t.row(ctx, `SELECT id, from_day, service, host, again, last_day FROM received_identities WHERE source = $1 AND current = 1`,
		source).Scan(&id, &from, &old, &host, &again, &lastDay)
	switch {
	case errors.Is(err, ErrNotFound):
		top, err := t.takeIDs(ctx, 1)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO received_identities (`+identityColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			top, source, f.Source.Unmap().String(), int64(0), service, f.Host, f.Claimed, f.Again.Unix(), int64(1), int64(0))
		return err
	case err != nil:
		return err
	case host == f.Host && old == service:
		_, err := t.exec(ctx, `UPDATE received_identities SET again = $1, claimed = $2 WHERE id = $3`, f.Again.Unix(), f.Claimed, id)
		return err
	case again == 0 || bounded(int64(f.From)) <= from: // the first, or one that holds for all that the one before held for
		return t.rename(ctx, id, old, service, f)
	}
	return t.newSpan(ctx, id, lastDay, service, f)
}

// rename calls a span by another name; its rows follow, and the rollups.
func (t *tx) rename(ctx context.Context, id, old, service int64, f *analysis.Identity) error {
	d := rollupDeltas{}
	if old != service {
		if err := d.gather(ctx, t, -1, `r.identity = $1`, id); err != nil {
			return err
		}
		d.move(service)
	}
	if _, err := t.exec(ctx, `UPDATE received_identities SET service = $1, host = $2, claimed = $3, again = $4 WHERE id = $5`,
		service, f.Host, f.Claimed, f.Again.Unix(), id); err != nil {
		return err
	}
	return d.write(ctx, t)
}

// move adds to a service what is taken from others.
func (d rollupDeltas) move(service int64) {
	taken := make(map[rollupKey][2]int64, len(d))
	for k, sum := range d {
		taken[k] = *sum
	}
	for k, sum := range taken {
		k.service = service
		d.add(k, -sum[0], -sum[1])
	}
}

// newSpan begins a span from a day on, and moves the rows of reports from then on.
func (t *tx) newSpan(ctx context.Context, id, lastDay, service int64, f *analysis.Identity) error {
	top, err := t.takeIDs(ctx, 1)
	if err != nil {
		return err
	}
	const later = `identity = $1 AND report IN (SELECT p.id FROM received_reports p WHERE p.day >= $2)`
	from := bounded(int64(f.From))
	d := rollupDeltas{}
	if err := d.gather(ctx, t, -1, `r.`+later, id, from); err != nil {
		return err
	}
	d.move(service)
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`UPDATE received_identities SET current = 0 WHERE id = $1`, []any{id}},
		{`INSERT INTO received_identities (` + identityColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			[]any{top, clientKey(f.Source), f.Source.Unmap().String(), from, service, f.Host, f.Claimed, f.Again.Unix(), int64(1), lastDay}},
		{`UPDATE received_rows SET identity = $3 WHERE ` + later, []any{id, from, top}},
	} {
		if _, err := t.exec(ctx, step.query, step.args...); err != nil {
			return err
		}
	}
	return d.write(ctx, t)
}
