package store

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"dmarcd/internal/report/analysis"
)

// identifyChunk is how many sources one transaction identifies.
const identifyChunk = 500

// Unidentified is analysis.Sources'.
func (s *Store) Unidentified(ctx context.Context, now time.Time, limit int) ([]netip.Addr, error) {
	var out []netip.Addr
	err := s.read(ctx, "sources to look up", func(ctx context.Context, t *tx) error {
		out = nil
		take := func(scan func(...any) error) error {
			var ip string
			if err := scan(&ip); err != nil {
				return err
			}
			if addr, err := netip.ParseAddr(ip); err == nil {
				out = append(out, addr)
			}
			return nil
		}
		// Two queries, each in the order of the index: with one, all that are due would be
		// sorted each time.
		const due = `SELECT ip FROM received_identities WHERE current = 1 AND `
		err := t.rows(ctx, take, due+`again = 0 ORDER BY last_day DESC LIMIT $1`, limit)
		if err != nil || len(out) >= limit {
			return err
		}
		return t.rows(ctx, take, due+`again > 0 AND again <= $1 ORDER BY again LIMIT $2`, now.Unix(), limit-len(out))
	})
	return out, err
}

// Identify is analysis.Sources'.
func (s *Store) Identify(ctx context.Context, found []analysis.Identity) error {
	for chunk := range slices.Chunk(found, identifyChunk) {
		err := s.write(ctx, "identify sources", func(ctx context.Context, t *tx) error {
			if _, err := t.takeIDs(ctx, 0); err != nil { // keeps batches out
				return err
			}
			i := &identifying{t: t, spans: map[int64]newSpan{}}
			return i.run(ctx, chunk)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// identifying is some sources on their way to other names.
type identifying struct {
	t        *tx
	services map[string]int64
	current  map[netip.Addr]*identity
	rows     [][]any
	spans    map[int64]newSpan // by the identity that they follow
}

// identity is a row of received_identities.
type identity struct {
	id, from, service, again, current, lastDay int64
	host, claimed, about                       string
}

// newSpan is the identity that gets another's rows from a day on.
type newSpan struct{ id, from int64 }

func (i *identifying) run(ctx context.Context, found []analysis.Identity) error {
	services := map[string]bool{}
	sources := make([]any, len(found))
	for n := range found {
		services[found[n].Service] = true
		sources[n] = sourceKey(found[n].Source)
	}
	var err error
	if i.services, err = i.t.nameIDs(ctx, slices.Sorted(maps.Keys(services))); err != nil {
		return err
	}
	i.current = map[netip.Addr]*identity{}
	err = i.t.inChunks(ctx, sources, func(scan func(...any) error) error {
		var source []byte
		one := &identity{current: 1}
		err := scan(&source, &one.id, &one.from, &one.service, &one.host, &one.claimed, &one.again, &one.lastDay, &one.about)
		i.current[addrOf(source)] = one
		return err
	}, `SELECT source, id, from_day, service, host, claimed, again, last_day, about FROM received_identities WHERE current = 1 AND source IN`)
	if err != nil {
		return err
	}
	top, err := i.t.takeIDs(ctx, len(found))
	if err != nil {
		return err
	}
	for n := range found {
		i.one(&found[n], top-int64(n))
	}
	return i.write(ctx)
}

// one updates the identity of one source; id is for its new identity, if it needs one.
func (i *identifying) one(f *analysis.Identity, id int64) {
	addr := f.Source.Unmap().WithZone("")
	from := bounded(int64(f.From))
	next := &identity{id: id, service: i.services[f.Service], again: f.Again.Unix(), current: 1, host: f.Host, claimed: f.Claimed, about: aboutText(&f.About)}
	switch old := i.current[addr]; {
	case old == nil:
	case f.Unsure && old.again != 0: // the known identity is kept
		next.id, next.from, next.service, next.host, next.claimed, next.lastDay = old.id, old.from, old.service, old.host, old.claimed, old.lastDay
		next.about = old.about
	case old.again == 0, from <= old.from, old.host == f.Host && old.service == next.service:
		// The first name, the same one, or one that holds for the whole span of its
		// predecessor.
		next.id, next.from, next.lastDay = old.id, old.from, old.lastDay
	default:
		next.from, next.lastDay = from, old.lastDay
		old.current = 0
		i.put(addr, old)
		i.spans[old.id] = newSpan{id: id, from: from}
	}
	i.current[addr] = next
	i.put(addr, next)
}

func (i *identifying) put(addr netip.Addr, one *identity) {
	i.rows = append(i.rows, []any{
		one.id, sourceKey(addr), addr.String(), one.from, one.service, one.host, one.claimed, one.again, one.current, one.lastDay, one.about,
	})
}

// write writes the identities, and moves the rows of those that changed from a day on.
func (i *identifying) write(ctx context.Context) error {
	latest := map[int64]int{} // of a source that was found twice
	for n, row := range i.rows {
		latest[row[0].(int64)] = n
	}
	var rows [][]any
	for n, row := range i.rows {
		if latest[row[0].(int64)] == n {
			rows = append(rows, row)
		}
	}
	err := i.t.insertMany(ctx, `INSERT INTO received_identities (`+identityColumns+`)`, rows, `ON CONFLICT (id) DO UPDATE SET
		service = excluded.service, host = excluded.host, claimed = excluded.claimed, again = excluded.again, current = excluded.current,
		about = excluded.about`, nil)
	if err != nil {
		return err
	}
	if err := i.t.identified(ctx); err != nil || len(i.spans) == 0 {
		return err
	}
	if err := i.t.nextEpoch(ctx); err != nil {
		return err
	}
	return i.move(ctx)
}

// move returns rows of reports from a day on to the identities that hold from then.
func (i *identifying) move(ctx context.Context) error {
	first := noDay
	for _, span := range i.spans {
		first = min(first, span.from)
	}
	days, err := i.t.keys(ctx, `SELECT DISTINCT day FROM received_blocks WHERE day >= $1 ORDER BY day`, first-spreadReach)
	if err != nil {
		return err
	}
	for window := range slices.Chunk(days, editDays) {
		err := i.t.editBlocks(ctx, i.moveRows, `day BETWEEN $1 AND $2`, window[0], window[len(window)-1])
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *identifying) moveRows(g *segment) (keep, changed bool) {
	for n := range g.rows {
		r := &g.rows[n]
		for span, ok := i.spans[r.identity]; ok && g.middle >= span.from; span, ok = i.spans[r.identity] {
			r.identity, changed = span.id, true
		}
	}
	return true, changed
}
