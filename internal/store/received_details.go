package store

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// exportPage is how many records one transaction of an export reads.
const exportPage = 2000

// maxExportKnown bounds the sets, and the sources, that an export keeps decoded.
const maxExportKnown = 20_000

// detailWindow is how many days with rows are searched for details at once, at most. The
// search begins with one day, and doubles.
const detailWindow = 32

// Details is analysis.Figures'.
func (s *Store) Details(ctx context.Context, q analysis.Query) (analysis.Page[analysis.Detail], error) {
	return s.details(ctx, &q, &detailKnown{})
}

// Export is analysis.Figures'.
func (s *Store) Export(ctx context.Context, q analysis.Query, yield func(*analysis.Detail) error) error {
	known := &detailKnown{}
	q.Limit, q.After = exportPage, ""
	for {
		page, err := s.details(ctx, &q, known)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if err := yield(&page.Rows[i]); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// detailRow is a selected row, with data from its report and the shared tables.
type detailRow struct {
	packedRow
	day, report, domain int64
}

func (d *detailRow) place() cursor {
	return cursor{d.day, []string{strconv.FormatInt(d.report, 10), strconv.FormatInt(d.number, 10)}}
}

// compare is by falling day, then by report and number.
func (d *detailRow) compare(o *detailRow) int {
	return cmp.Or(cmp.Compare(o.day, d.day), cmp.Compare(d.report, o.report), cmp.Compare(d.number, o.number))
}

// detailAfter reads where a page ended.
func detailAfter(text string) (*detailRow, error) {
	c, err := readCursor(text, 2)
	if c == nil || err != nil {
		return nil, err
	}
	report, err := strconv.ParseInt(c.Key[0], 10, 64)
	number, err2 := strconv.ParseInt(c.Key[1], 10, 64)
	if err != nil || err2 != nil {
		return nil, errAfter
	}
	return &detailRow{day: c.Count, report: report, packedRow: packedRow{number: number}}, nil
}

// details reads a page.
//
// A record whose period is spread appears once, on its last day in the period.
func (s *Store) details(ctx context.Context, q *analysis.Query, known *detailKnown) (analysis.Page[analysis.Detail], error) {
	var page analysis.Page[analysis.Detail]
	after, err := detailAfter(q.After)
	if err != nil {
		return page, err
	}
	err = s.read(ctx, "details", func(ctx context.Context, t *tx) error {
		page = analysis.Page[analysis.Detail]{}
		found, err := t.detailRows(ctx, q, after)
		if err != nil {
			return err
		}
		if q.Limit > 0 && len(found) > q.Limit {
			found = found[:q.Limit]
			page.Next = found[q.Limit-1].place().String()
		}
		if err := known.learn(ctx, t, found); err != nil {
			return err
		}
		labels, err := t.labels(ctx, q.Managed)
		if err != nil {
			return err
		}
		page.Rows = make([]analysis.Detail, len(found))
		for i := range found {
			page.Rows[i] = known.tell(&found[i], &q.Filter, labels)
		}
		return nil
	})
	return page, err
}

// detailRows finds one row more than the page has. It looks through more and more days
// at a time, from the latest back.
func (t *tx) detailRows(ctx context.Context, q *analysis.Query, after *detailRow) ([]detailRow, error) {
	f, err := t.rowFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	end := noDay - 1 // of the period
	if !q.Filter.All {
		end = bounded(int64(q.Filter.To))
	}
	last := end
	if after != nil {
		last = min(last, after.day)
	}
	want := pageLimit(q.Limit)
	var out []detailRow
	for window := 1; int64(len(out)) < want; window = min(window*2, detailWindow) {
		days, err := t.daysBefore(ctx, f, last, window)
		if err != nil || len(days) == 0 {
			return out, err
		}
		first := days[len(days)-1]
		list := detailList{want: want - int64(len(out))}
		if err := t.detailDays(ctx, f, first, days[0], end, after, &list); err != nil {
			return nil, err
		}
		out = append(out, list.cut()...)
		last = first - 1
	}
	return out, nil
}

// daysBefore returns the latest days of a filter's period that have rows: at most limit,
// up to last.
// Reporters may claim any day.
func (t *tx) daysBefore(ctx context.Context, f *rowFilter, last int64, limit int) ([]int64, error) {
	w := &conditions{}
	w.period(&f.q.Filter, "day", 0)
	w.add(`day <= ` + w.arg(last))
	query := `SELECT DISTINCT day FROM received_blocks WHERE ` + w.and() + ` ORDER BY day DESC LIMIT ` + w.arg(limit)
	return t.keys(ctx, query, w.args...)
}

// detailList keeps the first rows of those added, and few more.
type detailList struct {
	want int64
	rows []detailRow
}

func (l *detailList) add(d *detailRow) {
	if l.rows = append(l.rows, *d); int64(len(l.rows)) >= 2*l.want+1024 {
		l.cut()
	}
}

func (l *detailList) cut() []detailRow {
	slices.SortFunc(l.rows, func(a, b detailRow) int { return a.compare(&b) })
	l.rows = l.rows[:min(int64(len(l.rows)), l.want)]
	return l.rows
}

// detailDays adds to a list the rows of some days that come after a place.
func (t *tx) detailDays(ctx context.Context, f *rowFilter, from, to, end int64, after *detailRow, list *detailList) error {
	w := &conditions{}
	w.add(`day BETWEEN ` + w.arg(from) + ` AND ` + w.arg(to))
	if after != nil && after.day == to {
		w.add(`(day < ` + w.arg(to) + ` OR last_report >= ` + w.arg(after.report) + `)`)
	}
	return t.foldBlocks(ctx, w, func(g *segment, rows unpacker, n int64) error {
		if n == 0 || !f.segment(g) || after != nil && g.day == after.day && g.report < after.report {
			return nil
		}
		return eachRow(g, rows, n, func(r *packedRow) error {
			one := detailRow{packedRow: *r, day: g.day, report: g.report, domain: g.domain}
			if r.next > end && f.row(g, r) && (after == nil || one.compare(after) > 0) {
				list.add(&one)
			}
			return nil
		})
	})
}

// detailKnown caches what details are made from, for the next page.
type detailKnown struct {
	sets    map[int64]*setBody
	sources map[int64]sourceInfo
	names   map[int64]string
	reports map[int64]*detailReport // of this page
}

// detailReport is the part of a detail that comes from its report.
type detailReport struct {
	reporter, policyDomain, policy, trust string
	flags, begin, end                     int64
}

// learn looks up what rows need and is not cached yet.
func (k *detailKnown) learn(ctx context.Context, t *tx, rows []detailRow) error {
	if k.sets == nil || len(k.sets) > maxExportKnown || len(k.sources) > maxExportKnown {
		k.sets, k.sources, k.names = map[int64]*setBody{}, map[int64]sourceInfo{}, map[int64]string{}
	}
	k.reports = map[int64]*detailReport{}
	sets, identities, names := map[int64]bool{}, map[int64]*sourceSums{}, map[int64]bool{}
	for i := range rows {
		r := &rows[i]
		k.reports[r.report] = nil
		if _, ok := k.sets[r.set]; !ok {
			sets[r.set] = true
		}
		if _, ok := k.sources[r.identity]; !ok {
			identities[r.identity] = &sourceSums{}
		}
		if _, ok := k.names[r.domain]; !ok {
			names[r.domain] = true
		}
	}
	infos, err := t.sourceInfos(ctx, identities)
	if err != nil {
		return err
	}
	maps.Copy(k.sources, infos)
	texts, err := t.nameTexts(ctx, slices.Collect(maps.Keys(names)))
	if err != nil {
		return err
	}
	maps.Copy(k.names, texts)
	if err := k.learnReports(ctx, t); err != nil {
		return err
	}
	return t.inChunks(ctx, anys(slices.Collect(maps.Keys(sets))), func(scan func(...any) error) error {
		var id int64
		var text string
		if err := scan(&id, &text); err != nil {
			return err
		}
		body := &setBody{}
		if err := json.Unmarshal([]byte(text), body); err != nil {
			t.s.undecodable.Add(1)
			return nil
		}
		k.sets[id] = body
		return nil
	}, `SELECT id, body FROM received_sets WHERE id IN`)
}

func (k *detailKnown) learnReports(ctx context.Context, t *tx) error {
	return t.inChunks(ctx, anys(slices.Collect(maps.Keys(k.reports))), func(scan func(...any) error) error {
		var id int64
		r := &detailReport{}
		err := scan(&id, &r.reporter, &r.policyDomain, &r.policy, &r.trust, &r.flags, &r.begin, &r.end)
		k.reports[id] = r
		return err
	}, `SELECT o.id, p.org, o.policy_domain, o.p, o.trust, o.flags, o.begins, o.ends FROM received_reports o
		JOIN received_reporters p ON p.id = o.reporter WHERE o.id IN`)
}

// tell makes a detail from a row.
func (k *detailKnown) tell(r *detailRow, f *analysis.Filter, labels []analysis.LabelSet) analysis.Detail {
	source := k.sources[r.identity]
	d := analysis.Detail{
		Day: memory.Day(r.day), Service: source.service, Host: source.host, IP: source.ip, Messages: r.messages, Domain: nameOf(k.names[r.domain]),
		Report: r.report, Record: int(r.number), Reasons: []string{},
	}
	d.Disposition, d.SPF, d.DKIM = verdictsOf(r.code)
	if len(labels) > 0 {
		d.Label = labelOf(labels, k.names[r.domain], &analysis.SourceRow{Service: d.Service, Host: d.Host, IP: d.IP})
	}
	flags := analysis.Flags(r.flags)
	if p := k.reports[r.report]; p != nil {
		d.Reporter, d.PolicyDomain, d.Policy, d.Trust = p.reporter, p.policyDomain, report.Policy(p.policy), analysis.Trust(p.trust)
		flags |= analysis.Flags(p.flags)
		d.Begin, d.End = time.Unix(p.begin, 0).UTC(), time.Unix(p.end, 0).UTC()
		if r.messages != r.whole {
			d.Messages = 0
			for _, part := range analysis.Spread(r.whole, d.Begin, d.End) {
				if f.Has(part.Day) {
					d.Messages += part.Count
				}
			}
		}
	}
	if d.Messages != r.whole {
		d.Of = r.whole
	}
	if d.SPF == report.DMARCPass || d.DKIM == report.DMARCPass {
		d.Compliant = d.Messages
	}
	d.Flags = flags.Names()
	if body := k.sets[r.set]; body != nil {
		body.tell(&d)
	}
	return d
}

// tell fills in the fields from a set.
func (b *setBody) tell(d *analysis.Detail) {
	d.HeaderFrom, d.EnvelopeFrom, d.NullSender, d.EnvelopeTo, d.Auth = b.HeaderFrom, b.EnvelopeFrom, b.NullSender, b.EnvelopeTo, b.Auth
	for _, reason := range b.Auth.Reasons {
		text := string(reason.Type)
		if reason.Comment != "" {
			text += ": " + reason.Comment
		}
		d.Reasons = append(d.Reasons, text)
	}
}
