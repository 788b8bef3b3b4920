package api

import (
	"context"
	"fmt"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/settings"
	"dmarcd/internal/simulate"
)

// PolicyFile is a file of a policy: the first of a list is the policy itself, the others are those
// that it names.
type PolicyFile struct {
	Path string `json:"path"` // whole
	Text string `json:"text"`
}

// PolicyFiles returns the files of a policy.
func PolicyFiles(texts []settings.Text) []PolicyFile {
	var out []PolicyFile
	for _, t := range texts {
		out = append(out, PolicyFile{Path: t.Path, Text: string(t.Data)})
	}
	return out
}

// policyTexts is the inverse of PolicyFiles.
func policyTexts(files []PolicyFile) []settings.Text {
	var out []settings.Text
	for _, f := range files {
		out = append(out, settings.Text{Path: f.Path, Data: []byte(f.Text)})
	}
	return out
}

// SimulateRequest asks what another policy would have done.
type SimulateRequest struct {
	Files []PolicyFile `json:"files"`
	Name  string       `json:"name,omitempty"` // what the policy is called in notes
	Period
	Domain   string `json:"domain,omitempty"`   // only what changes for this recipient domain
	Examples int    `json:"examples,omitempty"` // messages to show of each change, at most simulate.MaxExamples
}

// SimulateStep reports the progress of a replay, and finally its result.
type SimulateStep struct {
	Read   int64            `json:"read"`
	Total  int64            `json:"total,omitempty"` // about; 0 where it is not known
	Result *simulate.Result `json:"result,omitempty"`
}

// PolicySimulate replays the remembered verdicts of a period against another policy. The
// last value has the result.
func PolicySimulate() Stream[SimulateRequest, SimulateStep] {
	return Stream[SimulateRequest, SimulateStep]{
		Name: "policy.simulate", Summary: "What another policy would have done with the mail of a period.",
		Role: RoleViewer, Scope: ScopeHost, Large: true,
		Example: SimulateRequest{Files: []PolicyFile{{Path: "/etc/dmarcd/new.yaml", Text: "mode: monitor\n"}}},
		Do:      simulatePolicy,
	}
}

func simulatePolicy(ctx context.Context, s *Service, _ Viewer, in SimulateRequest, yield func(*SimulateStep) error) error {
	if s.Memory == nil {
		return missing("memory of mail")
	}
	var domain dns.Name
	if in.Domain != "" {
		var err error
		if domain, err = dns.Parse(in.Domain); err != nil {
			return errkind.Errorf(errkind.BadRequest, "domain: %w", err)
		}
	}
	if in.Examples < 0 || in.Examples > simulate.MaxExamples {
		return errkind.Errorf(errkind.BadRequest, "examples: expected 0 to %d", simulate.MaxExamples)
	}
	next, _, err := settings.LoadTexts(policyTexts(in.Files))
	if err != nil {
		return errkind.Wrap(errkind.WrongUse, err)
	}
	step := SimulateStep{}
	if step.Total, err = s.Memory.Count(ctx, in.Since, in.Until); err != nil {
		return err
	}
	config := s.Settings()
	replay := simulate.New(simulate.Options{
		New: next, Current: &config.Policy, PSL: config.Discovery == settings.DiscoveryPSL,
		Domain: domain, Examples: in.Examples, Name: in.Name,
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = replay.Run(ctx, s.Memory, in.Since, in.Until, func(read int64) {
		step.Read = read
		if err := yield(&step); err != nil {
			cancel(err)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	step.Result = replay.Result()
	step.Result.Notes = append(step.Result.Notes, retentionNotes(in.Period, config.Retention.Messages, s.Now())...)
	return yield(&step)
}

// retentionNotes states that part of the requested period is no longer stored.
func retentionNotes(p Period, kept time.Duration, now time.Time) []string {
	if kept <= 0 || !p.Since.Before(now.Add(-kept)) {
		return nil
	}
	return []string{fmt.Sprintf("messages are remembered for %s (retention.messages), and older ones were asked for", spelled(kept, kept.String()))}
}
