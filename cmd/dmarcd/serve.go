package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

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
