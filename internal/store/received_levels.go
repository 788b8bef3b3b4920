package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// sourceLevel is how a level of sources is read.
type sourceLevel struct {
	group string // of rows r and identities i
	names []string
}

func levelOf(level analysis.Level) sourceLevel {
	switch level {
	case analysis.LevelHost:
		return sourceLevel{group: `i.service, i.host`, names: []string{"n.value", "a.host"}}
	case analysis.LevelIP:
		return sourceLevel{group: `i.service, i.host, i.ip`, names: []string{"n.value", "a.host", "a.ip"}}
	}
	return sourceLevel{group: `i.service`, names: []string{"n.value"}}
}

// Sources is analysis.Figures'.
func (s *Store) Sources(ctx context.Context, q analysis.Query, level analysis.Level) (analysis.Page[analysis.SourceRow], error) {
	var page analysis.Page[analysis.SourceRow]
	l := levelOf(level)
	after, err := readCursor(q.After, len(l.names))
	if err != nil {
		return page, err
	}
	err = s.read(ctx, "sources", func(ctx context.Context, t *tx) error {
		page = analysis.Page[analysis.SourceRow]{}
		query, w, err := t.sourcesQuery(ctx, &q, level, after)
		if err != nil {
			return err
		}
		err = t.rows(ctx, func(scan func(...any) error) error {
			var row analysis.SourceRow
			names := []any{&row.Service, &row.Host, &row.IP}[:len(l.names)]
			days := []any{(*int64)(&row.FirstSeen), (*int64)(&row.LastSeen)}
			err := scan(append(append(names, days...), countInto(&row.Counts)...)...)
			page.Rows = append(page.Rows, row)
			return err
		}, query, w.args...)
		if err != nil {
			return err
		}
		if q.Limit > 0 && len(page.Rows) > q.Limit {
			page.Rows = page.Rows[:q.Limit]
			last := &page.Rows[q.Limit-1]
			page.Next = cursor{last.Messages, []string{last.Service, last.Host, last.IP}[:len(l.names)]}.String()
		}
		return t.addLabels(ctx, &q, page.Rows, level)
	})
	return page, err
}

func (t *tx) sourcesQuery(ctx context.Context, q *analysis.Query, level analysis.Level, after *cursor) (string, *conditions, error) {
	l := levelOf(level)
	w := &conditions{}
	from := ""
	rolled, err := t.rolled(ctx, q)
	if rolled && level == analysis.LevelService {
		w.rollups(q)
		from = `SELECT r.service AS service, min(r.day) AS first, max(r.day) AS last, ` + countColumns + ` FROM received_rollups r WHERE ` + w.and() +
			` GROUP BY r.service`
	} else {
		w.rows(q)
		from = `SELECT ` + l.group + `, min(r.first) AS first, max(r.last) AS last, ` + sumOf("r") + ` FROM (SELECT r.identity, min(r.day) AS first,
			max(r.day) AS last, ` + countColumns + ` FROM received_rows r WHERE ` + w.and() + ` GROUP BY r.identity) r
			JOIN received_identities i ON i.id = r.identity GROUP BY ` + l.group
	}
	names := strings.Join(l.names, ", ")
	query := `SELECT ` + names + `, a.first, a.last, ` + countNames + ` FROM (` + from + `) a JOIN received_names n ON n.id = a.service`
	if after != nil {
		marks := make([]string, len(after.Key))
		for i := range marks {
			marks[i] = w.arg(after.Key[i])
		}
		query += fmt.Sprintf(` WHERE a.messages < %[1]s OR a.messages = %[1]s AND (%[2]s) > (%[3]s)`, w.arg(after.Count), names, strings.Join(marks, ", "))
	}
	return query + ` ORDER BY a.messages DESC, ` + names + ` LIMIT ` + w.arg(pageLimit(q.Limit)), w, err
}

// sumOf adds up counts that are grouped already.
func sumOf(table string) string {
	var parts []string
	for _, name := range []string{"messages", "compliant", "spf_aligned", "dkim_aligned", "d1", "d2", "d3", "d4"} {
		parts = append(parts, fmt.Sprintf(`CAST(sum(%[1]s.%[2]s) AS BIGINT) AS %[2]s`, table, name))
	}
	return strings.Join(parts, ", ")
}

// addLabels fills in the labels. A source that domains label differently has none.
func (t *tx) addLabels(ctx context.Context, q *analysis.Query, rows []analysis.SourceRow, level analysis.Level) error {
	labels, err := t.labels(ctx, q.Managed)
	if err != nil || len(labels) == 0 || len(rows) == 0 {
		return err
	}
	domains, err := t.labelled(ctx, q, level)
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		list := domains[sourceKey{row.Service, row.Host, row.IP}]
		for n, domain := range list {
			one := labelOf(labels, domain, row)
			if n == 0 {
				row.Label = one
			} else if row.Label != one {
				row.Label = analysis.LabelNone
				break
			}
		}
	}
	return nil
}

type sourceKey struct{ service, host, ip string }

// labelled gives the domains that each source sent for.
func (t *tx) labelled(ctx context.Context, q *analysis.Query, level analysis.Level) (map[sourceKey][]string, error) {
	w := &conditions{}
	query := `SELECT DISTINCT d.value, n.value, '', '' FROM received_rollups r JOIN received_names n ON n.id = r.service`
	rolled, err := t.rolled(ctx, q)
	if err != nil {
		return nil, err
	}
	if rolled && level == analysis.LevelService {
		w.rollups(q)
	} else {
		w.rows(q)
		columns := map[analysis.Level]string{analysis.LevelService: `'', ''`, analysis.LevelHost: `i.host, ''`, analysis.LevelIP: `i.host, i.ip`}[level]
		query = `SELECT DISTINCT d.value, n.value, ` + columns + ` FROM received_rows r JOIN received_identities i ON i.id = r.identity
			JOIN received_names n ON n.id = i.service`
	}
	out := map[sourceKey][]string{}
	err = t.rows(ctx, func(scan func(...any) error) error {
		var k sourceKey
		var domain string
		err := scan(&domain, &k.service, &k.host, &k.ip)
		out[k] = append(out[k], domain)
		return err
	}, query+` JOIN received_names d ON d.id = r.domain WHERE `+w.and(), w.args...)
	return out, err
}

// labelOf is the label of a source of a domain, at the row's level: a network's before
// a host's, and that before the service's.
func labelOf(labels []analysis.LabelSet, domain string, row *analysis.SourceRow) analysis.Label {
	addr, err := netip.ParseAddr(row.IP)
	best, rank := analysis.LabelNone, 0
	for i := range labels {
		l := &labels[i]
		if l.Domain.String() != domain {
			continue
		}
		switch {
		case l.Network.IsValid():
			if n := 200 + l.Network.Bits(); err == nil && l.Network.Contains(addr) && n > rank {
				best, rank = l.Label, n
			}
		case l.Host != "":
			if l.Host == row.Host && rank < 100 {
				best, rank = l.Label, 100
			}
		case l.Service == row.Service && rank < 1:
			best, rank = l.Label, 1
		}
	}
	return best
}

// labels gives the labels of managed domains; nil for all.
func (t *tx) labels(ctx context.Context, managed []dns.Name) ([]analysis.LabelSet, error) {
	w := &conditions{}
	if managed != nil {
		if len(managed) == 0 {
			return nil, nil
		}
		w.add(`domain IN ` + w.list(nameTexts(managed)))
	}
	var out []analysis.LabelSet
	err := t.rows(ctx, func(scan func(...any) error) error {
		var l analysis.LabelSet
		var domain, network string
		var at int64
		if err := scan(&domain, &l.Service, &l.Host, &network, &l.Label, &l.Note, &l.By, &at); err != nil {
			return err
		}
		l.Domain, l.At = nameOf(domain), unixTime(at)
		if network != "" {
			var err error
			if l.Network, err = netip.ParsePrefix(network); err != nil {
				return nil // not written by us
			}
		}
		out = append(out, l)
		return nil
	}, `SELECT domain, service, host, network, label, note, decided_by, decided_at FROM received_labels WHERE `+w.and()+
		` ORDER BY domain, service, host, network`, w.args...)
	return slices.Clip(out), err
}
