package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

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
