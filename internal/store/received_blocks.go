package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"dmarcd/internal/memory"
)

// block is one as it is written.
type block struct {
	day, number, rows, first, last int64
	body                           []byte
}

const insertBlocks = `INSERT INTO received_blocks (day, number, records, first_report, last_report, body)`

const replaceBlocks = `ON CONFLICT (day, number) DO UPDATE SET records = excluded.records, first_report = excluded.first_report,
	last_report = excluded.last_report, body = excluded.body`

func (b *block) values() []any { return []any{b.day, b.number, b.rows, b.first, b.last, b.body} }

// add puts n rows of a segment into the block.
func (b *block) add(g *segment, n int) {
	if len(b.body) == 0 {
		b.first, b.last = g.report, g.report
	}
	b.first, b.last = min(b.first, g.report), max(b.last, g.report)
	b.rows += int64(max(n, 1)) // so that a block of heads alone fills up too
	b.body = g.pack(b.body, n)
}

// addSegments puts segments into the last blocks of their days.
func (t *tx) addSegments(ctx context.Context, segments map[int64][]segment) error {
	days := slices.Sorted(maps.Keys(segments))
	open := map[int64]*block{}
	err := t.inChunks(ctx, anys(days), func(scan func(...any) error) error {
		b := &block{}
		err := scan(&b.day, &b.number, &b.rows, &b.first, &b.last, &b.body)
		open[b.day] = b
		return err
	}, `SELECT b.day, b.number, b.records, b.first_report, b.last_report, b.body FROM received_blocks b
		WHERE b.number = (SELECT max(m.number) FROM received_blocks m WHERE m.day = b.day) AND b.day IN`)
	if err != nil {
		return err
	}
	var rows [][]any
	for _, day := range days {
		b := open[day]
		if b == nil {
			b = &block{day: day}
		}
		for i := range segments[day] {
			for g, more := &segments[day][i], true; more; more = len(g.rows) > 0 {
				if b.rows >= blockRows {
					rows = append(rows, b.values())
					b = &block{day: day, number: b.number + 1}
				}
				b.add(g, min(len(g.rows), segmentRows))
			}
		}
		rows = append(rows, b.values())
	}
	return t.insertMany(ctx, insertBlocks, rows, replaceBlocks, nil)
}

// editBlocks calls change for the segments of the blocks that match a condition. change
// reports whether to keep the segment, and whether it changed it.
func (t *tx) editBlocks(ctx context.Context, change func(g *segment) (keep, changed bool), condition string, args ...any) error {
	var edited [][]any
	var empty []*block
	err := t.rows(ctx, func(scan func(...any) error) error {
		b := &block{}
		if err := scan(&b.day, &b.number, &b.body); err != nil {
			return err
		}
		all, ok := unpackAll(b.body, b.day)
		if !ok {
			t.s.undecodable.Add(1)
			return nil
		}
		b.body = nil
		altered := false
		for i := range all {
			keep, changed := change(&all[i])
			altered = altered || changed || !keep
			if keep {
				b.add(&all[i], len(all[i].rows))
			}
		}
		switch {
		case altered && len(b.body) == 0:
			empty = append(empty, b)
		case altered:
			edited = append(edited, b.values())
		}
		return nil
	}, `SELECT day, number, body FROM received_blocks WHERE `+condition, args...)
	if err != nil {
		return err
	}
	for _, b := range empty {
		if _, err := t.exec(ctx, `DELETE FROM received_blocks WHERE day = $1 AND number = $2`, b.day, b.number); err != nil {
			return err
		}
	}
	return t.insertMany(ctx, insertBlocks, edited, replaceBlocks, nil)
}

// reportDays are the days that a report may have rows on.
func reportDays(day int64, spread bool, begins, ends int64) (first, last int64) {
	if !spread {
		return day, day
	}
	return min(day, int64(memory.DayOf(time.Unix(begins, 0)))), max(day, int64(memory.DayOf(time.Unix(ends, 0))))
}

// editReport lets change alter the segments of a report.
func (t *tx) editReport(ctx context.Context, id int64, change func(g *segment) (keep, changed bool)) error {
	var day, spread, begins, ends int64
	err := t.row(ctx, `SELECT day, spread, begins, ends FROM received_reports WHERE id = $1`, id).Scan(&day, &spread, &begins, &ends)
	if err != nil {
		return err
	}
	first, last := reportDays(day, spread == 1, begins, ends)
	return t.editBlocks(ctx, func(g *segment) (keep, changed bool) {
		if g.report != id {
			return true, false
		}
		return change(g)
	}, `day BETWEEN $1 AND $2 AND first_report <= $3 AND last_report >= $3`, first, last, id)
}

// dropRows removes the rows of a report.
func (t *tx) dropRows(ctx context.Context, report int64) error {
	if err := t.editReport(ctx, report, func(*segment) (keep, changed bool) { return false, true }); err != nil {
		return err
	}
	_, err := t.exec(ctx, `DELETE FROM received_faults WHERE report = $1`, report)
	return err
}
