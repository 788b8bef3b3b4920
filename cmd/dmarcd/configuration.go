package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dmarcd/internal/settings"
)

// defaultFolder is where the two files are looked for when no -c is given.
const defaultFolder = "/etc/dmarcd"

// configFlag adds -c to a command.
func configFlag(c *cobra.Command) *string {
	return c.Flags().StringP("config", "c", "", "dmarcd.yaml to use (default "+filepath.Join(defaultFolder, "dmarcd.yaml")+", or the built-in settings where that folder has neither file)")
}

// configuration is where the settings come from.
type configuration struct {
	path string // of dmarcd.yaml; "" for the built-in settings
}

// findConfiguration picks the file: the one named, else the one in
// /etc/dmarcd, else none where that folder has neither file.
func findConfiguration(named string) configuration {
	if named != "" {
		return configuration{path: named}
	}
	file := filepath.Join(defaultFolder, "dmarcd.yaml")
	for _, name := range []string{file, filepath.Join(defaultFolder, "policy.yaml")} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return configuration{path: file}
		}
	}
	return configuration{}
}

// load reads the settings. Warnings come with good settings only; an error of
// the files is settings.Faults.
func (c configuration) load() (*settings.Settings, settings.Faults, error) {
	if c.path == "" {
		s, err := settings.Builtin(hostName(), userStateDir())
		return s, nil, err
	}
	return settings.Load(c.path, hostName())
}

// hostName is the default of authserv_id.
func hostName() string {
	if host, err := os.Hostname(); err == nil && host != "" {
		return host
	}
	return "localhost"
}

// userStateDir is where state goes when there is no configuration: the user's
// state directory as the XDG base directory specification has it.
func userStateDir() string {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "dmarcd")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "dmarcd")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("dmarcd-%d", os.Getuid()))
}

// loadOrExplain loads the settings for a command: faults are printed one a line,
// and the error that is returned only counts them.
func (c configuration) loadOrExplain(w io.Writer) (*settings.Settings, error) {
	s, _, err := c.load()
	if err == nil {
		return s, nil
	}
	return nil, explainFaults(w, err)
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
