package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/client"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
)

func recordCommand(s present.Streams) *cobra.Command {
	return group("record", "The DMARC records of domains: look up, generate, verify",
		recordLookupCommand(s), recordGenerateCommand(s), recordVerifyCommand(s))
}

func recordLookupCommand(s present.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "lookup DOMAIN",
		Short: "Show which DMARC record governs mail From a domain, and why",
		Long: `Walk the DNS tree from a domain (RFC 9989 section 4.10) and print every name asked,
the record that governs mail From it, the policy that follows, and the organizational
domain. Nothing is taken from a cache of dmarcd.

Exit code 0: a record applies; 1: none does; 3: DNS trouble.`,
		Example: `  dmarcd record lookup example.com
  dmarcd record lookup --json news.example.com`,
		Args: arguments(1, 1, "name a domain"),
	}
	target := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		return client.WithRecords(c.Context(), target, false, s, func(a api.Asker) error {
			return recordLookup(c.Context(), a, args[0], asJSON, s)
		})
	}
	return c
}

// recordLookup asks for the record that governs a domain, and writes it.
func recordLookup(ctx context.Context, a api.Asker, domain string, asJSON bool, s present.Streams) error {
	found, err := api.RecordLookup().Ask(ctx, a, api.Lookup{Domain: domain})
	if err != nil {
		return err
	}
	if asJSON {
		err = present.WriteJSONLine(s, found)
	} else {
		present.FoundRecord(s, &found)
	}
	switch {
	case err != nil:
		return err
	case found.Record != "":
		return nil
	case found.Result == string(dmarc.TempError):
		return troubleError(fmt.Errorf("%s: DNS trouble, nothing can be said now", found.Domain))
	}
	return present.Silent(errkind.NotFound)
}
