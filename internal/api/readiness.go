package api

import (
	"context"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
)

// ReadinessAssess assesses the effect of a stricter policy on a domain's mail.
func ReadinessAssess() Op[Lookup, analysis.Readiness] {
	return Op[Lookup, analysis.Readiness]{
		Name: "readiness", Summary: "What p=quarantine and p=reject would do to a domain's mail, by received reports, and whether it is ready.",
		Role: RoleViewer, Scope: ScopeDomains, Example: Lookup{Domain: "example.org"}, Do: readiness,
	}
}

// maxKeyHistory bounds the part of a domain's key history that is examined.
const maxKeyHistory = 1000

// services returns the map of email services.
func (s *Service) services() *source.Map {
	if s.Services == nil {
		return &source.Map{}
	}
	return s.Services()
}

func readiness(ctx context.Context, s *Service, v Viewer, in Lookup) (analysis.Readiness, error) {
	if s.Received == nil {
		return analysis.Readiness{}, missing("received reports")
	}
	domain, err := dns.Parse(in.Domain)
	if err != nil {
		return analysis.Readiness{}, errkind.Wrap(errkind.BadRequest, err)
	}
	if !v.Sees(domain) || analysis.ManagedBy(s.Settings()).Owner(domain) != domain {
		return analysis.Readiness{}, errkind.Errorf(errkind.NotFound, "there is no managed domain %s", domain)
	}
	return s.assess(ctx, domain)
}

// assess assesses a managed domain.
func (s *Service) assess(ctx context.Context, domain dns.Name) (analysis.Readiness, error) {
	f := analysis.ReadinessFacts{Domain: domain, To: today(s) - analysis.ReadinessDelay, Services: s.services(), Now: s.Now()}
	f.From = f.To - analysis.ReadinessDays + 1
	if list := analysis.OurAddresses(s.Settings(), domain); len(list) > 0 {
		f.OurAddress = list[0].Address
	}
	err := s.readinessFigures(ctx, &f)
	if err != nil {
		return analysis.Readiness{}, err
	}
	if f.Keys, err = s.Received.History(ctx, domain, analysis.SnapshotKey, maxKeyHistory); err != nil {
		return analysis.Readiness{}, err
	}
	if f.Record, err = s.publishedRecord(ctx, domain); err != nil {
		return analysis.Readiness{}, err
	}
	if record, err := dmarc.ParseRecord(f.Record); err == nil {
		f.Policy = report.Policy(record.P)
	}
	return analysis.AssessReadiness(&f)
}

// readinessFigures queries the store.
func (s *Service) readinessFigures(ctx context.Context, f *analysis.ReadinessFacts) error {
	q := analysis.Query{Filter: analysis.Filter{From: f.From, To: f.To, Domain: []dns.Name{f.Domain}}, Managed: []dns.Name{f.Domain}, Limit: maxPage}
	for ask := q; ; {
		page, err := s.Received.Sources(ctx, ask, analysis.LevelService)
		if err != nil {
			return err
		}
		f.Sources = append(f.Sources, page.Rows...)
		if ask.After = page.Next; ask.After == "" {
			break
		}
	}
	var failing analysis.FailingSums
	every := q
	every.Filter.Result = analysis.ResultNotCompliant
	err := s.Received.Export(ctx, every, func(d *analysis.Detail) error {
		failing.Add(d)
		return nil
	})
	if err != nil {
		return err
	}
	f.Failing = failing.Rows()
	days, err := s.Received.Trend(ctx, q)
	if err != nil {
		return err
	}
	for i := range days {
		f.Days = append(f.Days, days[i].Day)
	}
	overview, err := s.Received.Overview(ctx, q)
	if err != nil {
		return err
	}
	for i := range overview.Rows {
		f.Reporters += overview.Rows[i].Reporters
	}
	return nil
}

// publishedRecord returns the domain's own record as last seen, or as it is now if it was never
// looked up; "" for none.
func (s *Service) publishedRecord(ctx context.Context, domain dns.Name) (string, error) {
	seen, err := s.Received.Snapshots(ctx, []dns.Name{domain})
	if err != nil {
		return "", err
	}
	for i := range seen {
		if n := &seen[i]; n.Kind == analysis.SnapshotDMARC && n.Word != analysis.WordUnknown {
			return n.Value, nil
		}
	}
	name, err := analysis.RecordName(domain)
	if err != nil || s.DNS == nil {
		return "", err
	}
	texts, _, err := s.DNS.LookupTTL(ctx, name)
	switch {
	case err != nil && !dns.IsNone(err):
		return "", errkind.Errorf(errkind.Trouble, "the record that stands could not be looked up: %s: %s", name, analysis.DNSTrouble(err))
	case len(texts) == 1:
		return texts[0], nil
	}
	return "", nil
}
