package api

import (
	"context"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
)

// Bounds of a page.
const (
	defaultPage = 100
	maxPage     = 1000
)

// FiguresRequest selects what is counted, and the page.
type FiguresRequest struct {
	analysis.Criteria
	Limit int    `json:"limit,omitempty"` // 0 for 100, at most 1000
	After string `json:"after,omitempty"` // where the page before ended
}

// query converts a request, restricted to the viewer's domains.
func (s *Service) query(v Viewer, in *FiguresRequest) (analysis.Query, []analysis.Note, error) {
	if s.Received == nil {
		return analysis.Query{}, nil, missing("received reports")
	}
	filter, notes, err := in.Parse(s.Now())
	if err != nil {
		return analysis.Query{}, nil, errkind.Wrap(errkind.BadRequest, err)
	}
	q := analysis.Query{Filter: filter, Limit: in.Limit, After: in.After}
	if v.Limited() {
		q.Managed = v.Domains
	}
	q.Limit = pageLimit(q.Limit)
	return q, notes, nil
}

// SourcesRequest is a FiguresRequest for sources.
type SourcesRequest struct {
	FiguresRequest
	Level analysis.Level `json:"level,omitempty"` // service, host or ip; "" for service
}

// Sources is a page of sending sources.
type Sources struct {
	Rows  []analysis.SourceRow `json:"rows"`
	After string               `json:"after,omitempty"`
	Notes []analysis.Note      `json:"notes,omitempty"`
}

// AnalysisSources counts by sending source.
func AnalysisSources() Op[SourcesRequest, Sources] {
	return Op[SourcesRequest, Sources]{
		Name: "analysis.sources", Summary: "Compliance by sending source: email service, host or address.",
		Role: RoleViewer, Scope: ScopeDomains, Example: SourcesRequest{Level: analysis.LevelIP}, Do: sources,
	}
}

func sources(ctx context.Context, s *Service, v Viewer, in SourcesRequest) (Sources, error) {
	switch in.Level {
	case "":
		in.Level = analysis.LevelService
	case analysis.LevelService, analysis.LevelHost, analysis.LevelIP:
	default:
		return Sources{}, errkind.Errorf(errkind.BadRequest, "level: %q is none of service, host, ip", in.Level)
	}
	q, notes, err := s.query(v, &in.FiguresRequest)
	if err != nil {
		return Sources{}, err
	}
	page, err := s.Received.Sources(ctx, q, in.Level)
	for i := range page.Rows {
		s.nameService(&page.Rows[i])
		v.about(&page.Rows[i])
	}
	return Sources{Rows: append([]analysis.SourceRow{}, page.Rows...), After: page.Next, Notes: notes}, err
}

// nameService returns the name of a service if the store does not know it.
func (s *Service) nameService(row *analysis.SourceRow) {
	name, err := dns.Parse(row.Service)
	if err != nil || row.Name != "" {
		return
	}
	if known := s.services().Get(name); known != nil {
		row.Name, row.Kind = known.Label, known.Kind
	} else if analysis.ManagedBy(s.Settings()).Owner(name) == name {
		row.Kind = source.KindOwn
	}
}

// Details is a page of records.
type Details struct {
	Rows  []analysis.Detail `json:"rows"`
	After string            `json:"after,omitempty"`
	Notes []analysis.Note   `json:"notes,omitempty"`
}

// DetailsRequest is a FiguresRequest for records.
type DetailsRequest struct {
	FiguresRequest
	Language settings.Language `json:"language,omitempty"` // of the sentences; "" for English
}

// AnalysisDetails returns records, the latest day first.
func AnalysisDetails() Op[DetailsRequest, Details] {
	return Op[DetailsRequest, Details]{
		Name: "analysis.details", Summary: "The records of received reports, each told in a sentence.",
		Role: RoleViewer, Scope: ScopeDomains, Do: details,
	}
}

func details(ctx context.Context, s *Service, v Viewer, in DetailsRequest) (Details, error) {
	q, notes, err := s.query(v, &in.FiguresRequest)
	if err != nil {
		return Details{}, err
	}
	page, err := s.Received.Details(ctx, q)
	for i := range page.Rows {
		page.Rows[i].Sentence = page.Rows[i].Tell(in.Language)
	}
	return Details{Rows: append([]analysis.Detail{}, page.Rows...), After: page.Next, Notes: notes}, err
}

// AnalysisExport yields all records of AnalysisDetails, across its pages.
func AnalysisExport() Stream[DetailsRequest, analysis.Detail] {
	return Stream[DetailsRequest, analysis.Detail]{
		Name: "analysis.export", Summary: "All records of received reports that a filter chooses.",
		Role: RoleViewer, Scope: ScopeDomains,
		Do: func(ctx context.Context, s *Service, v Viewer, in DetailsRequest, yield func(*analysis.Detail) error) error {
			q, _, err := s.query(v, &in.FiguresRequest)
			if err != nil {
				return err
			}
			return s.Received.Export(ctx, q, func(d *analysis.Detail) error {
				d.Sentence = d.Tell(in.Language)
				return yield(d)
			})
		},
	}
}

// TrendRequest is a FiguresRequest for a series.
type TrendRequest struct {
	FiguresRequest
	Weekly bool `json:"weekly,omitempty"` // a row for each week, named by its Monday
}

// Trend is a series by day or week, without those that have no mail.
type Trend struct {
	Domains []dns.Name          `json:"domains"` // managed domains that it may be about
	Rows    []analysis.TrendRow `json:"rows"`
	Notes   []analysis.Note     `json:"notes,omitempty"`
}

// AnalysisTrend counts by day or week.
func AnalysisTrend() Op[TrendRequest, Trend] {
	return Op[TrendRequest, Trend]{
		Name: "analysis.trend", Summary: "Messages, compliance and dispositions by day or week.",
		Role: RoleViewer, Scope: ScopeDomains, Do: trend,
	}
}

func trend(ctx context.Context, s *Service, v Viewer, in TrendRequest) (Trend, error) {
	q, notes, err := s.query(v, &in.FiguresRequest)
	if err != nil {
		return Trend{}, err
	}
	rows, err := s.Received.Trend(ctx, q)
	if err != nil {
		return Trend{}, err
	}
	if in.Weekly {
		rows = weekly(rows)
	}
	return Trend{Rows: append([]analysis.TrendRow{}, rows...), Domains: s.chosenDomains(v, &q), Notes: notes}, nil
}

// weekly sums days to weeks, in order.
func weekly(rows []analysis.TrendRow) []analysis.TrendRow {
	var out []analysis.TrendRow
	for _, r := range rows {
		const mondayBase = 4 // 1970-01-05 was a Monday
		monday := r.Day - (r.Day-mondayBase)%7
		if r.Day < mondayBase {
			monday = mondayBase - 7
		}
		if n := len(out); n > 0 && out[n-1].Day == monday {
			out[n-1].Counts = out[n-1].Plus(r.Counts)
			continue
		}
		out = append(out, analysis.TrendRow{Day: monday, Counts: r.Counts})
	}
	return out
}

// ReportsRequest asks for received reports.
type ReportsRequest struct {
	FiguresRequest
	Status analysis.Status `json:"status,omitempty"`
	Kind   analysis.Kind   `json:"kind,omitempty"`
	Trust  analysis.Trust  `json:"trust,omitempty"`
}

// ReceivedReports is a page of received reports.
type ReceivedReports struct {
	Rows  []analysis.Listed `json:"rows"`
	After string            `json:"after,omitempty"`
	Notes []analysis.Note   `json:"notes,omitempty"`
}

// AnalysisReports lists what was received, the latest first.
func AnalysisReports() Op[ReportsRequest, ReceivedReports] {
	return Op[ReportsRequest, ReceivedReports]{
		Name: "analysis.reports", Summary: "The reports received, and what was set aside, with what became of each.",
		Role: RoleViewer, Scope: ScopeDomains, Do: receivedReports,
	}
}

func receivedReports(ctx context.Context, s *Service, v Viewer, in ReportsRequest) (ReceivedReports, error) {
	q, notes, err := s.query(v, &in.FiguresRequest)
	if err != nil {
		return ReceivedReports{}, err
	}
	page, err := s.Received.ListReports(ctx, analysis.ReportsQuery{Query: q, Status: in.Status, Kind: in.Kind, Trust: in.Trust})
	if v.Limited() { // the mail may hold others' reports
		for i := range page.Rows {
			page.Rows[i].Subject, page.Rows[i].Feed, page.Rows[i].ItemNotes = "", "", nil
		}
	}
	return ReceivedReports{Rows: append([]analysis.Listed{}, page.Rows...), After: page.Next, Notes: notes}, err
}

// Reporters is a page of reporters.
type Reporters struct {
	Rows  []analysis.ReporterRow `json:"rows"`
	After string                 `json:"after,omitempty"`
	Notes []analysis.Note        `json:"notes,omitempty"`
	Pairs []analysis.Pair        `json:"pairs,omitempty"` // decisions on reports under another name; not for limited viewers
}

// AnalysisReporters lists the reporters.
func AnalysisReporters() Op[FiguresRequest, Reporters] {
	return Op[FiguresRequest, Reporters]{
		Name: "analysis.reporters", Summary: "Who sends reports, how trustworthy, and which pairs of names were accepted.",
		Role: RoleViewer, Scope: ScopeDomains, Do: reporters,
	}
}

func reporters(ctx context.Context, s *Service, v Viewer, in FiguresRequest) (Reporters, error) {
	q, notes, err := s.query(v, &in)
	if err != nil {
		return Reporters{}, err
	}
	page, err := s.Received.Reporters(ctx, q)
	out := Reporters{Rows: append([]analysis.ReporterRow{}, page.Rows...), After: page.Next, Notes: notes}
	if err == nil && !v.Limited() {
		out.Pairs, err = s.Received.Pairs(ctx)
	}
	return out, err
}

// PairRequest decides on mail that is authenticated for one organization and reports in the name
// of another.
type PairRequest struct {
	Auth   string `json:"auth_domain"`
	Email  string `json:"email_domain"`
	Accept bool   `json:"accept"`
}

// AnalysisPair accepts or rejects a pair of names.
func AnalysisPair() Op[PairRequest, analysis.Pair] {
	return Op[PairRequest, analysis.Pair]{
		Name: "analysis.pair", Summary: "Accept, or reject, reports that are authenticated for another organization than they name.",
		Role: RoleAdmin, Scope: ScopeHost, Changes: true, Example: PairRequest{Auth: "mailer.example", Email: "reporter.example", Accept: true}, Do: setPair,
	}
}

func setPair(ctx context.Context, s *Service, v Viewer, in PairRequest) (analysis.Pair, error) {
	auth, err := dns.Parse(in.Auth)
	if err != nil {
		return analysis.Pair{}, errkind.Wrap(errkind.BadRequest, err)
	}
	email, err := dns.Parse(in.Email)
	if err != nil {
		return analysis.Pair{}, errkind.Wrap(errkind.BadRequest, err)
	}
	if s.Received == nil {
		return analysis.Pair{}, missing("received reports")
	}
	p := analysis.Pair{Auth: auth, Email: email, Accepted: in.Accept, By: v.name(), At: s.Now().UTC().Truncate(time.Second)}
	return p, s.Received.SetPair(ctx, p)
}

// name returns the viewer's name for the record.
func (v Viewer) name() string {
	if v.User == "" {
		return "command"
	}
	return v.User
}
