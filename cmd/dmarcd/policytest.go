package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/client"
	"dmarcd/internal/daemon"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

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
		p, err := policyToTry(*path, args, s)
		if err != nil {
			return err
		}
		return policyTest(p, asJSON, s)
	}
	return c
}

// policyToTry is the policy of the file named, else that of the configuration.
func policyToTry(config string, args []string, s present.Streams) (*settings.Policy, error) {
	if len(args) == 0 {
		loaded, _, err := daemon.FindSource(config).Read() // that of the disk, not what is in force
		if err != nil {
			return nil, client.ExplainFaults(s.Err, err)
		}
		return &loaded.Policy, nil
	}
	if config != "" {
		return nil, usageError(fmt.Errorf("either -c or FILE: -c names a dmarcd.yaml whose policy is tried, FILE a policy"))
	}
	p, _, err := settings.ReadPolicy(args[0])
	if err != nil {
		return nil, client.ExplainFaults(s.Err, err)
	}
	return p, nil
}

// policyTest tries the tests of a policy, and writes what came of each.
func policyTest(p *settings.Policy, asJSON bool, s present.Streams) error {
	failed, trials := 0, p.Try()
	out := s.JSON()
	for _, t := range trials {
		if !t.Passed() {
			failed++
		}
		if !asJSON {
			present.Trial(s, &t)
			continue
		}
		if err := out.Encode(present.NewTrialReport(&t)); err != nil {
			return troubleError(err)
		}
	}
	if !asJSON {
		fmt.Fprintln(s.Out, present.TrialCount(len(trials), failed))
	}
	if failed > 0 {
		return present.Silent(errkind.NotFound)
	}
	return nil
}
