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

// arg adds an argument and returns its placeholder.
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

// period bounds days, widened by some days on both sides.
func (w *conditions) period(f *analysis.Filter, column string, wider int64) {
	if !f.All {
		w.add(fmt.Sprintf(`%s BETWEEN %s AND %s`, column, w.arg(bounded(int64(f.From)-wider)), w.arg(bounded(int64(f.To)+wider))))
	}
}

// some is "any of the patterns matches any of the columns".
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

// match restricts a numeric column by texts in another table: query ends in WHERE.
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

// reports bounds received_reports p by reporter and policy.
func (w *conditions) reports(f *analysis.Filter) {
	words(w, f.Policy, "p.p")
	w.match(f.Reporter, "p.reporter", `SELECT id FROM received_reporters WHERE `, "org_lower", "email_lower", "auth")
}

// addresses is "any of the ranges", of received_identities.
func (w *conditions) addresses(list []analysis.AddressRange) string {
	var parts []string
	for _, r := range list {
		if r.Beginning != "" {
			parts = append(parts, fmt.Sprintf(`ip LIKE %s ESCAPE '\'`, w.arg(analysis.Pattern(r.Beginning+"*").Like(`\`))))
			continue
		}
		parts = append(parts, w.network(r.Network))
	}
	return strings.Join(parts, " OR ")
}

func (w *conditions) network(p netip.Prefix) string {
	first, last := clientRange(p)
	return fmt.Sprintf(`source BETWEEN %s AND %s`, w.arg(first), w.arg(last))
}
