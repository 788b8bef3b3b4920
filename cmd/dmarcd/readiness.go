package main

import (
	"context"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
)

func readinessCommand(s present.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "readiness DOMAIN",
		Short: "Tell what a stricter DMARC policy would do to a domain's mail",
		Long: `Tell from received reports what p=quarantine and p=reject would do: how much mail would be
lost, from which sources and at which receivers, clear forgeries apart; whether the
domain is ready, or why not; the step that mends each source; the record to publish, and
the line of a zone file that goes back.

It looks at the last 30 whole days that are at least 48 hours old, as reports trail. A
source that failed and has been compliant for 14 days counts as mended. From fewer than 14
whole days with reports no domain is ready.

Exit code 0: it is ready for the next stricter policy, or reject is in force; 1: not yet;
3: the store is away.`,
		Example: `  dmarcd readiness example.com
  dmarcd readiness example.com --json`,
		Args: cobra.ExactArgs(1),
	}
	target := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return client.WithStore(c.Context(), target, s, func(a api.Asker) error {
			return readiness(c.Context(), a, args[0], asJSON, s)
		})
	}
	return c
}

// readiness assesses a domain; the answer is no where it is not ready.
func readiness(ctx context.Context, a api.Asker, domain string, asJSON bool, s present.Streams) error {
	r, err := api.ReadinessAssess().Ask(ctx, a, api.Lookup{Domain: domain})
	if err != nil {
		return err
	}
	if asJSON {
		err = present.WriteJSONLine(s, &r)
	} else {
		err = present.Readiness(s, &r)
	}
	if err != nil {
		return err
	}
	for i := range r.Steps {
		if step := &r.Steps[i]; !step.InForce {
			if step.Ready {
				break
			}
			return present.Silent(errkind.NotFound)
		}
	}
	return nil
}
