package present

import (
	"context"
	"slices"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// Readiness prints the effect of a stricter policy on a domain's mail.
func Readiness(s Streams, r *analysis.Readiness) error {
	s.Line("%s: %s in %s of reports from %s, %s to %s", r.Domain, text.Count(r.Messages, "message"),
		text.Count(int64(r.Days), "day"), text.Count(r.Reporters, "reporter"), r.Since, r.Until)
	s.Line("%s of them are forged; of the others %s would be lost (%s). Confidence: %s.", text.Number(r.Forged), text.Number(r.Lost),
		text.Percent(r.Lost, r.Messages-r.Forged), r.Confidence)
	for i := range r.Steps {
		step := &r.Steps[i]
		word := "not yet"
		switch {
		case step.InForce:
			word = "in force"
		case step.Ready:
			word = "ready"
		}
		s.Line("p=%-10s  %s", step.Policy, word)
		for _, why := range step.Because {
			s.Line("  because    %s", why)
		}
		if step.Zone != "" {
			s.Line("  publish    %s", step.Zone)
		}
	}
	if published := slices.ContainsFunc(r.Steps, func(x analysis.ReadyStep) bool { return x.Zone != "" }); published && r.RollBack != "" {
		s.Line("to go back   %s", r.RollBack)
	}
	s.Line("look again   %s", r.LookAgain)
	return readySources(s, r)
}

// readySources lists the failing sources, how to repair them, and where their mail would be lost.
func readySources(s Streams, r *analysis.Readiness) error {
	if len(r.Sources) == 0 {
		return nil
	}
	s.Line("")
	var rows [][]string
	for i := range r.Sources {
		one := &r.Sources[i]
		rows = append(rows, []string{
			one.Service, string(one.Class), text.Number(one.Failing), text.Percent(one.Failing, one.Messages), one.LastFails.String(),
		})
	}
	err := text.WriteTable(s.Out, text.Terminal, []text.Column{
		{Name: "Failing source", Least: 14}, {Name: "Taken for"}, {Name: "Failing", Right: true}, {Name: "Share", Right: true}, {Name: "Last"},
	}, rows)
	if err != nil {
		return err
	}
	for i := range r.Sources {
		s.Line("%s: %s", r.Sources[i].Service, r.Sources[i].Advice)
		if why := r.Sources[i].Why; why != "" {
			s.Line("  because    %s", why)
		}
	}
	if len(r.ReportedBy) == 0 {
		return nil
	}
	s.Line("")
	for i := range r.ReportedBy[:min(len(r.ReportedBy), 5)] {
		one := &r.ReportedBy[i]
		s.Line("lost at %s: %s (%s)", one.Reporter, text.Number(one.Failing), text.Percent(one.Failing, r.Lost))
	}
	return nil
}

// AssessReadiness assesses a domain; the answer is no if it is not ready.
func AssessReadiness(ctx context.Context, a api.Asker, domain string, asJSON bool, s Streams) error {
	r, err := api.ReadinessAssess().Ask(ctx, a, api.Lookup{Domain: domain})
	if err != nil {
		return err
	}
	if asJSON {
		err = WriteJSONLine(s, &r)
	} else {
		err = Readiness(s, &r)
	}
	if err != nil {
		return err
	}
	for i := range r.Steps {
		if step := &r.Steps[i]; !step.InForce {
			if step.Ready {
				break
			}
			return Silent(errkind.NotFound)
		}
	}
	return nil
}
