package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/settings"
	"dmarcd/internal/simulate"
)

// simulateOptions are the flags of `dmarcd policy simulate`.
type simulateOptions struct {
	config       string
	since, until string
	domain       string
	examples     int
	asJSON       bool
}

func policySimulateCommand(s streams) *cobra.Command {
	o := &simulateOptions{}
	c := &cobra.Command{
		Use:   "simulate NEW.yaml",
		Short: "Show what another policy would have done with the mail of the last days",
		Long: `Replay the remembered verdicts against NEW.yaml, a policy file that is not in force
yet, and show which mail would be treated otherwise: by recipient domain, with the key
and line of NEW.yaml that decides, by From domain, by source, and with examples. List
files are looked for beside NEW.yaml. Nothing is changed, and no DNS is asked.

Treated otherwise means another action, or another kind of quarantine. What is stamped
on mail, tagged, notified, replied or reported is not compared. What a replay cannot
know is told at the end, where it matters.

Times are durations back from now (7d, 36h), dates (2026-11-20, which is 00:00 UTC) or
RFC 3339. Records are kept for retention.messages.

Exit code 0: replayed, whether something would change or not ("changed" in the JSON
tells); 2: NEW.yaml has a fault, or one of its tests fails; 3: what is remembered
cannot be read.`,
		Example: `  dmarcd policy simulate ./new-policy.yaml
  dmarcd policy simulate ./new-policy.yaml --since 36h --domain example.org --examples 10
  dmarcd policy simulate ./new-policy.yaml --since 2026-11-01 --until 2026-11-08 --json | jq .changed`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.since, "since", "7d", "replay messages from this time on: a duration back from now, or a date")
	f.StringVar(&o.until, "until", "", "replay messages before this time (default now)")
	f.StringVar(&o.domain, "domain", "", "show only what changes for this recipient domain")
	f.IntVar(&o.examples, "examples", 3, fmt.Sprintf("messages to show of each change, at most %d", simulate.MaxExamples))
	f.BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.config = *path
		return policySimulate(c.Context(), o, args[0], s)
	}
	return c
}

func policySimulate(ctx context.Context, o *simulateOptions, file string, s streams) error {
	span, err := newSpan(o.since, o.until, time.Now())
	if err != nil {
		return usageError(err)
	}
	if o.examples < 0 || o.examples > simulate.MaxExamples {
		return usageError(fmt.Errorf("--examples is from 0 to %d", simulate.MaxExamples))
	}
	var domain dns.Name
	if o.domain != "" {
		if domain, err = dns.Parse(o.domain); err != nil {
			return usageError(fmt.Errorf("--domain: %w", err))
		}
	}
	next, err := policyToSimulate(file, s)
	if err != nil {
		return err
	}
	config, err := lookAtSettings(o.config, s.err)
	if err != nil {
		return err
	}
	c, err := connect(ctx, config)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading only
	replay := simulate.New(simulate.Options{
		New: next, Current: &config.Policy, PSL: config.Discovery == settings.DiscoveryPSL,
		Domain: domain, Examples: o.examples, Name: filepath.Base(file),
	})
	if err := replayAll(ctx, replay, askedRecords{c}, span, s); err != nil {
		return err
	}
	report := simulateReport{File: file, Since: span.since, Until: span.until, Domain: o.domain, Result: replay.Result()}
	report.noteRetention(span, config.Retention.Messages)
	if o.asJSON {
		err = s.json().Encode(report)
	} else {
		err = report.Print(s.out, span.String(), filepath.Base(file))
	}
	if err != nil {
		return troubleError(err)
	}
	return nil
}

// policyToSimulate reads a policy as `config check` does.
func policyToSimulate(file string, s streams) (*settings.Policy, error) {
	p, warnings, err := settings.LoadPolicy(file)
	for _, w := range warnings {
		fmt.Fprintf(s.err, "warning: %s\n", w)
	}
	if err == nil {
		return p, nil
	}
	var faults settings.Faults
	if !errors.As(err, &faults) {
		return nil, usageError(err)
	}
	for _, f := range faults {
		fmt.Fprintf(s.err, "%s\n", f)
	}
	return nil, &exitError{exitUsage}
}

// askedRecords is what is remembered, as a replay needs it.
type askedRecords struct{ ask api.Asker }

// Records is simulate.Source's.
func (r askedRecords) Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	return api.MessagesRecords().Each(ctx, r.ask, api.Period{Since: since, Until: until}, func(r *api.Record) error { return yield(r.Record) })
}

// replayAll replays a span of time, and shows how far it is on a terminal.
func replayAll(ctx context.Context, r *simulate.Replay, source askedRecords, span span, s streams) error {
	bar := newProgress(s.below().err, "messages replayed")
	var tell func(int64)
	if bar != nil {
		total, err := api.MessagesCount().Ask(ctx, source.ask, api.Period{Since: span.since, Until: span.until})
		if err != nil {
			return err
		}
		bar.begin(total.Count, time.Now())
		defer bar.clear()
		tell = func(done int64) { bar.show(done, time.Now()) }
	}
	return r.Run(ctx, source, span.since, span.until, tell)
}

// simulateReport is what `dmarcd policy simulate` tells.
type simulateReport struct {
	File   string    `json:"file"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Domain string    `json:"domain,omitempty"`
	*simulate.Result
}

// noteRetention says that older messages than were asked for are not kept.
func (r *simulateReport) noteRetention(s span, kept time.Duration) {
	if kept > 0 && s.since.Before(s.now.Add(-kept)) {
		r.Notes = append(r.Notes, fmt.Sprintf("messages are remembered for %s (retention.messages), and older ones were asked for", spelled(kept, kept.String())))
	}
}
