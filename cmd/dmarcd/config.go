package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/daemon"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

func configCommand(s present.Streams) *cobra.Command {
	return group("config", "Check and show the configuration", configCheckCommand(s), configShowCommand(s))
}

func configCheckCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "check [FILE…]",
		Short: "Check both files, or the files named; every fault and warning is told at once",
		Long: `Read the configuration as the daemon would and print every fault and warning, each
with file, line, column, key, what was expected and the nearest name.

Without FILE both files of -c are checked. A FILE may be a dmarcd.yaml (its policy file
is checked too) or a policy.yaml.

Exit code 0: no fault; 2: a fault.`,
		Example: `  dmarcd config check
  dmarcd config check ./policy.yaml`,
	}
	path := configFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			if args = daemon.FindSource(*path).Files(); len(args) == 0 {
				fmt.Fprintf(s.Out, "%s has no files; the built-in settings apply and have no faults\n", daemon.DefaultFolder)
				return nil
			}
		}
		return checkFiles(s, args)
	}
	return c
}

// checkFiles checks files of either kind and tells every fault and warning.
func checkFiles(s present.Streams, paths []string) error {
	loaded, warnings, err := settings.Check(daemon.HostName(), time.Now(), paths...)
	for _, w := range warnings {
		fmt.Fprintf(s.Out, "warning: %s\n", w)
	}
	if err == nil {
		err = checkReports(s, loaded)
	}
	if err == nil {
		fmt.Fprintf(s.Out, "%s: no faults\n", strings.Join(paths, ", "))
		return nil
	}
	var faults settings.Faults
	if !errors.As(err, &faults) {
		return usageError(err)
	}
	for _, f := range faults {
		fmt.Fprintf(s.Err, "%s\n", f)
	}
	return &exitError{exitUsage}
}

// checkReports looks at what the keys below reports name: a key, a password.
func checkReports(s present.Streams, loaded []*settings.Settings) error {
	for _, l := range loaded {
		_, warnings, err := daemon.ReportsConfig(l, version)
		for _, w := range warnings {
			fmt.Fprintf(s.Out, "warning: %s: %s\n", l.File, w)
		}
		if off := l.DailyReportsOff(); off != "" {
			fmt.Fprintf(s.Out, "note: %s\n", off)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.File, err)
		}
	}
	return nil
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
