package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
)

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
	return showPolicy(ctx, client.InForce(config), request, o.asJSON, s)
}

// showPolicy writes what a recipient domain follows or what a sender meets there.
func showPolicy(ctx context.Context, a api.Asker, request api.PolicyShowRequest, asJSON bool, s present.Streams) error {
	shown, err := api.PolicyShow().Ask(ctx, a, request)
	switch {
	case err != nil:
		return err
	case asJSON:
		err = s.JSON().Encode(shown)
	case !shown.Ours:
		s.Line("# %s is not ours: it is neither below \"domains\" nor in \"managed\"; mail for it is not checked", shown.Domain)
	case request.From == "":
		s.Line("# %s follows %s", shown.Domain, present.Follows(shown.Placed))
		_, err = fmt.Fprint(s.Out, shown.YAML)
	default:
		err = present.PrintWhy(s, &shown)
	}
	if err == nil && !shown.Ours {
		return present.Silent(errkind.NotFound)
	}
	return err
}
