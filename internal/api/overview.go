package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// Overview is a page of compliance by managed domain.
type Overview struct {
	Rows         []analysis.OverviewRow `json:"rows"`
	After        string                 `json:"after,omitempty"`
	Totals       analysis.Totals        `json:"totals"`
	NotReporting []NotReporting         `json:"not_reporting"` // with the last page
	Records      []DomainRecords        `json:"records"`       // of the domains of this page, as far as they were looked up
	Notes        []analysis.Note        `json:"notes,omitempty"`
}

// NotReporting is a managed domain whose reports do not come to us.
type NotReporting struct {
	Domain dns.Name      `json:"domain"`
	Result analysis.Word `json:"result"` // missing or broken; unknown where it was not looked up yet
	Why    string        `json:"why,omitempty"`
}

// DomainRecords are the DNS records of a managed domain as the leader last saw them.
type DomainRecords struct {
	Domain dns.Name      `json:"domain"`
	DMARC  RecordState   `json:"dmarc"`
	SPF    RecordState   `json:"spf"`
	Keys   []RecordState `json:"keys"` // of the DKIM selectors in use, by name
}

// RecordState is the state of a record.
type RecordState struct {
	Name   string        `json:"name,omitempty"` // asked
	Result analysis.Word `json:"result"`         // unknown where it was not looked up yet
	Text   string        `json:"text,omitempty"` // for people
}

// AnalysisOverview counts by managed domain.
func AnalysisOverview() Op[FiguresRequest, Overview] {
	return Op[FiguresRequest, Overview]{
		Name: "analysis.overview", Summary: "Compliance of mail from each managed domain, by the reports received.",
		Role: RoleViewer, Scope: ScopeDomains, Do: overview,
	}
}

// idle marks the part of an overview with domains without reports.
const idle = "idle:"

func overview(ctx context.Context, s *Service, v Viewer, in FiguresRequest) (Overview, error) {
	q, notes, err := s.query(v, &in)
	if err != nil {
		return Overview{}, err
	}
	out := Overview{Rows: []analysis.OverviewRow{}, NotReporting: []NotReporting{}, Records: []DomainRecords{}, Notes: notes}
	snapshots, err := s.Received.Snapshots(ctx, q.Managed)
	if err != nil {
		return Overview{}, err
	}
	records := recordsOf(snapshots, s.Settings().Analysis.Poll)
	if out.Totals, err = s.Received.Totals(ctx, q); err != nil {
		return Overview{}, err
	}
	if !strings.HasPrefix(q.After, idle) {
		page, err := s.Received.Overview(ctx, q)
		if err != nil {
			return Overview{}, err
		}
		out.Rows = append(out.Rows, page.Rows...)
		if out.After = page.Next; out.After != "" {
			out.addRecords(records)
			return out, nil
		}
	}
	if err := s.withoutReports(ctx, v, &q, records, &out); err != nil {
		return Overview{}, err
	}
	out.addRecords(records)
	return out, nil
}

// addRecords adds the known records of the page's domains.
func (o *Overview) addRecords(records map[dns.Name]*DomainRecords) {
	names := make([]dns.Name, 0, len(o.Rows)+len(o.NotReporting))
	for i := range o.Rows {
		names = append(names, o.Rows[i].Domain)
	}
	for i := range o.NotReporting {
		names = append(names, o.NotReporting[i].Domain)
	}
	for _, name := range names {
		if r := records[name]; r != nil {
			o.Records = append(o.Records, *r)
			delete(records, name) // a domain with reports may be among those that do not report now
		}
	}
}

// recordsOf groups snapshots by domain. It omits keys that were not looked up in the last rounds,
// because they are no longer in use.
func recordsOf(snapshots []analysis.Snapshot, poll time.Duration) map[dns.Name]*DomainRecords {
	const rounds = 4 // that may fail to look one up
	last := map[dns.Name]time.Time{}
	for i := range snapshots {
		if n := &snapshots[i]; n.Last.After(last[n.Domain]) {
			last[n.Domain] = n.Last
		}
	}
	out := map[dns.Name]*DomainRecords{}
	for i := range snapshots {
		n := &snapshots[i]
		r := out[n.Domain]
		if r == nil {
			none := RecordState{Result: analysis.WordUnknown}
			r = &DomainRecords{Domain: n.Domain, DMARC: none, SPF: none, Keys: []RecordState{}}
			out[n.Domain] = r
		}
		one := RecordState{Name: n.Name, Result: n.Word, Text: n.Detail}
		switch n.Kind {
		case analysis.SnapshotDMARC:
			r.DMARC = one
		case analysis.SnapshotSPF:
			r.SPF = one
		case analysis.SnapshotKey:
			if last[n.Domain].Sub(n.Last) <= rounds*poll {
				r.Keys = append(r.Keys, one)
			}
		}
	}
	return out
}

// withoutReports adds the managed domains without reports in the period: with zero figures if
// their record names us, otherwise in a list of their own.
func (s *Service) withoutReports(ctx context.Context, v Viewer, q *analysis.Query, records map[dns.Name]*DomainRecords, out *Overview) error {
	everything := *q
	everything.After, everything.Limit = "", 0
	everything.Filter = analysis.Filter{From: q.Filter.From, To: q.Filter.To, All: q.Filter.All, Domain: q.Filter.Domain, Without: q.Filter.Without}
	counted, err := s.Received.Overview(ctx, everything)
	if err != nil {
		return err
	}
	has := map[dns.Name]bool{}
	for _, r := range counted.Rows {
		has[r.Domain] = true
	}
	first := strings.TrimPrefix(q.After, idle)
	for _, name := range analysis.ManagedBy(s.Settings()).Names() {
		if !v.Sees(name) || len(q.Filter.Domain) > 0 && !slices.Contains(q.Filter.Domain, name) || slices.Contains(q.Filter.Without, name) {
			continue
		}
		now := RecordState{Result: analysis.WordUnknown}
		if r := records[name]; r != nil {
			now = r.DMARC
		}
		switch {
		case has[name] && (now.Result == analysis.WordInEffect || now.Result == analysis.WordUnknown):
		case now.Result == analysis.WordInEffect:
			if name.String() <= first {
				continue
			}
			if len(out.Rows) >= q.Limit {
				out.After, out.NotReporting = idle+first, []NotReporting{}
				return nil
			}
			first = name.String()
			out.Rows = append(out.Rows, analysis.OverviewRow{Domain: name})
		case len(out.NotReporting) < maxPage:
			out.NotReporting = append(out.NotReporting, NotReporting{Domain: name, Result: now.Result, Why: now.Text})
		}
	}
	return nil
}
