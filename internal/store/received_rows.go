package store

import (
	"context"
	"slices"
	"time"

	"dmarcd/internal/report/analysis"
)

// isSpread reports whether rows of the report fall on other days than its own.
func isSpread(r *analysis.Report) bool {
	day := r.Day()
	return slices.ContainsFunc(r.Rows, func(row analysis.Row) bool {
		parts := analysis.Spread(row.Count, r.Metadata.Begin, r.Metadata.End)
		return len(parts) > 1 || parts[0].Day != day
	})
}

// recordsAtOnce is how many records of a report are made rows of, each of up to 32 days,
// before these are written.
const recordsAtOnce = 5000

// addRows makes the segments of a report that is kept.
func (in *ingest) addRows(ctx context.Context, id int64, r *analysis.Report, status analysis.Status, received time.Time) error {
	if status != analysis.StatusStored && status != analysis.StatusEmpty {
		return nil
	}
	messages, _ := r.Messages()
	home := segment{
		day: bounded(int64(r.Day())), report: id, domain: in.nameID(r.Domain.String()), reporter: in.reporters[reporterHash(r)], received: received.UnixMicro(),
		middle: bounded(int64(r.Day())), messages: messages, trust: codeOf(trusts[:], r.Trust), policy: codeOf(policies[:], r.Policy.P),
		home: true, spread: isSpread(r), repaired: len(r.Notes) > 0,
	}
	if in.segments == nil {
		in.segments = map[int64][]segment{}
	}
	if status == analysis.StatusEmpty || home.spread || len(r.Rows) == 0 {
		in.segments[home.day] = append(in.segments[home.day], home)
		home.home = false
	}
	if status != analysis.StatusStored {
		return nil
	}
	for first := 0; first < len(r.Rows); first += recordsAtOnce {
		if first > 0 {
			home.home = false
			if err := in.writeSegments(ctx); err != nil {
				return err
			}
		}
		in.addRecords(r, first, min(first+recordsAtOnce, len(r.Rows)), &home)
	}
	return nil
}

// addRecords makes segments of some records of a report.
func (in *ingest) addRecords(r *analysis.Report, first, end int, like *segment) {
	days := map[int64]*segment{}
	for i := first; i < end; i++ {
		in.addRow(r, i, like, days)
	}
	for day, g := range days {
		in.segments[day] = append(in.segments[day], *g)
	}
}

func (in *ingest) writeSegments(ctx context.Context) error {
	if err := in.t.addSegments(ctx, in.segments); err != nil {
		return err
	}
	clear(in.segments)
	return nil
}

// addRow puts a row into the segments of its days, which are made like another.
func (in *ingest) addRow(r *analysis.Report, i int, like *segment, days map[int64]*segment) {
	row := &r.Rows[i]
	one := packedRow{
		number: int64(row.Number), identity: in.span(r, row), set: in.sets[in.hashes[r][i]].id, whole: row.Count,
		code: codeOfVerdicts(row.Disposition, row.SPF, row.DKIM), flags: int64(row.Flags),
	}
	parts := analysis.Spread(row.Count, r.Metadata.Begin, r.Metadata.End)
	for n, part := range parts {
		one.messages, one.next = part.Count, noDay
		if n+1 < len(parts) {
			one.next = bounded(int64(parts[n+1].Day))
		}
		day := bounded(int64(part.Day))
		g := days[day]
		if g == nil {
			g = &segment{}
			*g = *like
			g.day, g.rows = day, make([]packedRow, 0, min(len(r.Rows), recordsAtOnce))
			days[day] = g
		}
		g.rows = append(g.rows, one)
	}
}
