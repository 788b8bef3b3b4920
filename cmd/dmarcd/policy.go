package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
)

func policyCommand(s present.Streams) *cobra.Command {
	return group("policy", "Look at what happens to mail, and try it",
		policyShowCommand(s), policyListCommand(s), policyHistoryCommand(s), policyTestCommand(s), policySimulateCommand(s), policyImportCommand(s), policyExportCommand(s))
}

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
			return present.PastPolicy(c.Context(), conn, args[0], p.AsJSON, s)
		}
		return present.EachPage(p, s, func(after string, limit int) ([]api.PolicyUse, string, error) {
			page, err := api.PolicyHistory().Ask(c.Context(), conn, api.PolicyHistoryRequest{After: after, Limit: limit})
			return page.Uses, page.After, err
		}, func(u *api.PolicyUse) { s.Line("%s  %s  %s", u.At.UTC().Format(time.RFC3339), u.ID, u.Host) })
	}
	return c
}

func policyTestCommand(s present.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "test [FILE]",
		Short: "Try the tests of the policy: the verdicts that you expect",
		Long: `Try every entry of "tests" in the policy file and say what came of it: one line each,
with what was expected, what came, and the reason and key that decided. A reload tries
them too and does not take over a policy whose tests fail.

FILE is a policy.yaml to try instead of the one that is in use.

Exit code 0: all pass, or there are none; 1: some fail; 2: the file has a fault.`,
		Example: `  dmarcd policy test
  dmarcd policy test ./new-policy.yaml`,
		Args: arguments(0, 1, ""),
	}
	path := configFlag(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object for each test")
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := client.PolicyToTry(*path, args, s)
		if err != nil {
			return err
		}
		return present.TryPolicy(p, asJSON, s)
	}
	return c
}

// showOptions are the flags of `dmarcd policy show`.
type showOptions struct {
	config  string
	why, ip string
	asJSON  bool
}

func policyShowCommand(s present.Streams) *cobra.Command {
	o := &showOptions{}
	c := &cobra.Command{
		Use:   "show DOMAIN",
		Short: "Show the effective settings of a recipient domain, and what a sender would meet",
		Long: `Print what happens to mail for a recipient domain: its own entry or the default, with
every key filled in, as YAML. A comment says where each key comes from: file and line,
"inherited from default" where the entry says inherit: default, and "default" for
what is built in.

With --why and a From domain (or address), print instead which entries of which lists
mail from there meets, and what becomes of it for each policy that the domain may
publish and each result, with the key that decides. --ip names the client.

Exit code 0: the domain is ours; 1: it is not, and mail for it is not checked.`,
		Example: `  dmarcd policy show example.org
  dmarcd policy show example.org --why news.bank.example --ip 192.0.2.7`,
		Args: arguments(1, 1, "name a recipient domain"),
	}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.why, "why", "", "tell what mail From this domain or address would meet")
	f.StringVar(&o.ip, "ip", "", "with --why: address of the SMTP client")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.config = *path
		return policyShow(c.Context(), o, args[0], s)
	}
	return c
}

func policyShow(ctx context.Context, o *showOptions, domain string, s present.Streams) error {
	if o.ip != "" && o.why == "" {
		return usageError(errors.New("--ip needs --why: the From domain to ask about"))
	}
	config, err := lookAtSettings(o.config, s.Err)
	if err != nil {
		return err
	}
	request := api.PolicyShowRequest{Domain: domain, From: o.why, IP: o.ip, YAML: !o.asJSON && o.why == ""}
	return present.ShowPolicy(ctx, client.InForce(config), request, o.asJSON, s)
}
