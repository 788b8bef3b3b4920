package main

import (
	"context"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
)

func policyListCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the domain entries with their modes and what differs from the default",
		Long: `List every domain entry of the policy in alphabetical order: its mode, where it stands,
and each key whose value is not that of "default".

Exit code 0: listed, if there are any.`,
		Example: `  dmarcd policy list
  dmarcd policy list --json --limit 1000`,
		Args: noArguments(),
	}
	path, p := configFlag(c), pageFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return policyList(c.Context(), *path, p, s) }
	return c
}

func policyList(ctx context.Context, path string, p *present.Page, s present.Streams) error {
	config, err := lookAtSettings(path, s.Err)
	if err != nil {
		return err
	}
	return present.EachPage(p, s, func(after string, limit int) ([]api.PolicyEntry, string, error) {
		page, err := api.PolicyList().Ask(ctx, client.InForce(config), api.PolicyListRequest{After: after, Limit: limit})
		return page.Entries, page.After, err
	}, func(e *api.PolicyEntry) { present.PolicyEntry(s, e) })
}
