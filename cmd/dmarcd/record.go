package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/daemon"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
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
		return withRecords(c.Context(), target, false, s, func(a api.Asker) error {
			return recordLookup(c.Context(), a, args[0], asJSON, s)
		})
	}
	return c
}

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
	return answerNo()
}

// withRecords calls work with whom to ask about records: the running daemon or, where
// none runs, this process. With stored it also has what is stored of domains, as far
// as that can be had: a record can be verified without.
func withRecords(ctx context.Context, t *target, stored bool, s present.Streams, work func(api.Asker) error) error {
	c, config, err := findDaemon(ctx, t, s)
	switch {
	case err != nil:
		return err
	case c != nil:
		return errors.Join(work(c), c.Close())
	}
	lookups, err := daemon.NewLookups(config)
	if err != nil {
		return err
	}
	defer lookups.Close()
	if _, err := os.Stat(config.StateDir); stored && err == nil {
		offline, err := daemon.OpenOffline(ctx, config)
		if err == nil {
			offline.Service.DNS = lookups
			return errors.Join(work(offline), offline.Close())
		}
		fmt.Fprintf(s.Err, "What is stored of domains is left out: %v\n", err)
	}
	return work(api.Local{Viewer: api.Operator(), Service: &api.Service{
		Settings: func() *settings.Settings { return config }, DNS: lookups, Now: time.Now,
	}})
}
