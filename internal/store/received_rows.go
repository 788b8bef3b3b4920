package store

import (
	"slices"
	"time"

	"dmarcd/internal/report/analysis"
)

// isSpread tells whether rows of the report fall on other days than its own.
func isSpread(r *analysis.Report) bool {
	day := r.Day()
	return slices.ContainsFunc(r.Rows, func(row analysis.Row) bool {
		parts := analysis.Spread(row.Count, r.Metadata.Begin, r.Metadata.End)
		return len(parts) > 1 || parts[0].Day != day
	})
}

// addRows makes the segments of a report that is kept.
func (in *ingest) addRows(id int64, r *analysis.Report, status analysis.Status, received time.Time) {
	if status != analysis.StatusStored && status != analysis.StatusEmpty {
		return
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
		return
	}
	days := map[int64]*segment{}
	for i := range r.Rows {
		in.addRow(r, i, &home, days)
	}
	for day, g := range days {
		in.segments[day] = append(in.segments[day], *g)
	}
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
			g.day, g.rows = day, make([]packedRow, 0, len(r.Rows))
			days[day] = g
		}
		g.rows = append(g.rows, one)
	}
}
