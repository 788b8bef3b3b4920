package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/dns"
	"dmarcd/internal/settings"
)

func policyCommand(s streams) *cobra.Command {
	return group("policy", "Look at what happens to mail", policyShowCommand(s))
}

func policyShowCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "show DOMAIN",
		Short: "Show the effective settings of a recipient domain",
		Long: `Print what happens to mail for a recipient domain: its own entry or the default, with
every key filled in, as YAML.

Exit code 0: the domain is ours; 1: it is not, and mail for it is left alone.`,
		Example: `  dmarcd policy show example.org`,
		Args:    cobra.ExactArgs(1),
	}
	path := configFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		config, err := findConfiguration(*path).loadOrExplain(s.err)
		if err != nil {
			return err
		}
		name, err := dns.Parse(args[0])
		if err != nil {
			return usageError(err)
		}
		rules, ours := config.Policy.RulesFor(name)
		if !ours {
			fmt.Fprintf(s.out, "# %s is not ours: it is neither below \"domains\" nor in \"managed\"; mail for it is left alone\n", name)
			return answerNo()
		}
		place := "the built-in default"
		if at := config.Policy.PlaceOf(name); at.File != "" {
			place = fmt.Sprintf("%s:%d", at.File, at.Line)
		}
		fmt.Fprintf(s.out, "# %s follows %s\n", name, place)
		return settings.ShowRules(s.out, rules)
	}
	return c
}
