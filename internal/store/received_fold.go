package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"dmarcd/internal/report/analysis"
)

// idSet are numbers of what a criterion matches.
type idSet map[int64]struct{}

// idCriterion is a criterion on a number: one of any, where limited, and none of none.
type idCriterion struct {
	limited   bool
	any, none idSet
}

func (c *idCriterion) has(id int64) bool {
	if c.limited {
		if _, ok := c.any[id]; !ok {
			return false
		}
	}
	_, ok := c.none[id]
	return !ok
}

func hasAll(list []idCriterion, id int64) bool {
	for i := range list {
		if !list[i].has(id) {
			return false
		}
	}
	return true
}

// rowFilter is a query's filter in the numbers that segments, rows and rollups have.
type rowFilter struct {
	q          *analysis.Query
	domains    []idCriterion
	services   []idCriterion // of rollups
	reporters  []idCriterion
	identities []idCriterion
	sets       []idCriterion
	policies   [len(policies)]bool
	codes      [verdictCodes]bool
	labels     *labelFilter // nil for no criterion
}

// segment reports whether a segment may have selected rows.
func (f *rowFilter) segment(g *segment) bool {
	return (f.q.Filter.IncludeFailed || g.counts()) && f.report(g)
}

// report reports whether a report is selected, whoever sent it.
func (f *rowFilter) report(g *segment) bool {
	return f.policies[g.policy] && hasAll(f.domains, g.domain) && hasAll(f.reporters, g.reporter)
}

func (f *rowFilter) row(g *segment, r *packedRow) bool {
	return f.codes[r.code] && hasAll(f.identities, r.identity) && hasAll(f.sets, r.set) && (f.labels == nil || f.labels.row(g.domain, r.identity))
}

// rollup reports whether a line of a rollup is selected.
func (f *rowFilter) rollup(l *rollupLine) bool {
	return f.codes[l.code] && hasAll(f.domains, l.domain) && hasAll(f.services, l.service) && (f.labels == nil || f.labels.service(l.domain, l.service))
}

// rowFilter looks up what a query's filter means.
func (t *tx) rowFilter(ctx context.Context, q *analysis.Query) (*rowFilter, error) {
	f := &rowFilter{q: q}
	for code := range f.codes {
		d, spf, dkim := verdictsOf(int64(code))
		var c analysis.Counts
		c.Add(1, spf, dkim, d)
		f.codes[code] = q.Filter.Disposition.Has(d) && (q.Filter.Result == "" || (q.Filter.Result == analysis.ResultCompliant) == (c.Compliant == 1))
	}
	for code := range f.policies {
		f.policies[code] = q.Filter.Policy.Has(policies[code])
	}
	for _, step := range []func(context.Context, *rowFilter) error{t.filterDomains, t.filterReporters, t.filterSources, t.filterSets, t.filterLabels} {
		if err := step(ctx, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// ids returns the numbers that a query of one column selects.
func (t *tx) ids(ctx context.Context, query string, args ...any) (idSet, error) {
	out := idSet{}
	return out, t.rows(ctx, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		out[id] = struct{}{}
		return err
	}, query, args...)
}

// matching is a criterion on texts: query ends in WHERE, and any of the columns may match.
func (t *tx) matching(ctx context.Context, into *[]idCriterion, m analysis.Match, query string, columns ...string) error {
	if m.Empty() {
		return nil
	}
	return t.criterion(ctx, into, len(m.Any), len(m.None), func(w *conditions, none bool) string {
		if none {
			return query + w.some(m.None, columns...)
		}
		return query + w.some(m.Any, columns...)
	})
}

// criterion looks up the ids of the values to include and of those to exclude.
func (t *tx) criterion(ctx context.Context, into *[]idCriterion, some, none int, query func(w *conditions, none bool) string) error {
	c := idCriterion{limited: some > 0}
	for _, one := range []struct {
		n    int
		none bool
		into *idSet
	}{{some, false, &c.any}, {none, true, &c.none}} {
		if one.n == 0 {
			continue
		}
		w := &conditions{}
		text := query(w, one.none)
		var err error
		if *one.into, err = t.ids(ctx, text, w.args...); err != nil {
			return err
		}
	}
	*into = append(*into, c)
	return nil
}

func (t *tx) filterDomains(ctx context.Context, f *rowFilter) error {
	const named = `SELECT id FROM received_names WHERE value IN `
	if managed := f.q.Managed; managed != nil {
		c := idCriterion{limited: true}
		if len(managed) > 0 {
			w := &conditions{}
			text := named + w.list(nameTexts(managed))
			var err error
			if c.any, err = t.ids(ctx, text, w.args...); err != nil {
				return err
			}
		}
		f.domains = append(f.domains, c)
	}
	some, none := f.q.Filter.Domain, f.q.Filter.Without
	if len(some)+len(none) == 0 {
		return nil
	}
	return t.criterion(ctx, &f.domains, len(some), len(none), func(w *conditions, unwanted bool) string {
		if unwanted {
			return named + w.list(nameTexts(none))
		}
		return named + w.list(nameTexts(some))
	})
}

func (t *tx) filterReporters(ctx context.Context, f *rowFilter) error {
	return t.matching(ctx, &f.reporters, f.q.Filter.Reporter, `SELECT id FROM received_reporters WHERE `, "org_lower", "email_lower", "auth")
}

func (t *tx) filterSources(ctx context.Context, f *rowFilter) error {
	q := &f.q.Filter
	if err := t.matching(ctx, &f.services, q.Service, `SELECT id FROM received_names WHERE `, "value"); err != nil {
		return err
	}
	err := t.matching(ctx, &f.identities, q.Service, `SELECT i.id FROM received_identities i JOIN received_names n ON n.id = i.service WHERE `, "n.value")
	if err != nil {
		return err
	}
	if err := t.matching(ctx, &f.identities, q.Host, `SELECT id FROM received_identities WHERE `, "host"); err != nil || q.IP.Empty() {
		return err
	}
	return t.criterion(ctx, &f.identities, len(q.IP.Any), len(q.IP.None), func(w *conditions, none bool) string {
		if none {
			return `SELECT id FROM received_identities WHERE ` + w.addresses(q.IP.None)
		}
		return `SELECT id FROM received_identities WHERE ` + w.addresses(q.IP.Any)
	})
}

func (t *tx) filterSets(ctx context.Context, f *rowFilter) error {
	q := &f.q.Filter
	for kind, m := range []analysis.Match{
		setHeaderFrom: q.HeaderFrom, setEnvelopeFrom: q.EnvelopeFrom, setSPFDomain: q.SPFDomain, setDKIMDomain: q.DKIMDomain,
		setSelector: q.Selector, setReason: q.Reason,
	} {
		if err := t.matching(ctx, &f.sets, m, fmt.Sprintf(`SELECT aset FROM received_set_names WHERE kind = %d AND `, kind), "value"); err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends the reading of blocks.
var errEnough = errors.New("enough")

// foldRows returns the rows that a filter chooses to yield, day by day. An error of yield
// ends it, errEnough quietly.
func (t *tx) foldRows(ctx context.Context, f *rowFilter, yield func(g *segment, r *packedRow) error) error {
	w := &conditions{}
	w.period(&f.q.Filter, "day", 0)
	return t.foldBlocks(ctx, w, func(g *segment, rows unpacker, n int64) error {
		if n == 0 || !f.segment(g) {
			return nil
		}
		return eachRow(g, rows, n, func(r *packedRow) error {
			if !f.row(g, r) {
				return nil
			}
			return yield(g, r)
		})
	})
}

var errUndecodable = errors.New("a block of received rows cannot be decoded")

// eachRow returns the rows of a segment.
func eachRow(g *segment, rows unpacker, n int64, yield func(*packedRow) error) error {
	var r packedRow
	for range n {
		rows.row(&r, g.day, r.number)
		if rows.bad {
			return errUndecodable
		}
		if err := yield(&r); err != nil {
			return err
		}
	}
	return nil
}

// foldBlocks returns the segments of the blocks that conditions choose to yield, in order
// of day and block, with their rows as they are packed.
func (t *tx) foldBlocks(ctx context.Context, w *conditions, yield func(g *segment, rows unpacker, n int64) error) error {
	err := t.rows(ctx, func(scan func(...any) error) error {
		var day int64
		var body sql.RawBytes
		if err := scan(&day, &body); err != nil {
			return err
		}
		err := eachSegment(body, day, yield)
		if errors.Is(err, errUndecodable) {
			t.s.undecodable.Add(1)
			return nil
		}
		return err
	}, `SELECT day, body FROM received_blocks WHERE `+w.and()+` ORDER BY day, number`, w.args...)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func eachSegment(body []byte, day int64, yield func(g *segment, rows unpacker, n int64) error) error {
	u := unpacker{b: body}
	var g segment
	for u.more() {
		rows, n := u.head(&g, day)
		if u.bad {
			return errUndecodable
		}
		if err := yield(&g, rows, n); err != nil {
			return err
		}
	}
	return nil
}
