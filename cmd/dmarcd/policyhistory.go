package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
)

func policyHistoryCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "history [ID]",
		Short: "List the policies that were in force, or print one of them",
		Long: `List the policies that were in force, newest first: since when, on which host, and by which
id. With an ID, or the beginning of one, print the text of that policy's files as they
stood then.

Exit code 0: listed, if there are any; 1: there is no such policy; 3: the store cannot be read.`,
		Example: `  dmarcd policy history
  dmarcd policy history 3f2a91c0`,
		Args: arguments(0, 1, ""),
	}
	t, p := targetFlags(c), pageFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		conn, err := client.Connect(c.Context(), t, s)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // opened for reading only
		if len(args) == 1 {
			return printPolicy(c.Context(), conn, args[0], p.AsJSON, s)
		}
		return present.EachPage(p, s, func(after string, limit int) ([]api.PolicyUse, string, error) {
			page, err := api.PolicyHistory().Ask(c.Context(), conn, api.PolicyHistoryRequest{After: after, Limit: limit})
			return page.Uses, page.After, err
		}, func(u *api.PolicyUse) { s.Line("%s  %s  %s", u.At.UTC().Format(time.RFC3339), u.ID, u.Host) })
	}
	return c
}

// printPolicy writes the files of a policy that was in force.
func printPolicy(ctx context.Context, c api.Asker, id string, asJSON bool, s present.Streams) error {
	found, err := api.PolicyHistory().Ask(ctx, c, api.PolicyHistoryRequest{ID: id})
	if err != nil {
		return err
	}
	for i := range found.Files {
		if asJSON {
			if err := present.WriteJSONLine(s, &found.Files[i]); err != nil {
				return err
			}
			continue
		}
		s.Line("# %s", found.Files[i].Path)
		if _, err := fmt.Fprint(s.File(), found.Files[i].Text); err != nil {
			return err
		}
	}
	return nil
}
