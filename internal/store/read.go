package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/memory"
)

// pageRows is how many rows one transaction of a long read takes.
const pageRows = 500

// decode reads a record. One that cannot be read, of a newer version or damaged,
// is logged, counted and left out (nil): it must not hide the others.
func (s *Store) decode(ctx context.Context, id int64, blob []byte) *memory.Record {
	r, err := memory.DecodeRecord(blob)
	if err != nil {
		s.undecodable.Add(1)
		s.log.WarnContext(ctx, "a stored record cannot be read", "key", id, "error", err)
		return nil
	}
	return r
}

var _ memory.Reader = (*Store)(nil)

// Find is memory.Reader's.
func (s *Store) Find(ctx context.Context, id string, limit int) ([]memory.Record, error) {
	id = strings.TrimSpace(id)
	bare := memory.MessageID(id)
	if bare == "" {
		return nil, nil
	}
	byQueue, err := s.Search(ctx, memory.Query{QueueID: id, Limit: limit})
	if err != nil {
		return nil, err
	}
	byMessage, err := s.Search(ctx, memory.Query{MessageID: bare, Limit: limit})
	if err != nil {
		return nil, err
	}
	all := append(byQueue.Found, byMessage.Found...)
	slices.SortFunc(all, func(a, b memory.Found) int { return cmp.Compare(b.Key, a.Key) })
	all = slices.CompactFunc(all, func(a, b memory.Found) bool { return a.Key == b.Key })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	if err := s.addTraces(ctx, all); err != nil {
		return nil, err
	}
	out := make([]memory.Record, len(all))
	for i, f := range all {
		out[i] = *f.Record
	}
	return out, nil
}

// fetch returns the messages that still exist, in the order requested.
func (s *Store) fetch(ctx context.Context, keys []int64) ([]memory.Found, error) {
	type row struct {
		blob []byte
		held int64
	}
	rows := make(map[int64]row, len(keys))
	err := s.read(ctx, "fetch", func(ctx context.Context, t *tx) error {
		return t.byKeys(ctx, `SELECT id, record, held FROM messages WHERE id IN`, keys, func(scan func(...any) error) error {
			var id int64
			var r row
			err := scan(&id, &r.blob, &r.held)
			rows[id] = r
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	out := make([]memory.Found, 0, len(keys))
	for _, key := range keys {
		row, ok := rows[key]
		if !ok {
			continue
		}
		if r := s.decode(ctx, key, row.blob); r != nil {
			out = append(out, memory.Found{Key: key, Record: r, Held: row.held == 1})
		}
	}
	return out, nil
}

// byKeys returns the row of each key to take.
func (t *tx) byKeys(ctx context.Context, query string, keys []int64, take func(scan func(...any) error) error) error {
	for chunk := range slices.Chunk(keys, 256) {
		args := make([]any, len(chunk))
		for i, key := range chunk {
			args[i] = key
		}
		if err := t.rows(ctx, take, query+" ("+argList(1, len(args))+")", args...); err != nil {
			return err
		}
	}
	return nil
}

// addTraces fills in the traces that there are.
func (s *Store) addTraces(ctx context.Context, found []memory.Found) error {
	keys := make([]int64, len(found))
	for i, f := range found {
		keys[i] = f.Key
	}
	blobs := make(map[int64][]byte)
	err := s.read(ctx, "traces", func(ctx context.Context, t *tx) error {
		return t.byKeys(ctx, `SELECT message, body FROM traces WHERE message IN`, keys, func(scan func(...any) error) error {
			var id int64
			var blob []byte
			err := scan(&id, &blob)
			blobs[id] = blob
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, f := range found {
		blob, ok := blobs[f.Key]
		if !ok {
			continue
		}
		trace, err := unpackTrace(blob)
		if err != nil {
			s.undecodable.Add(1)
			s.log.WarnContext(ctx, "a stored trace cannot be read", "key", f.Key, "error", err)
			continue
		}
		f.Record.Trace = trace
	}
	return nil
}

// Records implements memory.Reader. No transaction is open while yield runs. Messages
// loaded meanwhile are included if their time has not been passed yet.
func (s *Store) Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	next, end := idRange(since, until)
	for {
		ids, blobs, err := s.page(ctx, next, end)
		if err != nil {
			return err
		}
		for i, id := range ids {
			r := s.decode(ctx, id, blobs[i])
			if r == nil {
				continue
			}
			if err := yield(r); err != nil {
				return err
			}
		}
		if len(ids) < pageRows {
			return nil
		}
		next = ids[len(ids)-1] + 1
	}
}

// page reads the messages with ids from first to before end, up to one page.
func (s *Store) page(ctx context.Context, first, end int64) (ids []int64, blobs [][]byte, err error) {
	err = s.read(ctx, "records", func(ctx context.Context, t *tx) error {
		ids, blobs = ids[:0], blobs[:0]
		return t.rows(ctx, func(scan func(...any) error) error {
			var id int64
			var blob []byte
			err := scan(&id, &blob)
			ids, blobs = append(ids, id), append(blobs, blob)
			return err
		}, `SELECT id, record FROM messages WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3`, first, end, pageRows)
	})
	return ids, blobs, err
}

// idRange is the ids from since to before until; a zero time is no bound.
func idRange(since, until time.Time) (first, end int64) {
	first, end = math.MinInt64, math.MaxInt64
	if !since.IsZero() {
		first = firstID(since)
	}
	if !until.IsZero() {
		end = firstID(until)
	}
	return first, end
}

// Count is memory.Reader's, at the cost of a few rows: whole days are counted
// exactly, parts of a day in proportion.
func (s *Store) Count(ctx context.Context, since, until time.Time) (int64, error) {
	first, end := idRange(since, until)
	var total float64
	err := s.read(ctx, "count", func(ctx context.Context, t *tx) error {
		total = 0
		return t.rows(ctx, func(scan func(...any) error) error {
			var day, messages int64
			if err := scan(&day, &messages); err != nil {
				return err
			}
			from, to := max(first, day*idsPerDay), min(end, (day+1)*idsPerDay)
			total += float64(messages) * float64(max(to-from, 0)) / idsPerDay
			return nil
		}, `SELECT day, messages FROM days WHERE day >= $1 AND day <= $2 AND messages > 0`, dayOfID(first), dayOfID(end))
	})
	return int64(math.Round(total)), err
}

// keys runs a query for one column of keys.
func (t *tx) keys(ctx context.Context, query string, args ...any) ([]int64, error) {
	var keys []int64
	err := t.rows(ctx, func(scan func(...any) error) error {
		var key int64
		err := scan(&key)
		keys = append(keys, key)
		return err
	}, query, args...)
	return keys, err
}

// bounded clamps a day to the range of a day column.
func bounded(day int64) int64 { return min(max(day, math.MinInt32), math.MaxInt32) }
