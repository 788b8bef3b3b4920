package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

func statusCommand(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the running daemon is doing",
		Long: `Show what the running daemon is doing: its version and since when it runs, which files
are in force and since when, the faults of the files on disk, the keys that changed and
wait for a restart, its sockets, store, journal and reports, whether it leads, the mail that is held, the recipients that are not ours,
and the relays whose clients could or could not be read.

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

func showStatus(ctx context.Context, t *target, asJSON bool, s streams) error {
	client, err := dial(ctx, t)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // opened for reading only
	status, err := api.DaemonStatus().Ask(ctx, client, api.StatusRequest{})
	switch {
	case err != nil:
		return err
	case asJSON:
		return s.json().Encode(status)
	}
	printStatus(s, &status, time.Now())
	return nil
}

func printStatus(s streams, x *api.Status, now time.Time) {
	s.line("dmarcd %s, running since %s (%s), mode %s", x.Version, x.Started.Format(time.RFC3339), age(now.Sub(x.Started)), x.Mode)
	if len(x.Files) == 0 {
		s.line("files     none: the built-in configuration and policy are in force")
	}
	for _, f := range x.Files {
		s.line("file      %s, in force since %s, sha256 %s", f.Path, f.InForceSince.Format(time.RFC3339), f.SHA256)
	}
	for _, f := range x.Faults {
		s.line("FAULT     %s:%d:%d: %s: %s", f.File, f.Line, f.Column, f.Key, f.Message)
	}
	for _, r := range x.Restart {
		s.line("RESTART   %s is %s; it will be %s after a restart", r.Key, r.InForce, r.Waiting)
	}
	for _, l := range x.Sockets {
		s.line("socket    %s, %s", l.Socket, count(int64(l.Connections), "connection", "connections"))
	}
	up := "down"
	if x.Store.Up {
		up = "up"
	}
	s.line("store     %s, %s, %.0f s behind", x.Store.URL, up, x.Store.LagS)
	s.line("journal   %s octets, %s not in the store", text.Number(x.Journal.Bytes), count(x.Journal.Records, "record", "records"))
	enabled := "off"
	if x.Reports.Enabled {
		enabled = "on"
	}
	s.line("reports   %s, %d queued, %d failed in the last week", enabled, x.Reports.Queued, x.Reports.Failed)
	leads := "another daemon"
	if x.Leader {
		leads = "this daemon: " + strings.Join(x.LeaderTasks, ", ")
	}
	s.line("leader    %s", leads)
	printAnalysisStatus(s, &x.Analysis, now)
	held := count(x.Held, "message", "messages")
	if !x.HeldSince.IsZero() {
		held += ", the oldest for " + age(now.Sub(x.HeldSince))
	}
	s.line("held      %s", held)
	s.line("unmanaged %s that are not ours, since the start", count(x.UnmanagedRecipients, "recipient", "recipients"))
	for _, r := range x.Relays {
		s.line("relay     %s: the client of %d messages was read, of %d it could not be", r.Network, r.Read, r.Unread)
	}
	for _, n := range x.Notes {
		s.line("NOTE      %s", n)
	}
}

// printAnalysisStatus tells of the reports that others send.
func printAnalysisStatus(s streams, x *api.AnalysisStatus, now time.Time) {
	if !x.Enabled {
		s.line("analysis  off")
		return
	}
	line := "analysis  on, " + count(int64(x.Spooled), "mail waits", "mails wait")
	if bad := x.Records[analysis.WordMissing] + x.Records[analysis.WordBroken]; bad > 0 {
		line += fmt.Sprintf("; the reports on %s do not come to us", count(int64(bad), "domain", "domains"))
	}
	s.line("%s", line)
	if x.Error != "" {
		s.line("          the store does not take reports: %s", x.Error)
	}
	for _, f := range x.Feeds {
		told := "has not run yet"
		if !f.LastRun.IsZero() {
			told = "ran " + age(now.Sub(f.LastRun)) + " ago"
		}
		if f.Error != "" {
			told += ": " + f.Error
		}
		s.line("feed      %s, %d taken, %d wait, %s", f.Name, f.Taken, f.Backlog, told)
	}
}

// count is a number of things.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return text.Number(n) + " " + many
}

// age is a span of time, roughly.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", max(d, 0)/time.Second)
}
