package main

import (
	"context"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
	"dmarcd/internal/text"
)

func analysisFeedsCommand(s present.Streams) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "feeds",
		Short: "The ways in of reports: last run, last error, backlog",
		Long: `List the feeds that reports come in by, on every host: the milter, LMTP, IMAP, the watched
folder, and what admins gave. Exit code 0, also where a feed fails.`,
		Example: `  dmarcd analysis feeds --json`,
		Args:    cobra.NoArgs,
	}
	t := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return client.WithStore(c.Context(), t, s, func(a api.Asker) error {
			found, err := api.AnalysisFeeds().Ask(c.Context(), a, api.FeedsRequest{})
			if err != nil {
				return err
			}
			return present.Feeds(s, &found, asJSON)
		})
	}
	return c
}

func analysisReprocessCommand(s present.Streams) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "reprocess",
		Short: "Read reports again that an older version has read, or that are ours by now",
		Long: `Read again what is kept as received and was read by an older version of dmarcd: reports, and
mails and files in which a report could not be read. What is read now takes the place of
what was read then, and figures follow. Reports that were set aside are taken in where
their domain is managed by now.

Exit code 0, also where some cannot be read any more: those stay as they were.`,
		Example: `  dmarcd analysis reprocess`,
		Args:    cobra.NoArgs,
	}
	t := targetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := client.Connect(c.Context(), t, s)
		if err != nil {
			return err
		}
		defer a.Close() //nolint:errcheck // what was read is stored
		if a.Offline != nil {
			a.Offline.UseIntake()
		}
		return reprocess(c.Context(), a, asJSON, s)
	}
	return c
}

// reprocess reads reports again until none is left, and tells how many changed.
func reprocess(ctx context.Context, a api.Asker, asJSON bool, s present.Streams) error {
	var sum api.Reprocessed
	for {
		got, err := api.AnalysisReprocess().Ask(ctx, a, api.ReprocessRequest{After: sum.After})
		if err != nil {
			return err
		}
		sum.Read += got.Read
		sum.Changed += got.Changed
		sum.Failed += got.Failed
		if sum.After = got.After; got.After == 0 {
			break
		}
	}
	if asJSON {
		return present.WriteJSONLine(s, &sum)
	}
	s.Line("%s read again, %s differently; %s cannot be read any more.", text.Count(sum.Read, "report"), text.Number(sum.Changed), text.Number(sum.Failed))
	return nil
}
