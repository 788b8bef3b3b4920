package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the man pages from the same definitions as --help.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the man pages into a directory",
		Long:  "Write one man page for each command (section 8) into a directory, which is made if it is missing.",
		Args:  arguments(1, 1, "name the directory for the man pages"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return troubleError(err)
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Title: "DMARCD", Section: "8", Source: "dmarcd " + version, Manual: "dmarcd"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return troubleError(fmt.Errorf("man pages in %s: %w", args[0], err))
			}
			return nil
		},
	}
}
