package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"dmarcd/internal/client"
	"dmarcd/internal/daemon"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
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

// arguments checks how many arguments a command has. Ask says what to do where there
// are too few, such as "name a domain".
func arguments(least, most int, ask string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s; see '%s --help'", ask, c.CommandPath())
		case len(args) > most:
			return fmt.Errorf("%q is one argument too many; see '%s --help'", args[most], c.CommandPath())
		}
		return nil
	}
}

// noArguments is arguments for a command that takes none.
func noArguments() cobra.PositionalArgs { return arguments(0, 0, "") }

func pageFlags(c *cobra.Command) *present.Page {
	p := &present.Page{}
	f := c.Flags()
	f.IntVar(&p.Limit, "limit", 100, "how many at most; 0 for all")
	f.StringVar(&p.After, "after", "", "go on behind the page that ended so")
	f.BoolVar(&p.AsJSON, "json", false, "one JSON object a line; {\"after\": …} at the end where there is more")
	return p
}

// configFlag adds -c to a command.
func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "", "dmarcd.yaml to use (default "+daemon.DefaultFile()+", or the built-in settings where that folder has neither file)")
}

// loadSettings loads the settings for a command, policy and all. Where the files on disk
// have faults, it gets those in force from the daemon, if one runs.
func loadSettings(path string, w io.Writer) (*settings.Settings, error) {
	return client.LoadSettings(&client.Target{Config: path, Version: version}, w)
}

// lookAtSettings is loadSettings for a command that looks at the policy: its own tests
// are not tried.
func lookAtSettings(path string, w io.Writer) (*settings.Settings, error) {
	return client.ReadSettings(&client.Target{Config: path, Version: version}, w)
}

// targetFlags adds -c and --socket to a command.
func targetFlags(c *cobra.Command) *client.Target {
	t := &client.Target{Version: version}
	f := c.Flags()
	f.StringVarP(&t.Config, "config", "c", "", "dmarcd.yaml of the daemon (default "+daemon.DefaultFile()+", or the built-in settings where there is none)")
	f.StringVar(&t.Socket, "socket", "", "ask the daemon that listens on this admin socket (default admin.sock in its state_dir, or in /run/dmarcd)")
	return t
}
