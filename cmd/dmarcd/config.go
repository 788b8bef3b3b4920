package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/daemon"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

func configCommand(s present.Streams) *cobra.Command {
	return group("config", "Check and show the configuration", configCheckCommand(s), configShowCommand(s))
}

func configCheckCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "check [FILE…]",
		Short: "Check both files, or the files named, and whether the daemon could start with them",
		Long: `Read the configuration as the daemon would and print every fault and warning, each
with file, line, column, key, what was expected and the nearest name. Then look at this
host for whatever would keep the daemon from starting: directories, groups, files with
passwords and keys, sockets and ports, the journal's lock, the store. Nothing is changed,
and what the running daemon itself holds is no obstacle. With --files this host is not
looked at, as for files of another one.

Without FILE both files of -c are checked. A FILE may be a dmarcd.yaml (its policy file
is checked too) or a policy.yaml.

Exit code 0: no fault; 2: a fault of the files, or of what they name; 3: trouble on this
host that can pass or be mended without touching the files, as serve would end with.`,
		Example: `  dmarcd config check
  dmarcd config check ./policy.yaml`,
	}
	path := configFlag(c)
	files := c.Flags().Bool("files", false, "check the files alone, and do not look at this host")
	c.RunE = func(c *cobra.Command, args []string) error {
		host := !*files
		if len(args) == 0 {
			if args = daemon.FindSource(*path).Files(); len(args) == 0 {
				fmt.Fprintf(s.Out, "%s has no files; the built-in settings apply and have no faults\n", daemon.DefaultFolder)
				return nil
			}
		}
		return checkFiles(c.Context(), s, args, host)
	}
	return c
}

// checkFiles checks files of either kind and tells every fault and warning. With host it
// looks at this host too.
func checkFiles(ctx context.Context, s present.Streams, paths []string, host bool) error {
	loaded, warnings, err := settings.Check(daemon.HostName(), time.Now(), paths...)
	for _, w := range warnings {
		fmt.Fprintf(s.Out, "warning: %s\n", w)
	}
	var faults settings.Faults
	switch {
	case errors.As(err, &faults):
		for _, f := range faults {
			fmt.Fprintf(s.Err, "%s\n", f)
		}
		return &exitError{exitUsage}
	case err != nil:
		return usageError(err)
	}
	code := exitFine
	for _, l := range loaded {
		code = worse(code, checkHost(ctx, s, l, host))
		if off := l.DailyReportsOff(); off != "" {
			fmt.Fprintf(s.Out, "note: %s\n", off)
		}
	}
	if code != exitFine {
		return &exitError{code}
	}
	fmt.Fprintf(s.Out, "%s: no faults\n", strings.Join(paths, ", "))
	return nil
}

// worse is the exit code that counts of two: a fault counts more than trouble.
func worse(a, b int) int {
	if a == exitUsage || b == exitFine {
		return a
	}
	return b
}

// checkHost tells what would keep the daemon from starting on this host, with the exit
// code that it would end with.
func checkHost(ctx context.Context, s present.Streams, config *settings.Settings, host bool) int {
	if !host {
		return exitFine
	}
	var status api.Status
	source := daemon.FindSource(config.File)
	client, err := source.Dial(ctx, version)
	if err == nil {
		defer client.Close() //nolint:errcheck // opened for reading only
		status, err = api.DaemonStatus().Ask(ctx, client, api.StatusRequest{})
	}
	own := err == nil && client.Source() == source.Name()
	if !own {
		status.Listening = nil
	}
	code := exitFine
	for _, o := range daemon.Preflight(ctx, config, version, own, status.Listening) {
		told := text.Error(errors.New(o.Text))
		switch o.Kind {
		case "":
			fmt.Fprintf(s.Out, "warning: %s: %s\n", config.File, told)
		case errkind.Trouble:
			fmt.Fprintf(s.Err, "trouble: %s: %s\n", config.File, told)
			code = worse(code, exitTrouble)
		default:
			fmt.Fprintf(s.Err, "%s: %s\n", config.File, told)
			code = exitUsage
		}
	}
	return code
}

func configShowCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "show",
		Short: "Show the effective settings with defaults filled in, as YAML",
		Args:  noArguments(),
	}
	path := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		config, err := loadSettings(*path, s.Err)
		if err != nil {
			return err
		}
		return config.Show(s.Out)
	}
	return c
}
