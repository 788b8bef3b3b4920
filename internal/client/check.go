package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/daemon"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

// CheckFiles checks files of either kind and tells every fault and warning. With host it
// looks at this host too, as the start of that version of the daemon would.
func CheckFiles(ctx context.Context, s present.Streams, version string, paths []string, host bool) error {
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
		return present.Silent(errkind.WrongUse)
	case err != nil:
		return errkind.Wrap(errkind.WrongUse, err)
	}
	var kind errkind.Kind
	for _, l := range loaded {
		if host {
			kind = worse(kind, checkHost(ctx, s, version, l))
		}
		if off := l.DailyReportsOff(); off != "" {
			fmt.Fprintf(s.Out, "note: %s\n", off)
		}
	}
	if kind != "" {
		return present.Silent(kind)
	}
	fmt.Fprintf(s.Out, "%s: no faults\n", strings.Join(paths, ", "))
	return nil
}

// worse is the kind that counts of two: a fault counts more than trouble.
func worse(a, b errkind.Kind) errkind.Kind {
	if a == errkind.WrongUse || b == "" {
		return a
	}
	return b
}

// checkHost tells what would keep the daemon from starting on this host, and the kind of
// the error that it would end with; "" for none.
func checkHost(ctx context.Context, s present.Streams, version string, config *settings.Settings) (kind errkind.Kind) {
	var status api.Status
	source := daemon.FindSource(config.File)
	running, err := source.Dial(ctx, version)
	if err == nil {
		defer running.Close() //nolint:errcheck // opened for reading only
		status, err = api.DaemonStatus().Ask(ctx, running, api.StatusRequest{})
	}
	own := err == nil && running.Source() == source.Name()
	if !own {
		status.Listening = nil
	}
	for _, o := range daemon.Preflight(ctx, config, version, own, status.Listening) {
		switch o.Kind {
		case "":
			fmt.Fprintf(s.Out, "warning: %s: %s\n", config.File, o.Text)
		case errkind.Trouble:
			fmt.Fprintf(s.Err, "trouble: %s: %s\n", config.File, o.Text)
			kind = worse(kind, errkind.Trouble)
		default:
			fmt.Fprintf(s.Err, "%s: %s\n", config.File, o.Text)
			kind = errkind.WrongUse
		}
	}
	return kind
}
