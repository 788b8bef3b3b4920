package main

import (
	"io"

	"github.com/spf13/cobra"

	"dmarcd/internal/client"
	"dmarcd/internal/daemon"
	"dmarcd/internal/settings"
)

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
