package api

import (
	"context"

	"dmarcd/internal/report/analysis"
)

// maxLedgerReports bounds the reports in one ledger, the latest first.
const maxLedgerReports = 200_000

// Ledger describes how each reporter reports.
type Ledger struct {
	Rows  []analysis.LedgerRow `json:"rows"`
	Notes []analysis.Note      `json:"notes,omitempty"`
}

// AnalysisLedger describes how each reporter reports.
func AnalysisLedger() Op[FiguresRequest, Ledger] {
	return Op[FiguresRequest, Ledger]{
		Name: "analysis.ledger", Summary: "How each reporter reports: share of messages, delay, gaps, repeats, repairs, contradictions, trust and form.",
		Role: RoleViewer, Scope: ScopeDomains, Do: ledger,
	}
}

func ledger(ctx context.Context, s *Service, v Viewer, in FiguresRequest) (Ledger, error) {
	q, notes, err := s.query(v, &in)
	if err != nil {
		return Ledger{}, err
	}
	q.Limit, q.After = maxPage, ""
	var sums analysis.LedgerSums
	for n := 0; n < maxLedgerReports; n += maxPage {
		page, err := s.Received.ListReports(ctx, analysis.ReportsQuery{Query: q})
		if err != nil {
			return Ledger{}, err
		}
		for i := range page.Rows {
			sums.Add(&page.Rows[i])
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	q.After = ""
	err = s.Received.Export(ctx, q, func(d *analysis.Detail) error {
		sums.AddRecord(d)
		return nil
	})
	if err != nil {
		return Ledger{}, err
	}
	out := Ledger{Rows: sums.Rows(), Notes: notes}
	return out, s.repairs(ctx, q, out.Rows)
}

// repairs sets how many reports needed repair.
func (s *Service) repairs(ctx context.Context, q analysis.Query, rows []analysis.LedgerRow) error {
	type key struct{ reporter, email, auth string }
	notes := map[key]int64{}
	for {
		page, err := s.Received.Reporters(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			r := &page.Rows[i]
			notes[key{r.Reporter, r.Email, r.Auth.String()}] += r.Notes
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	for i := range rows {
		r := &rows[i]
		r.Repaired = notes[key{r.Reporter, r.Email, r.Auth.String()}]
	}
	return nil
}
