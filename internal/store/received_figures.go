package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// cursor is where a page ended: a count, and what breaks ties.
type cursor struct {
	Count int64    `json:"c"`
	Key   []string `json:"k"`
}

var errAfter = errkind.New(errkind.BadRequest, "after: not the end of a page of this list")

func (c cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// readCursor reads a cursor with so many keys; nil for the first page.
func readCursor(after string, keys int) (*cursor, error) {
	if after == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil {
		return nil, errAfter
	}
	c := &cursor{}
	if json.Unmarshal(text, c) != nil || len(c.Key) != keys {
		return nil, errAfter
	}
	return c, nil
}

// pageLimit is how many rows to read: one more than requested.
func pageLimit(limit int) int64 {
	if limit <= 0 {
		return 1 << 40
	}
	return int64(limit) + 1
}

// cutPage puts rows in order, by falling count and then by key, and returns those after a
// place, at most limit; 0 means no limit.
func cutPage[T any](rows []T, limit int, after *cursor, count func(*T) int64, key func(*T) []string) (page analysis.Page[T]) {
	if after != nil {
		rows = slices.DeleteFunc(rows, func(row T) bool {
			n := count(&row)
			return n > after.Count || n == after.Count && slices.Compare(key(&row), after.Key) <= 0
		})
	}
	rows = atLeast(rows, limit, count)
	slices.SortFunc(rows, func(a, b T) int {
		if n := cmp.Compare(count(&b), count(&a)); n != 0 {
			return n
		}
		return slices.Compare(key(&a), key(&b))
	})
	if len(rows) == 0 {
		return page
	}
	page.Rows = rows
	if limit > 0 && len(rows) > limit {
		page.Rows = slices.Clip(rows[:limit])
		last := &rows[limit-1]
		page.Next = cursor{count(last), key(last)}.String()
	}
	return page
}

// atLeast drops rows with more than limit others above them, so that most need not be
// sorted.
func atLeast[T any](rows []T, limit int, count func(*T) int64) []T {
	if limit <= 0 || len(rows) <= limit+1 {
		return rows
	}
	counts := make([]int64, len(rows))
	for i := range rows {
		counts[i] = count(&rows[i])
	}
	slices.Sort(counts)
	least := counts[len(counts)-limit-1]
	return slices.DeleteFunc(rows, func(row T) bool { return count(&row) < least })
}

// reportersSeen are the senders of the reports behind the figures, and when the latest
// was received.
type reportersSeen struct {
	reporters idSet
	last      int64
}

func (s *reportersSeen) add(g *segment) {
	if s.reporters == nil {
		s.reporters = idSet{}
	}
	s.reporters[g.reporter] = struct{}{}
	s.last = max(s.last, g.received)
}

// overviewSums are the sums for a line of the overview.
type overviewSums struct {
	codeSums
	reportersSeen
}

// Overview is analysis.Figures'.
func (s *Store) Overview(ctx context.Context, q analysis.Query) (analysis.Page[analysis.OverviewRow], error) {
	var page analysis.Page[analysis.OverviewRow]
	after, err := readCursor(q.After, 1)
	if err != nil {
		return page, err
	}
	err = s.read(ctx, "overview", func(ctx context.Context, t *tx) error {
		domains, err := t.overview(ctx, &q)
		if err != nil {
			return err
		}
		names, err := t.namesOf(ctx, domains)
		if err != nil {
			return err
		}
		rows := make([]analysis.OverviewRow, 0, len(domains))
		for id, sum := range domains {
			row := analysis.OverviewRow{Domain: nameOf(names[id]), Counts: sum.counts(), Reporters: int64(len(sum.reporters))}
			row.LastReport = microTime(sum.last)
			rows = append(rows, row)
		}
		page = cutPage(rows, q.Limit, after, func(row *analysis.OverviewRow) int64 { return row.Messages - row.Compliant },
			func(row *analysis.OverviewRow) []string { return []string{row.Domain.String()} })
		return nil
	})
	return page, err
}

// overview adds up by domain.
func (t *tx) overview(ctx context.Context, q *analysis.Query) (map[int64]*overviewSums, error) {
	out := map[int64]*overviewSums{}
	of := func(domain int64) *overviewSums {
		sum := out[domain]
		if sum == nil {
			sum = &overviewSums{}
			out[domain] = sum
		}
		return sum
	}
	f, err := t.rowFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	var last *overviewSums
	var report, day int64
	err = t.foldRows(ctx, f, func(g *segment, r *packedRow) error {
		if g.report != report || g.day != day || last == nil {
			last, report, day = of(g.domain), g.report, g.day
			last.reportersSeen.add(g)
		}
		last.codeSums[r.code] += r.messages
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, t.foldRollups(ctx, f, func(l *rollupLine) { of(l.domain).codeSums[l.code] += l.messages })
}

// namesOf returns the names of numbers.
func (t *tx) namesOf(ctx context.Context, ids map[int64]*overviewSums) (map[int64]string, error) {
	list := make([]int64, 0, len(ids))
	for id := range ids {
		list = append(list, id)
	}
	return t.nameTexts(ctx, list)
}

// nameTexts returns the names of numbers.
func (t *tx) nameTexts(ctx context.Context, ids []int64) (map[int64]string, error) {
	out := make(map[int64]string, len(ids))
	return out, t.inChunks(ctx, anys(ids), func(scan func(...any) error) error {
		var id int64
		var value string
		err := scan(&id, &value)
		out[id] = value
		return err
	}, `SELECT id, value FROM received_names WHERE id IN`)
}

// Trend is analysis.Figures'.
func (s *Store) Trend(ctx context.Context, q analysis.Query) ([]analysis.TrendRow, error) {
	var out []analysis.TrendRow
	err := s.read(ctx, "trend", func(ctx context.Context, t *tx) error {
		f, err := t.rowFilter(ctx, &q)
		if err != nil {
			return err
		}
		days := map[int64]*codeSums{}
		var last *codeSums
		at := noDay
		of := func(day int64) *codeSums {
			if day != at {
				if last = days[day]; last == nil {
					last = &codeSums{}
					days[day] = last
				}
				at = day
			}
			return last
		}
		err = t.foldRows(ctx, f, func(g *segment, r *packedRow) error {
			of(g.day)[r.code] += r.messages
			return nil
		})
		if err != nil {
			return err
		}
		if err := t.foldRollups(ctx, f, func(l *rollupLine) { of(l.day)[l.code] += l.messages }); err != nil {
			return err
		}
		out = nil
		for day, sum := range days {
			out = append(out, analysis.TrendRow{Day: memory.Day(day), Counts: sum.counts()})
		}
		slices.SortFunc(out, func(a, b analysis.TrendRow) int { return cmp.Compare(a.Day, b.Day) })
		return nil
	})
	return out, err
}

// Totals is analysis.Figures'.
func (s *Store) Totals(ctx context.Context, q analysis.Query) (analysis.Totals, error) {
	var out analysis.Totals
	err := s.read(ctx, "totals", func(ctx context.Context, t *tx) error {
		out = analysis.Totals{}
		f, err := t.rowFilter(ctx, &q)
		if err != nil {
			return err
		}
		seen, spread, last := reportersSeen{}, idSet{}, int64(0)
		err = t.foldRows(ctx, f, func(g *segment, r *packedRow) error {
			out.Messages += r.messages
			switch {
			case g.report == last: // the rows of a report on a day are contiguous
			case g.spread:
				spread[g.report] = struct{}{}
				seen.add(g)
			default:
				out.Reports++
				seen.add(g)
			}
			last = g.report
			return nil
		})
		if err != nil {
			return err
		}
		if err := t.foldRollups(ctx, f, func(l *rollupLine) { out.Messages += l.messages }); err != nil {
			return err
		}
		out.Reports += int64(len(spread))
		out.Reporters, out.Newest = int64(len(seen.reporters)), microTime(seen.last)
		return t.addUncounted(ctx, &q, &out)
	})
	return out, err
}

// wantsAttention is the condition of the index of reports that are not simply counted.
const wantsAttention = `(p.status = 'stored' AND p.counts = 0 OR p.status = 'differs' OR p.quarantined > 0 OR p.status = 'refused')`

// addUncounted counts the reports that want attention.
func (t *tx) addUncounted(ctx context.Context, q *analysis.Query, out *analysis.Totals) error {
	w := &conditions{}
	w.add(wantsAttention)
	w.scope(q, "p.domain")
	w.period(&q.Filter, "p.day", 0)
	w.reports(&q.Filter)
	err := t.row(ctx, `SELECT coalesce(sum(CASE WHEN p.status = 'stored' AND p.counts = 0 THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN p.status = 'differs' THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN p.quarantined > 0 OR p.status = 'refused' THEN 1 ELSE 0 END), 0)
		FROM received_reports p WHERE `+w.and(), w.args...).Scan(&out.Failed, &out.Differs, &out.Attention)
	if err != nil {
		return err
	}
	var first int64
	err = t.row(ctx, `SELECT coalesce(max(value), 0) FROM received_state WHERE name = 'detail'`).Scan(&first)
	out.Detail = memory.Day(first)
	return err
}

// unixTime is a time in seconds; 0 is none.
func unixTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// microTime is the same, in microseconds.
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
