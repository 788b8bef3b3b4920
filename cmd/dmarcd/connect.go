package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/daemon"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// configFlag adds -c to a command.
func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "", "dmarcd.yaml to use (default "+daemon.DefaultFile()+", or the built-in settings where that folder has neither file)")
}

// loadSettings loads the settings for a command, policy and all. Where the files on disk
// have faults, it gets those in force from the daemon, if one runs.
func loadSettings(path string, w io.Writer) (*settings.Settings, error) {
	config, _, err := daemon.FindSource(path).Load()
	return orInForce(config, err, path, w)
}

// lookAtSettings is loadSettings for a command that looks at the policy: its own tests
// are not tried.
func lookAtSettings(path string, w io.Writer) (*settings.Settings, error) {
	config, _, err := daemon.FindSource(path).Read()
	return orInForce(config, err, path, w)
}

func orInForce(config *settings.Settings, faults error, path string, w io.Writer) (*settings.Settings, error) {
	if faults == nil {
		return config, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), inForceWait)
	defer cancel()
	client, err := dial(ctx, &target{config: path})
	if err != nil {
		return nil, explainFaults(w, faults)
	}
	defer client.Close() //nolint:errcheck // opened for reading only
	files, err := api.ConfigInForce().Ask(ctx, client, api.ConfigFilesRequest{})
	if err != nil {
		return nil, explainFaults(w, faults)
	}
	config, err = files.Settings(daemon.HostName())
	if err != nil {
		return nil, explainFaults(w, faults)
	}
	sayInForce(w)
	return config, nil
}

// inForceWait is how long a command waits for what is in force.
const inForceWait = 30 * time.Second

func sayInForce(w io.Writer) {
	fmt.Fprintln(w, "The files on disk have faults, which \"dmarcd config check\" lists; this is what is in force.")
}

// explainFaults prints the faults of configuration files, one a line.
func explainFaults(w io.Writer, err error) error {
	var faults settings.Faults
	if !errors.As(err, &faults) {
		return usageError(err)
	}
	if len(faults) == 1 {
		return usageError(errors.New(faults[0].String()))
	}
	for _, f := range faults {
		fmt.Fprintln(w, f)
	}
	return usageError(fmt.Errorf("%d faults in the configuration; nothing was started or changed", len(faults)))
}

// target is whom a command asks.
type target struct{ config, socket string }

// targetFlags adds -c and --socket to a command.
func targetFlags(c *cobra.Command) *target {
	t := &target{}
	f := c.Flags()
	f.StringVarP(&t.config, "config", "c", "", "dmarcd.yaml of the daemon (default "+daemon.DefaultFile()+", or the built-in settings where there is none)")
	f.StringVar(&t.socket, "socket", "", "ask the daemon that listens on this admin socket (default admin.sock in its state_dir, or in /run/dmarcd)")
	return t
}

// connection is how a command asks: through the running daemon or, where none runs, in
// this process.
type connection struct {
	api.Asker
	offline *daemon.Offline // nil where a daemon runs
	close   func() error
}

// Close lets it go.
func (c *connection) Close() error { return c.close() }

// findDaemon finds the running daemon, whatever its files on disk hold by now. Where
// none runs there is no connection, and the settings are those of the files.
func findDaemon(ctx context.Context, t *target, s present.Streams) (*connection, *settings.Settings, error) {
	config, _, faults := daemon.FindSource(t.config).Read()
	client, err := dial(ctx, t)
	switch {
	case err == nil:
		if faults != nil {
			sayInForce(s.Err)
		}
		return &connection{Asker: client, close: client.Close}, nil, nil
	case !errors.Is(err, admin.ErrNoDaemon) || t.socket != "":
		return nil, nil, err
	case faults != nil:
		return nil, nil, explainFaults(s.Err, faults)
	}
	return nil, config, nil
}

// connect finds out whom to ask for a command that runs once: the running daemon;
// without one the store is opened. The caller closes the connection.
func connect(ctx context.Context, t *target, s present.Streams) (*connection, error) {
	c, config, err := findDaemon(ctx, t, s)
	if c != nil || err != nil {
		return c, err
	}
	return openStore(ctx, config)
}

// openStore opens the store in the place of a daemon. The caller closes the connection.
func openStore(ctx context.Context, config *settings.Settings) (*connection, error) {
	offline, err := daemon.OpenOffline(ctx, config)
	if err != nil {
		return nil, err
	}
	return &connection{Asker: offline, offline: offline, close: offline.Close}, nil
}

// dial asks the running daemon, and no other.
func dial(ctx context.Context, t *target) (*admin.Client, error) {
	if t.socket != "" {
		return admin.Dial(ctx, t.socket, version)
	}
	return daemon.FindSource(t.config).Dial(ctx, version)
}
