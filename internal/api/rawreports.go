package api

import (
	"context"
	"errors"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
)

// RawRequest names reports as received, or items without any.
type RawRequest struct {
	IDs []int64 `json:"ids"` // at most 10
}

// maxRaw bounds the reports of one request.
const maxRaw = 10

// RawReports are originals as received.
type RawReports struct {
	Reports []RawReport `json:"reports"` // those that there are, and that the viewer may see
}

// RawReport is an original: the XML of a report or, for an item, the whole mail or file, which only
// admins of all domains may see.
type RawReport struct {
	ID       int64          `json:"id"`
	Name     string         `json:"name"`
	Mail     bool           `json:"mail,omitempty"`
	Domain   dns.Name       `json:"domain,omitzero"`
	Trust    analysis.Trust `json:"trust,omitempty"`
	Received time.Time      `json:"received"`
	Gzip     []byte         `json:"gzip,omitempty"` // compressed; empty where it is not kept any more
}

// AnalysisRaw returns reports as they were received.
func AnalysisRaw() Op[RawRequest, RawReports] {
	return Op[RawRequest, RawReports]{
		Name: "analysis.raw", Summary: "Reports as they were received, compressed.",
		Role: RoleViewer, Scope: ScopeDomains, Example: RawRequest{IDs: []int64{2, 4}}, Do: rawReports,
	}
}

func rawReports(ctx context.Context, s *Service, v Viewer, in RawRequest) (RawReports, error) {
	switch {
	case s.Received == nil:
		return RawReports{}, missing("received reports")
	case len(in.IDs) == 0 || len(in.IDs) > maxRaw:
		return RawReports{}, errkind.Errorf(errkind.BadRequest, "name 1 to %d reports by their numbers", maxRaw)
	}
	var out RawReports
	for _, id := range in.IDs {
		raw, err := s.Received.RawReport(ctx, id)
		switch {
		case errors.Is(err, analysis.ErrNotFound):
			continue
		case err != nil:
			return RawReports{}, err
		case raw.Mail && (v.Limited() || v.Role != RoleAdmin), raw.Domain.IsZero() && v.Limited(), !raw.Domain.IsZero() && !v.Sees(raw.Domain):
			continue
		}
		out.Reports = append(out.Reports, RawReport{
			ID: raw.ID, Name: raw.Name, Mail: raw.Mail, Domain: raw.Domain, Trust: raw.Trust, Received: raw.Received, Gzip: raw.Gzip,
		})
	}
	if len(out.Reports) == 0 {
		return RawReports{}, errkind.Errorf(errkind.NotFound, "no report has that number; \"dmarcd analysis reports\" lists them")
	}
	return out, nil
}
