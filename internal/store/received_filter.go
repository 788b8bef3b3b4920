package store

import (
	"fmt"
	"net/netip"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// conditions are gathered for a WHERE, with their arguments.
type conditions struct {
	terms []string
	args  []any
}

// arg adds an argument and gives its mark.
func (w *conditions) arg(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", len(w.args))
}

func (w *conditions) add(condition string) { w.terms = append(w.terms, condition) }

// and is the whole condition.
func (w *conditions) and() string {
	if len(w.terms) == 0 {
		return "1 = 1"
	}
	return strings.Join(w.terms, " AND ")
}

// list is "($1,$2)".
func (w *conditions) list(values []any) string {
	marks := make([]string, len(values))
	for i := range values {
		marks[i] = w.arg(values[i])
	}
	return "(" + strings.Join(marks, ",") + ")"
}

func nameTexts(names []dns.Name) []any {
	out := make([]any, len(names))
	for i := range names {
		out[i] = names[i].String()
	}
	return out
}

// scope bounds managed domains: the viewer's, and those of the filter.
func (w *conditions) scope(q *analysis.Query, column string) {
	named := func(names []dns.Name) string {
		if len(names) == 0 {
			return "(-1)"
		}
		return `(SELECT id FROM received_names WHERE value IN ` + w.list(nameTexts(names)) + `)`
	}
	if q.Managed != nil {
		w.add(column + ` IN ` + named(q.Managed))
	}
	if len(q.Filter.Domain) > 0 {
		w.add(column + ` IN ` + named(q.Filter.Domain))
	}
	if len(q.Filter.Without) > 0 {
		w.add(column + ` NOT IN ` + named(q.Filter.Without))
	}
}

// period bounds days, more widely by so many on both sides.
func (w *conditions) period(f *analysis.Filter, column string, wider int64) {
	if !f.All {
		w.add(fmt.Sprintf(`%s BETWEEN %s AND %s`, column, w.arg(bounded(int64(f.From)-wider)), w.arg(bounded(int64(f.To)+wider))))
	}
}

// some is "any of the patterns", on columns of which any may match.
func (w *conditions) some(patterns []analysis.Pattern, columns ...string) string {
	var parts []string
	for _, p := range patterns {
		for _, column := range columns {
			if text, ok := p.Literal(); ok {
				parts = append(parts, column+` = `+w.arg(text))
				continue
			}
			parts = append(parts, fmt.Sprintf(`(%s LIKE %s ESCAPE '\' AND %s <> '')`, column, w.arg(p.Like(`\`)), column))
		}
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// match bounds a number by texts that stand in another table: query ends in WHERE.
func (w *conditions) match(m analysis.Match, column, query string, columns ...string) {
	if len(m.Any) > 0 {
		w.add(column + ` IN (` + query + w.some(m.Any, columns...) + `)`)
	}
	if len(m.None) > 0 {
		w.add(column + ` NOT IN (` + query + w.some(m.None, columns...) + `)`)
	}
}

// words bounds a column of words.
func words[T ~string](w *conditions, one analysis.Words[T], column string) {
	texts := func(list []T) []any {
		out := make([]any, len(list))
		for i := range list {
			out[i] = string(list[i])
		}
		return out
	}
	if len(one.Any) > 0 {
		w.add(column + ` IN ` + w.list(texts(one.Any)))
	}
	if len(one.None) > 0 {
		w.add(column + ` NOT IN ` + w.list(texts(one.None)))
	}
}

// verdicts bounds result and disposition of rows and rollups.
func (w *conditions) verdicts(f *analysis.Filter, table string) {
	switch f.Result {
	case analysis.ResultCompliant:
		w.add(fmt.Sprintf(`(%[1]s.spf = 1 OR %[1]s.dkim = 1)`, table))
	case analysis.ResultNotCompliant:
		w.add(fmt.Sprintf(`%[1]s.spf = 0 AND %[1]s.dkim = 0`, table))
	}
	disposition := func(list []string) []any {
		out := make([]any, len(list))
		for i := range list {
			out[i] = int64(-1)
			for code, d := range dispositions {
				if string(d) == list[i] {
					out[i] = int64(code)
				}
			}
		}
		return out
	}
	if any := f.Disposition.Any; len(any) > 0 {
		w.add(table + `.disposition IN ` + w.list(disposition(texts(any))))
	}
	if none := f.Disposition.None; len(none) > 0 {
		w.add(table + `.disposition NOT IN ` + w.list(disposition(texts(none))))
	}
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = string(list[i])
	}
	return out
}

// rows bounds received_rows r by everything that a filter names.
func (w *conditions) rows(q *analysis.Query) {
	f := &q.Filter
	if !f.IncludeFailed {
		w.add(`r.counts = 1`)
	}
	w.scope(q, "r.domain")
	w.period(f, "r.day", 0)
	w.verdicts(f, "r")
	for kind, m := range []analysis.Match{
		setHeaderFrom: f.HeaderFrom, setEnvelopeFrom: f.EnvelopeFrom, setSPFDomain: f.SPFDomain, setDKIMDomain: f.DKIMDomain,
		setSelector: f.Selector, setReason: f.Reason,
	} {
		w.match(m, "r.aset", fmt.Sprintf(`SELECT aset FROM received_set_names WHERE kind = %d AND `, kind), "value")
	}
	w.match(f.Service, "r.identity", `SELECT i.id FROM received_identities i JOIN received_names n ON n.id = i.service WHERE `, "n.value")
	w.match(f.Host, "r.identity", `SELECT id FROM received_identities WHERE `, "host")
	if !f.Reporter.Empty() || !f.Policy.Empty() {
		inner := &conditions{args: w.args}
		inner.reports(f)
		w.args = inner.args
		w.add(`r.report IN (SELECT p.id FROM received_reports p WHERE ` + inner.and() + `)`)
	}
	w.addresses(f.IP)
	w.labels(f, rowLabel)
}

// reports bounds received_reports p by reporter and policy.
func (w *conditions) reports(f *analysis.Filter) {
	words(w, f.Policy, "p.p")
	w.match(f.Reporter, "p.reporter", `SELECT id FROM received_reporters WHERE `, "org_lower", "email_lower", "auth")
}

// addresses bounds the source.
func (w *conditions) addresses(a analysis.Addresses) {
	some := func(list []analysis.AddressRange) string {
		var parts []string
		for _, r := range list {
			if r.Beginning != "" {
				parts = append(parts, fmt.Sprintf(`ip LIKE %s ESCAPE '\'`, w.arg(analysis.Pattern(r.Beginning+"*").Like(`\`))))
				continue
			}
			parts = append(parts, w.network(r.Network))
		}
		return `r.identity IN (SELECT id FROM received_identities WHERE ` + strings.Join(parts, " OR ") + `)`
	}
	if len(a.Any) > 0 {
		w.add(some(a.Any))
	}
	if len(a.None) > 0 {
		w.add("NOT " + some(a.None))
	}
}

func (w *conditions) network(p netip.Prefix) string {
	first, last := clientRange(p)
	return fmt.Sprintf(`source BETWEEN %s AND %s`, w.arg(first), w.arg(last))
}

// rowLabel is the label of a row: that of a network before that of a host, and that
// before its service's.
const rowLabel = `coalesce((SELECT l.label FROM received_labels l JOIN received_names d ON d.value = l.domain
		JOIN received_identities i ON i.id = r.identity
	WHERE d.id = r.domain AND (l.bits >= 0 AND i.source BETWEEN l.first_source AND l.last_source OR l.host <> '' AND l.host = i.host
		OR l.service <> '' AND l.service = (SELECT value FROM received_names WHERE id = i.service))
	ORDER BY l.bits DESC, l.host DESC LIMIT 1), '')`

// rollupLabel is the label of a line of the rollups.
const rollupLabel = `coalesce((SELECT l.label FROM received_labels l JOIN received_names d ON d.value = l.domain
	JOIN received_names n ON n.value = l.service WHERE d.id = r.domain AND n.id = r.service), '')`

func (w *conditions) labels(f *analysis.Filter, label string) {
	if !f.Label.Empty() {
		words(w, f.Label, label)
	}
}

// rollups bounds received_rollups r.
func (w *conditions) rollups(q *analysis.Query) {
	f := &q.Filter
	w.scope(q, "r.domain")
	w.period(f, "r.day", 0)
	w.verdicts(f, "r")
	w.match(f.Service, "r.service", `SELECT id FROM received_names WHERE `, "value")
	w.labels(f, rollupLabel)
}

// plainPeriod tells whether domain and period are the only criteria.
func plainPeriod(f *analysis.Filter) bool {
	return f.RollupOnly() && f.Service.Empty() && f.Result == "" && f.Disposition.Empty() && f.Label.Empty()
}
