package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
	"dmarcd/internal/simulate"
)

// simulateOptions are the flags of `dmarcd policy simulate`.
type simulateOptions struct {
	target       *client.Target
	since, until string
	domain       string
	examples     int
	asJSON       bool
}

func policySimulateCommand(s present.Streams) *cobra.Command {
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
		Args: arguments(1, 1, "name the policy file to simulate"),
	}
	o.target = targetFlags(c)
	f := c.Flags()
	f.StringVar(&o.since, "since", "7d", "replay messages from this time on: a duration back from now, or a date")
	f.StringVar(&o.until, "until", "", "replay messages before this time (default now)")
	f.StringVar(&o.domain, "domain", "", "show only what changes for this recipient domain")
	f.IntVar(&o.examples, "examples", 3, fmt.Sprintf("messages to show of each change, at most %d", simulate.MaxExamples))
	f.BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return policySimulate(c.Context(), o, args[0], s)
	}
	return c
}

func policySimulate(ctx context.Context, o *simulateOptions, file string, s present.Streams) error {
	span, err := api.ParseSpan(o.since, o.until, time.Now())
	if err != nil {
		return usageError(fmt.Errorf("--%w", err))
	}
	next, err := client.PolicyToSimulate(file, s)
	if err != nil {
		return err
	}
	c, err := client.Connect(ctx, o.target, s)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading only
	request := api.SimulateRequest{
		Files: api.PolicyFiles(next.Texts), Name: filepath.Base(file), Period: span.Period, Domain: o.domain, Examples: o.examples,
	}
	result, err := present.Simulated(ctx, c, request, s)
	switch {
	case err != nil:
		return err
	case o.asJSON:
		return s.JSON().Encode(present.SimulateReport{File: file, Since: span.Since, Until: span.Until, Domain: o.domain, Result: result})
	}
	return result.Print(s.Out, span.String(), filepath.Base(file))
}
