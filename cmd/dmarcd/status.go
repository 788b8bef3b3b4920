package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
)

func statusCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the running daemon is doing",
		Long: `Show what the running daemon is doing: its version and since when it runs, which files
are in force and since when, the faults of the files on disk, the keys that changed and
wait for a restart, its sockets, store, journal and reports, whether it leads, the mail that is held, the recipients that are not ours,
and the relays whose clients could or could not be read.

Exit code 0: a daemon answers; 3: none does.`,
		Example: `  dmarcd status
  dmarcd status --json | jq .faults`,
		Args: noArguments(),
	}
	t := targetFlags(c)
	asJSON := c.Flags().Bool("json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error { return showStatus(c.Context(), t, *asJSON, s) }
	return c
}

func showStatus(ctx context.Context, t *client.Target, asJSON bool, s present.Streams) error {
	c, err := client.Dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading only
	status, err := api.DaemonStatus().Ask(ctx, c, api.StatusRequest{})
	switch {
	case err != nil:
		return err
	case asJSON:
		return s.JSON().Encode(status)
	}
	present.Status(s, &status, time.Now())
	return nil
}
