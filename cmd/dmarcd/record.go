package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/daemon"
	"dmarcd/internal/dns"
	"dmarcd/internal/settings"
)

func recordCommand(s streams) *cobra.Command {
	return group("record", "Look DMARC records up", recordLookupCommand(s))
}

func recordLookupCommand(s streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "lookup DOMAIN",
		Short: "Show which DMARC record governs mail From a domain, and why",
		Long: `Walk the DNS tree from a domain (RFC 9989 section 4.10) and print every name asked,
the record that governs mail From it, the policy that follows, and the organizational
domain.

Exit code 0: a record applies; 1: none does; 3: DNS trouble.`,
		Example: `  dmarcd record lookup example.com
  dmarcd record lookup --json news.example.com`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		config, err := loadSettings(*path, s.err)
		if err != nil {
			return err
		}
		return recordLookup(c.Context(), config, args[0], asJSON, s)
	}
	return c
}

func recordLookup(ctx context.Context, config *settings.Settings, domain string, asJSON bool, s streams) error {
	name, err := dns.Parse(domain)
	if err != nil {
		return usageError(err)
	}
	client, err := daemon.NewResolver(config)
	if err != nil {
		return usageError(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, config.Resolver.Budget)
	defer cancel()
	discoverer := dmarc.Discoverer{Resolver: client, PSL: config.Discovery == settings.DiscoveryPSL}
	discovery := discoverer.Begin(ctx, name)
	defer discovery.Close()
	discovery.Wait() // a lookup shows the whole walk, needed for a result or not
	result := discovery.Evaluate(nil)

	report := newDMARCReport(&result)
	report.Result = lookupWord(&result)
	report.From = []string{name.String()}
	if err := writeReport(s, report, asJSON); err != nil {
		return err
	}
	switch {
	case result.Record != nil:
		return nil
	case result.Status == dmarc.TempError:
		return troubleError(fmt.Errorf("%s: DNS trouble, nothing can be said now", name))
	}
	return answerNo()
}

// lookupWord says what was found: the result of an evaluation without
// identifiers would read as a failure.
func lookupWord(r *dmarc.Result) string {
	switch {
	case r.Record != nil:
		return "found"
	case r.Status == dmarc.TempError:
		return string(dmarc.TempError)
	}
	return "none"
}
