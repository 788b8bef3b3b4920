package analysistest

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// share is what of a row falls on a day.
type share struct {
	report  *stored
	row     *analysis.Row
	day     memory.Day
	count   int64
	host    string
	service string
	label   analysis.Label
}

// shares gives what a query chooses. The caller holds the lock.
func (s *Store) shares(q *analysis.Query, yield func(*share)) {
	for i := range s.reports {
		r := &s.reports[i]
		if r.Status != analysis.StatusStored || !r.Trust.Counts() && !q.Filter.IncludeFailed || !wanted(q, r) {
			continue
		}
		for j := range r.Rows {
			row := &r.Rows[j]
			for _, part := range analysis.Spread(row.Count, r.Metadata.Begin, r.Metadata.End) {
				if !q.Filter.Has(part.Day) {
					continue
				}
				who := s.identity(row.Source, r.Day())
				one := share{report: r, row: row, day: part.Day, count: part.Count, host: who.Host, service: who.Service}
				one.label = s.label(r.Domain, who.Service, who.Host, row.Source)
				if one.matches(&q.Filter) {
					yield(&one)
				}
			}
		}
	}
}

// wanted tells whether a report may count for a query.
func wanted(q *analysis.Query, r *stored) bool {
	f := &q.Filter
	return (q.Managed == nil || slices.Contains(q.Managed, r.Domain)) && (len(f.Domain) == 0 || slices.Contains(f.Domain, r.Domain)) &&
		!slices.Contains(f.Without, r.Domain) && f.Policy.Has(r.Policy.P) && f.Reporter.Texts(r.Metadata.OrgName, r.Metadata.Email, r.AuthDomain.String())
}

// matches tells whether the filter chooses it.
func (s *share) matches(f *analysis.Filter) bool {
	r := s.row
	var spf, dkim, selectors, reasons []string
	for _, a := range r.Auth.SPF {
		spf = append(spf, a.Domain)
	}
	for _, a := range r.Auth.DKIM {
		dkim, selectors = append(dkim, a.Domain), append(selectors, a.Selector)
	}
	for _, a := range r.Auth.Reasons {
		reasons = append(reasons, string(a.Type))
	}
	return (f.Result == "" || (f.Result == analysis.ResultCompliant) == r.Compliant()) && f.Disposition.Has(r.Disposition) &&
		f.IP.Has(r.Source) && f.Service.Texts(s.service) && f.Host.Texts(s.host) && f.Label.Has(s.label) &&
		f.HeaderFrom.Texts(r.HeaderFrom) && f.EnvelopeFrom.Texts(r.EnvelopeFrom) && f.SPFDomain.Texts(spf...) &&
		f.DKIMDomain.Texts(dkim...) && f.Selector.Texts(selectors...) && f.Reason.Texts(reasons...)
}

// page cuts a sorted list: what comes after the place named by q.After.
func page[T any](q *analysis.Query, rows []T) analysis.Page[T] {
	first, _ := strconv.Atoi(q.After)
	rows = rows[min(first, len(rows)):]
	if q.Limit > 0 && len(rows) > q.Limit {
		return analysis.Page[T]{Rows: rows[:q.Limit], Next: strconv.Itoa(first + q.Limit)}
	}
	return analysis.Page[T]{Rows: rows}
}

// Overview is analysis.Figures'.
func (s *Store) Overview(_ context.Context, q analysis.Query) (analysis.Page[analysis.OverviewRow], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := map[dns.Name]*analysis.OverviewRow{}
	reporters := map[string]bool{}
	s.shares(&q, func(one *share) {
		r := rows[one.report.Domain]
		if r == nil {
			r = &analysis.OverviewRow{Domain: one.report.Domain}
			rows[r.Domain] = r
		}
		r.Add(one.count, one.row.SPF, one.row.DKIM, one.row.Disposition)
		if who := r.Domain.String() + " " + reporter(one.report); !reporters[who] {
			reporters[who] = true
			r.Reporters++
		}
		if one.report.received.After(r.LastReport) {
			r.LastReport = one.report.received
		}
	})
	var out []analysis.OverviewRow
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b analysis.OverviewRow) int {
		if x, y := a.Messages-a.Compliant, b.Messages-b.Compliant; x != y {
			return int(y - x)
		}
		return compare(a.Domain.String(), b.Domain.String())
	})
	return page(&q, out), nil
}

func reporter(r *stored) string {
	return r.Metadata.OrgName + " " + r.Metadata.Email + " " + r.AuthDomain.String()
}

// Sources is analysis.Figures'.
func (s *Store) Sources(_ context.Context, q analysis.Query, level analysis.Level) (analysis.Page[analysis.SourceRow], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := map[[3]string]*analysis.SourceRow{}
	s.shares(&q, func(one *share) {
		key := [3]string{one.service}
		if level != analysis.LevelService {
			key[1] = one.host
		}
		if level == analysis.LevelIP {
			key[2] = one.row.Source.String()
		}
		label := s.label(one.report.Domain, key[0], key[1], netip.Addr{})
		if level == analysis.LevelIP {
			label = one.label
		}
		r := rows[key]
		if r == nil {
			r = &analysis.SourceRow{Service: key[0], Host: key[1], IP: key[2], Label: label, FirstSeen: one.day, LastSeen: one.day}
			if level == analysis.LevelIP {
				r.SourceAbout = s.identity(one.row.Source, one.day).About
			}
			rows[key] = r
		}
		if r.Label != label {
			r.Label = analysis.LabelNone // they differ
		}
		r.FirstSeen, r.LastSeen = min(r.FirstSeen, one.day), max(r.LastSeen, one.day)
		r.Add(one.count, one.row.SPF, one.row.DKIM, one.row.Disposition)
	})
	var out []analysis.SourceRow
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b analysis.SourceRow) int {
		if a.Messages != b.Messages {
			return int(b.Messages - a.Messages)
		}
		return compare(a.Service+" "+a.Host+" "+a.IP, b.Service+" "+b.Host+" "+b.IP)
	})
	return page(&q, out), nil
}

// Trend is analysis.Figures'.
func (s *Store) Trend(_ context.Context, q analysis.Query) ([]analysis.TrendRow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := map[memory.Day]*analysis.TrendRow{}
	s.shares(&q, func(one *share) {
		if rows[one.day] == nil {
			rows[one.day] = &analysis.TrendRow{Day: one.day}
		}
		rows[one.day].Add(one.count, one.row.SPF, one.row.DKIM, one.row.Disposition)
	})
	var out []analysis.TrendRow
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b analysis.TrendRow) int { return int(a.Day - b.Day) })
	return out, nil
}

// Details is analysis.Figures'.
func (s *Store) Details(_ context.Context, q analysis.Query) (analysis.Page[analysis.Detail], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return page(&q, s.details(&q)), nil
}

// Export is analysis.Figures'.
func (s *Store) Export(_ context.Context, q analysis.Query, yield func(*analysis.Detail) error) error {
	s.mu.Lock()
	rows := s.details(&q)
	s.mu.Unlock()
	for i := range rows {
		if err := yield(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) details(q *analysis.Query) []analysis.Detail {
	type place struct{ report, record int64 }
	var out []analysis.Detail
	at := map[place]int{}
	s.shares(q, func(one *share) {
		key := place{one.report.id, int64(one.row.Number)}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, one.detail())
		}
		d := &out[i]
		d.Day = max(d.Day, one.day)
		d.Messages += one.count
		if one.row.Compliant() {
			d.Compliant += one.count
		}
	})
	for i := range out {
		if out[i].Messages == out[i].Of {
			out[i].Of = 0
		}
	}
	slices.SortStableFunc(out, func(a, b analysis.Detail) int { return int(b.Day - a.Day) })
	return out
}

// detail is the record of a share, without its figures.
func (s *share) detail() analysis.Detail {
	r, row := s.report, s.row
	d := analysis.Detail{
		Day: s.day, HeaderFrom: row.HeaderFrom, Reporter: r.Metadata.OrgName, Service: s.service, Host: s.host, IP: row.Source.String(),
		Disposition: row.Disposition, SPF: row.SPF, DKIM: row.DKIM, Of: row.Count, Domain: r.Domain, PolicyDomain: r.Policy.Domain, Policy: r.Policy.P,
		Label: s.label, EnvelopeFrom: row.EnvelopeFrom, NullSender: row.NullSender, EnvelopeTo: row.EnvelopeTo, Auth: *row.Auth,
		Flags: (row.Flags | r.Flags).Names(), Trust: r.Trust, Report: r.id, Record: row.Number, Begin: r.Metadata.Begin, End: r.Metadata.End,
		Reasons: []string{},
	}
	for _, reason := range row.Auth.Reasons {
		text := string(reason.Type)
		if reason.Comment != "" {
			text += ": " + reason.Comment
		}
		d.Reasons = append(d.Reasons, text)
	}
	return d
}

// Totals is analysis.Figures'.
func (s *Store) Totals(_ context.Context, q analysis.Query) (analysis.Totals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := analysis.Totals{}
	reports, reporters := map[int64]bool{}, map[string]bool{}
	s.shares(&q, func(one *share) {
		out.Messages += one.count
		reports[one.report.id], reporters[reporter(one.report)] = true, true
		if one.report.received.After(out.Newest) {
			out.Newest = one.report.received
		}
	})
	out.Reports, out.Reporters = int64(len(reports)), int64(len(reporters))
	for i := range s.reports {
		r := &s.reports[i]
		if !wanted(&q, r) || !q.Filter.Has(r.Day()) {
			continue
		}
		switch {
		case r.Status == analysis.StatusDiffers:
			out.Differs++
		case r.Status == analysis.StatusStored && !r.Trust.Counts():
			out.Failed++
		}
		if len(r.Quarantine) > 0 || r.Status == analysis.StatusRefused {
			out.Attention++
		}
	}
	return out, nil
}

// ListReports is analysis.Reports'.
func (s *Store) ListReports(_ context.Context, q analysis.ReportsQuery) (analysis.Page[analysis.Listed], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []analysis.Listed
	for i := range s.reports {
		r := &s.reports[i]
		if !wanted(&q.Query, r) || !q.Filter.Has(r.Day()) || q.Status != "" && q.Status != r.Status || q.Trust != "" && q.Trust != r.Trust ||
			q.Kind != "" && q.Kind != analysis.KindAggregate {
			continue
		}
		out = append(out, s.listed(r))
	}
	for _, it := range s.items {
		status := analysis.StatusAside
		if it.Kind == analysis.KindUnreadable || it.Kind == analysis.KindTooLarge {
			status = analysis.StatusRefused
		}
		if len(it.Reports) > 0 || q.Managed != nil || q.Status != "" && q.Status != status || q.Kind != "" && q.Kind != it.Kind {
			continue
		}
		out = append(out, analysis.Listed{
			ID: it.id, Received: it.TakenAt, Feed: it.Feed, Kind: it.Kind, Status: status, Why: it.Why, Name: it.Name, From: it.From,
			Subject: it.Subject, Raw: it.Raw != nil, Notes: []string{}, ItemNotes: report.Lines(it.Notes),
		})
	}
	slices.SortStableFunc(out, func(a, b analysis.Listed) int {
		if c := b.Received.Compare(a.Received); c != 0 {
			return c
		}
		return int(b.ID - a.ID)
	})
	return page(&q.Query, out), nil
}

func (s *Store) listed(r *stored) analysis.Listed {
	messages, compliant := r.Messages()
	out := analysis.Listed{
		ID: r.id, Received: r.received, Kind: analysis.KindAggregate, Status: r.Status, Why: r.Why, Of: r.of, Domain: r.Domain, Policy: r.Policy.Domain,
		Reporter: r.Metadata.OrgName, Email: r.Metadata.Email, ReportID: r.Metadata.ReportID, Begin: r.Metadata.Begin, End: r.Metadata.End,
		Dialect: r.Dialect, Trust: r.Trust, Auth: r.AuthDomain, Records: int64(len(r.Rows)), Messages: messages, Compliant: compliant,
		Quarantined: int64(len(r.Quarantine)), Flags: r.Flags.Names(), Raw: r.Raw != nil, Name: r.FileName,
		Notes: report.Lines(r.Notes), Error: r.Metadata.Error, SP: r.Policy.SP, NP: r.Policy.NP, PCT: r.PCT,
	}
	for _, it := range s.items {
		if it.id == r.item {
			out.Feed, out.From, out.Subject, out.ItemNotes = it.Feed, it.From, it.Subject, report.Lines(it.Notes)
		}
	}
	return out
}

// RawReport is analysis.Reports'.
func (s *Store) RawReport(_ context.Context, id int64) (analysis.Raw, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.reports {
		if r := &s.reports[i]; r.id == id {
			return r.raw(), nil
		}
	}
	for _, it := range s.items {
		if it.id == id {
			return analysis.Raw{ID: id, Name: it.Name, Mail: true, Gzip: it.Raw, Received: it.TakenAt, Digest: it.Digest, Feed: it.Feed, Origin: it.Origin}, nil
		}
	}
	return analysis.Raw{}, analysis.ErrNotFound
}

func (r *stored) raw() analysis.Raw {
	return analysis.Raw{
		ID: r.id, Name: r.FileName, Domain: r.Domain, Gzip: r.Raw, Received: r.received, Digest: r.Digest, Trust: r.Trust, Status: r.Status,
		Auth: r.AuthDomain, Recipient: r.Recipient,
	}
}

// Reporters is analysis.Reports'.
func (s *Store) Reporters(_ context.Context, q analysis.Query) (analysis.Page[analysis.ReporterRow], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := map[string]*analysis.ReporterRow{}
	for i := range s.reports {
		r := &s.reports[i]
		if !wanted(&q, r) || !q.Filter.Has(r.Day()) || r.Status != analysis.StatusStored && r.Status != analysis.StatusEmpty {
			continue
		}
		key := reporter(r) + " " + string(r.Trust)
		row := rows[key]
		if row == nil {
			row = &analysis.ReporterRow{Reporter: r.Metadata.OrgName, Email: r.Metadata.Email, Auth: r.AuthDomain, Trust: r.Trust, FirstSeen: r.received}
			rows[key] = row
		}
		messages, _ := r.Messages()
		row.Reports++
		row.Messages += messages
		if len(r.Notes) > 0 {
			row.Notes++
		}
		row.FirstSeen, row.LastSeen = earlier(row.FirstSeen, r.received), later(row.LastSeen, r.received)
	}
	var out []analysis.ReporterRow
	for _, row := range rows {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b analysis.ReporterRow) int {
		if a.Reports != b.Reports {
			return int(b.Reports - a.Reports)
		}
		return compare(strings.Join([]string{a.Reporter, a.Email, a.Auth.String()}, " "), strings.Join([]string{b.Reporter, b.Email, b.Auth.String()}, " "))
	})
	return page(&q, out), nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
