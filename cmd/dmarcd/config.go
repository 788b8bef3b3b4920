package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmarcd/internal/client"
	"dmarcd/internal/daemon"
	"dmarcd/internal/present"
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
		return client.CheckFiles(c.Context(), s, version, args, host)
	}
	return c
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
