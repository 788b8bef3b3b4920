package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/daemon"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// LoadSettings loads the settings, policy and all. Where the files on disk have faults,
// it gets those in force from the daemon, if one runs, and says so on w.
func LoadSettings(t *Target, w io.Writer) (*settings.Settings, error) {
	config, _, err := daemon.FindSource(t.Config).Load()
	return orInForce(t, config, err, w)
}

// ReadSettings is LoadSettings for a command that looks at the policy: its own tests are
// not tried.
func ReadSettings(t *Target, w io.Writer) (*settings.Settings, error) {
	config, _, err := daemon.FindSource(t.Config).Read()
	return orInForce(t, config, err, w)
}

// inForceWait is how long a command waits for what is in force.
const inForceWait = 30 * time.Second

func orInForce(t *Target, config *settings.Settings, faults error, w io.Writer) (*settings.Settings, error) {
	if faults == nil {
		return config, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), inForceWait)
	defer cancel()
	c, err := Dial(ctx, t)
	if err != nil {
		return nil, ExplainFaults(w, faults)
	}
	defer c.Close() //nolint:errcheck // opened for reading only
	files, err := api.ConfigInForce().Ask(ctx, c, api.ConfigFilesRequest{})
	if err != nil {
		return nil, ExplainFaults(w, faults)
	}
	config, err = files.Settings(daemon.HostName())
	if err != nil {
		return nil, ExplainFaults(w, faults)
	}
	sayInForce(w)
	return config, nil
}

func sayInForce(w io.Writer) {
	fmt.Fprintln(w, "The files on disk have faults, which \"dmarcd config check\" lists; this is what is in force.")
}

// ExplainFaults prints the faults of configuration files, one a line.
func ExplainFaults(w io.Writer, err error) error {
	var faults settings.Faults
	if !errors.As(err, &faults) {
		return errkind.Wrap(errkind.WrongUse, err)
	}
	if len(faults) == 1 {
		return errkind.Wrap(errkind.WrongUse, errors.New(faults[0].String()))
	}
	for _, f := range faults {
		fmt.Fprintln(w, f)
	}
	return errkind.Wrap(errkind.WrongUse, fmt.Errorf("%d faults in the configuration; nothing was started or changed", len(faults)))
}

// PolicyToTry is the policy of the file named, else that of the configuration.
func PolicyToTry(config string, args []string, s present.Streams) (*settings.Policy, error) {
	if len(args) == 0 {
		loaded, _, err := daemon.FindSource(config).Read() // that of the disk, not what is in force
		if err != nil {
			return nil, ExplainFaults(s.Err, err)
		}
		return &loaded.Policy, nil
	}
	if config != "" {
		return nil, errkind.Wrap(errkind.WrongUse, fmt.Errorf("either -c or FILE: -c names a dmarcd.yaml whose policy is tried, FILE a policy"))
	}
	p, _, err := settings.ReadPolicy(args[0])
	if err != nil {
		return nil, ExplainFaults(s.Err, err)
	}
	return p, nil
}

// PolicyToSimulate reads a policy as `config check` does.
func PolicyToSimulate(file string, s present.Streams) (*settings.Policy, error) {
	p, warnings, err := settings.LoadPolicy(file)
	for _, w := range warnings {
		fmt.Fprintf(s.Err, "warning: %s\n", w)
	}
	if err == nil {
		return p, nil
	}
	var faults settings.Faults
	if !errors.As(err, &faults) {
		return nil, errkind.Wrap(errkind.WrongUse, err)
	}
	for _, f := range faults {
		fmt.Fprintf(s.Err, "%s\n", f)
	}
	return nil, present.Silent(errkind.WrongUse)
}
