package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/text"
)

// Exit codes, the same for every command.
const (
	exitFine    = 0
	exitNo      = 1 // the answer is no: a check failed, a record is missing
	exitUsage   = 2 // wrong usage or configuration
	exitTrouble = 3 // DNS, store, network
)

func usageError(err error) error   { return errkind.Wrap(errkind.WrongUse, err) }
func troubleError(err error) error { return errkind.Wrap(errkind.Trouble, err) }

// codeOf is the code that an error ends the program with.
func codeOf(err error) int {
	if err == nil {
		return exitFine
	}
	switch errkind.Of(err) {
	case errkind.NotFound:
		return exitNo
	case errkind.BadRequest, errkind.WrongUse, errkind.NotAllowed:
		return exitUsage
	}
	return exitTrouble
}

// run is the whole program but for the process round it.
func run(ctx context.Context, args []string, s present.Streams) int {
	s = s.Safe()
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	begun := false
	onBegin(root, func() { begun = true })
	err := root.ExecuteContext(ctx)
	if err != nil && !begun {
		err = usageError(err) // cobra found something wrong
	}
	if err != nil && err.Error() != "" {
		fmt.Fprintf(s.Err, "dmarcd: %s\n", text.Error(err))
	}
	return codeOf(err)
}

// onBegin has note called before a command does its work.
func onBegin(c *cobra.Command, note func()) {
	if work := c.RunE; work != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			note()
			return work(c, args)
		}
	}
	for _, sub := range c.Commands() {
		onBegin(sub, note)
	}
}

func newRoot(s present.Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "dmarcd",
		Short: "Inbound DMARC filter for Postfix and Sendmail",
		Long: `dmarcd stands beside Postfix or Sendmail as a milter. For every inbound message it
runs SPF, DKIM and identifier alignment against the policy that the sender's domain
published (RFC 9989), applies the settings of the recipient's domain, accepts,
quarantines or rejects, and writes Authentication-Results and
X-TM-Authentication-Results.

Exit codes: 0 fine, 1 the answer is no, 2 wrong usage or configuration, 3 trouble
(DNS, store, network, a socket in use, a full disk: what can pass, or be mended without
touching the configuration).`,
		Example: `  dmarcd serve                      filter mail on 127.0.0.1:8893 with the defaults
  dmarcd config check               check both configuration files
  dmarcd check --ip 192.0.2.1 mail.eml
  dmarcd record lookup example.com`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%s; see '%s --help'", text.Line(err.Error(), present.MaxLine), c.CommandPath()))
	})
	root.AddCommand(
		serveCommand(s),
		checkCommand(s),
		explainCommand(s),
		statusCommand(s),
		messagesCommand(s),
		heldCommand(s),
		pingCommand(s),
		configCommand(s),
		policyCommand(s),
		recordCommand(s),
		reportCommand(s),
		analysisCommand(s),
		readinessCommand(s),
		userCommand(s),
		versionCommand(s),
		manCommand(),
	)
	return root
}

// group is a command that only holds others: without one of them it is wrong usage.
func group(use, short string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError(fmt.Errorf("which one? See '%s --help'", c.CommandPath()))
		},
	}
	c.AddCommand(sub...)
	return c
}
