package api

import (
	"context"
	"slices"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// Counted summarises what a filter matches.
type Counted struct {
	analysis.Totals
	Domains []dns.Name      `json:"domains"` // managed ones that it may be about
	Since   string          `json:"since"`   // first day
	Until   string          `json:"until"`   // last day
	Notes   []analysis.Note `json:"notes,omitempty"`
}

// AnalysisTotals counts what a filter matches.
func AnalysisTotals() Op[FiguresRequest, Counted] {
	return Op[FiguresRequest, Counted]{
		Name: "analysis.totals", Summary: "What a filter chooses, in a line: messages, reports, reporters, and what is not counted.",
		Role: RoleViewer, Scope: ScopeDomains,
		Do: func(ctx context.Context, s *Service, v Viewer, in FiguresRequest) (Counted, error) {
			q, notes, err := s.query(v, &in)
			if err != nil {
				return Counted{}, err
			}
			out := Counted{Domains: s.chosenDomains(v, &q), Notes: notes}
			if !q.Filter.All {
				out.Since, out.Until = q.Filter.From.String(), q.Filter.To.String()
			}
			out.Totals, err = s.Received.Totals(ctx, q)
			return out, err
		},
	}
}

// chosenDomains returns the managed domains that a query may concern, up to a page of them.
func (s *Service) chosenDomains(v Viewer, q *analysis.Query) []dns.Name {
	out := []dns.Name{}
	for _, name := range analysis.ManagedBy(s.Settings()).Names() {
		if chosen := len(q.Filter.Domain) == 0 || slices.Contains(q.Filter.Domain, name); chosen && v.Sees(name) && len(out) < maxPage {
			out = append(out, name)
		}
	}
	return out
}

// KnownRequest asks for the known DNS records.
type KnownRequest struct{}

// KnownRecords are the DMARC records of managed domains as last seen.
type KnownRecords struct {
	Records []KnownRecord `json:"records"`
}

// KnownRecord is the record of one managed domain.
type KnownRecord struct {
	analysis.Snapshot
	Policy  string   `json:"policy,omitempty"` // p
	Testing bool     `json:"testing,omitempty"`
	Ours    []string `json:"ours,omitempty"` // our addresses for reports on it, its own first
}

// RecordKnown returns the records of managed domains as the leader last saw them, without DNS
// queries.
func RecordKnown() Op[KnownRequest, KnownRecords] {
	return Op[KnownRequest, KnownRecords]{
		Name: "record.known", Summary: "The DMARC records of the managed domains, as they were seen last.",
		Role: RoleViewer, Scope: ScopeDomains, Do: knownRecords,
	}
}

func knownRecords(ctx context.Context, s *Service, v Viewer, _ KnownRequest) (KnownRecords, error) {
	if s.Received == nil {
		return KnownRecords{}, missing("received reports")
	}
	var managed []dns.Name
	if v.Limited() {
		managed = v.Domains
	}
	snapshots, err := s.Received.Snapshots(ctx, managed)
	if err != nil {
		return KnownRecords{}, err
	}
	seen := map[dns.Name]analysis.Snapshot{}
	for _, n := range snapshots {
		if n.Kind == analysis.SnapshotDMARC {
			seen[n.Domain] = n
		}
	}
	config := s.Settings()
	out := KnownRecords{Records: []KnownRecord{}}
	for _, name := range analysis.ManagedBy(config).Names() {
		if !v.Sees(name) {
			continue
		}
		k := KnownRecord{Snapshot: seen[name]}
		for _, a := range analysis.OurAddresses(config, name) {
			k.Ours = append(k.Ours, a.Address)
		}
		if k.Domain = name; k.Word == "" {
			k.Kind, k.Word = analysis.SnapshotDMARC, analysis.WordUnknown
		}
		if record, err := dmarc.ParseRecord(k.Value); err == nil {
			k.Policy, k.Testing = string(record.P), record.Testing
		}
		out.Records = append(out.Records, k)
	}
	return out, nil
}
