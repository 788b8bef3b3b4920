package store

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// sourceSums are the sums for a source's line.
type sourceSums struct {
	codeSums
	first, last int64
	domains     idSet // that it sent for; nil where nothing is labelled
}

func (s *sourceSums) add(day, domain, code, messages int64, labelled bool) {
	if labelled {
		if s.domains == nil {
			s.domains = idSet{}
		}
		s.domains[domain] = struct{}{}
	}
	s.first, s.last = min(s.first, day), max(s.last, day)
	s.codeSums[code] += messages
}

// Sources is analysis.Figures'.
func (s *Store) Sources(ctx context.Context, q analysis.Query, level analysis.Level) (analysis.Page[analysis.SourceRow], error) {
	var page analysis.Page[analysis.SourceRow]
	keys := map[analysis.Level]int{analysis.LevelHost: 2, analysis.LevelIP: 3}[level]
	after, err := readCursor(q.After, max(keys, 1))
	if err != nil {
		return page, err
	}
	err = s.read(ctx, "sources", func(ctx context.Context, t *tx) error {
		labels, err := t.labels(ctx, q.Managed)
		if err != nil {
			return err
		}
		found, err := t.sources(ctx, &q, level, len(labels) > 0)
		if err != nil {
			return err
		}
		rows := make([]sourceRow, 0, len(found))
		for info, sum := range found {
			rows = append(rows, sourceRow{sum: sum, SourceRow: analysis.SourceRow{
				Service: info.service, Host: info.host, IP: info.ip, Counts: sum.counts(), FirstSeen: memory.Day(sum.first), LastSeen: memory.Day(sum.last),
			}})
		}
		cut := cutPage(rows, q.Limit, after, func(row *sourceRow) int64 { return row.Messages }, func(row *sourceRow) []string {
			return []string{row.Service, row.Host, row.IP}[:max(keys, 1)]
		})
		if err := t.addLabels(ctx, labels, cut.Rows); err != nil {
			return err
		}
		if level == analysis.LevelIP {
			if err := t.addAbout(ctx, cut.Rows); err != nil {
				return err
			}
		}
		page = analysis.Page[analysis.SourceRow]{Next: cut.Next}
		for i := range cut.Rows {
			page.Rows = append(page.Rows, cut.Rows[i].SourceRow)
		}
		return nil
	})
	return page, err
}

// sourceRow is a line and the data it was made from.
type sourceRow struct {
	analysis.SourceRow
	sum *sourceSums
}

// sources sums by the names of sources at a level.
func (t *tx) sources(ctx context.Context, q *analysis.Query, level analysis.Level, labelled bool) (map[sourceInfo]*sourceSums, error) {
	f, err := t.rowFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	identities, services := map[int64]*sourceSums{}, map[int64]*sourceSums{}
	of := func(in map[int64]*sourceSums, id int64) *sourceSums {
		sum := in[id]
		if sum == nil {
			sum = &sourceSums{first: noDay, last: -noDay}
			in[id] = sum
		}
		return sum
	}
	var last *sourceSums
	lastID := int64(-1)
	err = t.foldRows(ctx, f, func(g *segment, r *packedRow) error {
		if r.identity != lastID {
			last, lastID = of(identities, r.identity), r.identity
		}
		last.add(g.day, g.domain, r.code, r.messages, labelled)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if level == analysis.LevelService {
		err = t.foldRollups(ctx, f, func(l *rollupLine) { of(services, l.service).add(l.day, l.domain, l.code, l.messages, labelled) })
		if err != nil {
			return nil, err
		}
	}
	return t.callSources(ctx, identities, services, level)
}

// callSources joins codeSums by their names at a level.
func (t *tx) callSources(ctx context.Context, identities, services map[int64]*sourceSums, level analysis.Level) (map[sourceInfo]*sourceSums, error) {
	infos, err := t.sourceInfos(ctx, identities)
	if err != nil {
		return nil, err
	}
	names, err := t.nameTexts(ctx, slices.Collect(maps.Keys(services)))
	if err != nil {
		return nil, err
	}
	out := map[sourceInfo]*sourceSums{}
	join := func(info sourceInfo, sum *sourceSums) {
		have := out[info]
		if have == nil {
			out[info] = sum
			return
		}
		have.first, have.last = min(have.first, sum.first), max(have.last, sum.last)
		for code, messages := range sum.codeSums {
			have.codeSums[code] += messages
		}
		maps.Copy(have.domains, sum.domains)
	}
	for id, sum := range identities {
		join(infos[id].at(level), sum)
	}
	for id, sum := range services {
		join(sourceInfo{service: names[id]}, sum)
	}
	return out, nil
}

// addLabels fills in the labels. A source that domains label differently has none.
func (t *tx) addLabels(ctx context.Context, labels []analysis.LabelSet, rows []sourceRow) error {
	if len(labels) == 0 || len(rows) == 0 {
		return nil
	}
	all := idSet{}
	for i := range rows {
		maps.Copy(all, rows[i].sum.domains)
	}
	names, err := t.nameTexts(ctx, slices.Collect(maps.Keys(all)))
	if err != nil {
		return err
	}
	for i := range rows {
		row, first := &rows[i], true
		for domain := range row.sum.domains {
			one := labelOf(labels, names[domain], &row.SourceRow)
			if first {
				row.Label, first = one, false
			} else if row.Label != one {
				row.Label = analysis.LabelNone
				break
			}
		}
	}
	return nil
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

// labels returns the labels of managed domains; nil for all.
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

// labelFilter chooses rows by the labels of their sources.
type labelFilter struct {
	want    *analysis.Words[analysis.Label]
	labels  []analysis.LabelSet
	names   map[int64]string
	sources map[int64]sourceInfo
	known   map[[2]int64]bool // of domains and identities
	lines   map[[2]int64]bool // of domains and services
}

func (l *labelFilter) row(domain, identity int64) bool {
	key := [2]int64{domain, identity}
	has, ok := l.known[key]
	if !ok {
		info := l.sources[identity]
		has = l.want.Has(labelOf(l.labels, l.names[domain], &analysis.SourceRow{Service: info.service, Host: info.host, IP: info.ip}))
		l.known[key] = has
	}
	return has
}

func (l *labelFilter) service(domain, service int64) bool {
	key := [2]int64{domain, service}
	has, ok := l.lines[key]
	if !ok {
		has = l.want.Has(labelOf(l.labels, l.names[domain], &analysis.SourceRow{Service: l.names[service]}))
		l.lines[key] = has
	}
	return has
}

// filterLabels reads labels and the names of sources.
func (t *tx) filterLabels(ctx context.Context, f *rowFilter) error {
	if f.q.Filter.Label.Empty() {
		return nil
	}
	l := &labelFilter{
		want: &f.q.Filter.Label, names: map[int64]string{}, sources: map[int64]sourceInfo{}, known: map[[2]int64]bool{}, lines: map[[2]int64]bool{},
	}
	f.labels = l
	var err error
	if l.labels, err = t.labels(ctx, f.q.Managed); err != nil || len(l.labels) == 0 {
		return err
	}
	err = t.rows(ctx, func(scan func(...any) error) error {
		var id int64
		var value string
		err := scan(&id, &value)
		l.names[id] = value
		return err
	}, `SELECT id, value FROM received_names`)
	if err != nil {
		return err
	}
	return t.rows(ctx, func(scan func(...any) error) error {
		var id, service int64
		var info sourceInfo
		err := scan(&id, &service, &info.host, &info.ip)
		info.service = l.names[service]
		l.sources[id] = info
		return err
	}, `SELECT id, service, host, ip FROM received_identities`)
}
