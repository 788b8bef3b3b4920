package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/daemon"
	"dmarcd/internal/settings"
)

func policyTestCommand(s streams) *cobra.Command {
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
func policyToTry(config string, args []string, s streams) (*settings.Policy, error) {
	if len(args) == 0 {
		loaded, _, err := daemon.FindSource(config).Read() // that of the disk, not what is in force
		if err != nil {
			return nil, explainFaults(s.err, err)
		}
		return &loaded.Policy, nil
	}
	if config != "" {
		return nil, usageError(fmt.Errorf("either -c or FILE: -c names a dmarcd.yaml whose policy is tried, FILE a policy"))
	}
	p, _, err := settings.ReadPolicy(args[0])
	if err != nil {
		return nil, explainFaults(s.err, err)
	}
	return p, nil
}

// trialReport is one test as JSON.
type trialReport struct {
	Index    int    `json:"index"`
	Name     string `json:"name,omitempty"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Passed   bool   `json:"passed"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	Reason   string `json:"reason"`
	Rule     string `json:"rule,omitempty"`
}

func policyTest(p *settings.Policy, asJSON bool, s streams) error {
	failed, trials := 0, p.Try()
	out := s.json()
	for _, t := range trials {
		if !t.Passed() {
			failed++
		}
		if !asJSON {
			printTrial(s, &t)
			continue
		}
		d := t.Decision
		err := out.Encode(trialReport{
			Index: t.Index, Name: t.Test.Name, File: t.Test.At.File, Line: t.Test.At.Line, Passed: t.Passed(),
			Expected: string(t.Test.Expect), Got: string(d.Would), Reason: string(d.Reason), Rule: d.Rule,
		})
		if err != nil {
			return troubleError(err)
		}
	}
	if !asJSON {
		fmt.Fprintln(s.out, trialCount(len(trials), failed))
	}
	if failed > 0 {
		return answerNo()
	}
	return nil
}

func printTrial(s streams, t *settings.Trial) {
	word := "ok  "
	if !t.Passed() {
		word = "FAIL"
	}
	name := ""
	if t.Test.Name != "" {
		name = fmt.Sprintf(" %q", t.Test.Name)
	}
	fmt.Fprintf(s.out, "%s  %s: tests[%d]%s: %s\n", word, t.Test.At, t.Index, name, t)
}

func trialCount(all, failed int) string {
	switch {
	case all == 0:
		return "the policy has no tests; add some below \"tests\""
	case failed == 0:
		return fmt.Sprintf("%d of %d tests pass", all, all)
	}
	return fmt.Sprintf("%d of %d tests fail; a policy whose tests fail is not taken over", failed, all)
}
