package analysis

import (
	"fmt"
	"slices"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// policyOrder runs from the mildest to the strictest.
var policyOrder = [...]report.Policy{report.PolicyNone, report.PolicyQuarantine, report.PolicyReject}

// steps returns the assessment of each policy, the records to publish, and when to check again.
func (f *ReadinessFacts) steps(r *Readiness) error {
	name, err := RecordName(f.Domain)
	if err != nil {
		return err
	}
	if f.Record != "" {
		r.RollBack = ZoneLine(name, f.Record)
	}
	for i := range readySteps {
		limits := &readySteps[i]
		step := ReadyStep{Policy: limits.policy, Because: f.because(r, limits)}
		step.Ready = len(step.Because) == 0
		step.InForce = slices.Index(policyOrder[:], f.Policy) >= slices.Index(policyOrder[:], limits.policy)
		p := string(limits.policy)
		made, err := GenerateRecord(f.Record, RecordChange{P: &p}, f.OurAddress, dmarc.Policy(p))
		if err != nil {
			return err
		}
		if step.Ready && !step.InForce {
			step.Record, step.Zone = made.Text, ZoneLine(name, made.Text)
		}
		r.Steps = append(r.Steps, step)
	}
	if missing := readyDays - len(f.Days); missing > 0 {
		r.LookAgain = f.To + ReadinessDelay + memory.Day(missing)
	}
	return nil
}

// because lists the reasons against a policy.
func (f *ReadinessFacts) because(r *Readiness, limits *readyLimits) []string {
	out := []string{}
	not := func(holds bool, format string, args ...any) {
		if holds {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	not(r.Days < readyDays, "reports tell of %d whole days since %s; it takes %d", r.Days, r.Since, readyDays)
	not(r.Reporters < readyReporters, "only %d reporter tells of the domain; it takes %d", r.Reporters, readyReporters)
	not(f.Record == "", "no DMARC record of the domain is known: publish one with p=none first")
	not(limits.policy == report.PolicyReject && f.Policy == report.PolicyNone, "quarantine is not in force: publish that first, and look again after %d days", readyDays)
	for i := range r.Sources {
		s := &r.Sources[i]
		name := s.Service
		if s.Name != "" {
			name = s.Name + " (" + s.Service + ")"
		}
		not(s.Class == ClassOwn && s.Failing >= fewFailing && float64(s.Failing) > limits.source*float64(s.Messages),
			"%d of %d messages from %s fail; last on %s", s.Failing, s.Messages, name, s.LastFails)
		not(s.Class == ClassUnclear && s.Failing >= fewFailing && s.Share > limits.lost, "nobody has said whether %s, from which %d messages fail, sends for the domain",
			name, s.Failing)
	}
	not(r.LostShare > limits.lost, "%.1f %% of the mail that is no forgery would be lost; at most %.1f %% may be", 100*r.LostShare, 100*limits.lost)
	return out
}
