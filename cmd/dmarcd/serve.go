package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/daemon"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
)

func serveCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Filter mail: the daemon",
		Long: `Run the filter. The MTA connects to the sockets of "listen"; /healthz, /readyz and
/metrics are served on "http.listen". The daemon is ready when it says so in its log,
to systemd, and on /readyz.

SIGHUP reads both files again; a fault keeps the running configuration, and the log
says which line. SIGTERM and SIGINT end the daemon once mail in flight is answered:
sessions of the MTA that are open are kept for one more message, 30 seconds at most.
A second SIGTERM or SIGINT ends it at once.

Without -c, and where /etc/dmarcd has neither file, it runs on loopback with the
built-in settings.`,
		Example: `  dmarcd serve
  dmarcd serve -c /etc/dmarcd/dmarcd.yaml`,
		Args: noArguments(),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return serve(c.Context(), daemon.FindSource(*path), s)
	}
	return c
}

// serve runs the daemon until a signal or ctx ends it.
func serve(ctx context.Context, source daemon.Source, s present.Streams) error {
	config, warnings, err := source.Load()
	if err != nil {
		return client.ExplainFaults(s.Err, err)
	}
	level := new(slog.LevelVar)
	log := daemon.NewLog(s.Below().Err, config.Log, level)
	for _, w := range warnings {
		log.Warn("configuration", "warning", w.String())
	}
	warnBuiltin(log, config)

	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal has its default effect

	d, err := daemon.New(daemon.Options{Source: source, Settings: config, Version: version, Log: log, Level: level})
	if err != nil {
		return err
	}
	return d.Run(ctx, hangup)
}

// warnBuiltin says which of the two files there are not, and what holds in their place.
func warnBuiltin(log *slog.Logger, config *settings.Settings) {
	const acts = "failing mail IS quarantined or rejected. \"mode: monitor\" in policy.yaml would only watch"
	switch builtin := len(config.Policy.Texts) == 0; {
	case builtin && config.File == "":
		log.Warn("running without configuration: built-in settings on loopback; "+strings.Replace(acts, "policy.yaml", daemon.DefaultFolder+"/policy.yaml", 1),
			"state_dir", config.StateDir)
	case builtin:
		log.Warn("running with the built-in policy: "+acts, "dmarcd.yaml", config.File)
	case config.File == "":
		log.Warn("running with the built-in dmarcd.yaml, on loopback", "policy", config.Policy.Texts[0].Path, "state_dir", config.StateDir)
	}
}

func statusCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the running daemon is doing",
		Long: `Show what the running daemon is doing: its version and since when it runs, which files
are in force and since when, the faults of the files on disk, the keys that changed and
wait for a restart, its sockets, store, journal and reports, whether it leads, the mail
that is held, the recipients that are not ours, and the relays whose clients could or
could not be read.

Exit code 0: a daemon answers; 3: none does.`,
		Example: `  dmarcd status
  dmarcd status --json | jq .faults`,
		Args: noArguments(),
	}
	t := targetFlags(c)
	asJSON := c.Flags().Bool("json", false, "one JSON object")
	c.RunE = func(c *cobra.Command, _ []string) error { return showStatus(c.Context(), t, *asJSON, s) }
	return c
}

func showStatus(ctx context.Context, t *client.Target, asJSON bool, s present.Streams) error {
	c, err := client.Dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading only
	status, err := api.DaemonStatus().Ask(ctx, c, api.StatusRequest{})
	switch {
	case err != nil:
		return err
	case asJSON:
		return s.JSON().Encode(status)
	}
	present.Status(s, &status, time.Now())
	return nil
}

// version is set by the build with -ldflags "-X main.version=…".
var version = "dev"

// versionInfo is what `dmarcd version --json` prints.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

func versionCommand(s present.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments(),
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			if asJSON {
				return s.JSON().Encode(v)
			}
			_, err := fmt.Fprintf(s.Out, "dmarcd %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return c
}

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
