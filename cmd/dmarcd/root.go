package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every command.
const (
	exitFine    = 0
	exitNo      = 1 // the answer is no: a check failed, a record is missing
	exitUsage   = 2 // wrong usage or configuration
	exitTrouble = 3 // DNS, store, network
)

// exitError is an error with the exit code it means. One without text only sets the code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(err error) error   { return &exitError{code: exitUsage, err: err} }
func troubleError(err error) error { return &exitError{code: exitTrouble, err: err} }

// answerNo ends a command whose output already said that the answer is no.
func answerNo() error { return &exitError{code: exitNo} }

// run is the whole program but for the process round it.
func run(ctx context.Context, args []string, s streams) int {
	s = s.safe()
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	code := exitUsage // what cobra itself finds wrong is usage
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(s.err, "dmarcd: %s\n", text)
	}
	return code
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "dmarcd",
		Short: "Inbound DMARC filter for Postfix and Sendmail",
		Long: `dmarcd stands beside Postfix or Sendmail as a milter. For every inbound message it
runs SPF, DKIM and identifier alignment against the policy that the sender's domain
published (RFC 9989), applies the settings of the recipient's domain, accepts,
quarantines or rejects, and writes Authentication-Results and
X-TM-Authentication-Results.

Exit codes: 0 fine, 1 the answer is no, 2 wrong usage or configuration, 3 trouble
(DNS, store, network).`,
		Example: `  dmarcd serve                      filter mail on 127.0.0.1:8893 with the defaults
  dmarcd config check               check both configuration files
  dmarcd check --ip 192.0.2.1 mail.eml
  dmarcd record lookup example.com`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w; see '%s --help'", err, c.CommandPath()))
	})
	root.AddCommand(
		serveCommand(s),
		checkCommand(s),
		explainCommand(s),
		pingCommand(s),
		configCommand(s),
		policyCommand(s),
		recordCommand(s),
		reportCommand(s),
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
