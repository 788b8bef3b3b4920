package present

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// maxFiles bounds the files of one folder that are shown individually.
const maxFiles = 10

// filesInForce shows each file, or the number of files of a folder with many.
func filesInForce(s Streams, files []api.FileInForce) {
	folders := map[string][]api.FileInForce{}
	for _, f := range files {
		folder := filepath.Dir(f.Path)
		folders[folder] = append(folders[folder], f)
	}
	for _, f := range files {
		folder := filepath.Dir(f.Path)
		many := folders[folder]
		if len(many) <= maxFiles {
			s.Line("file      %s, in force since %s, sha256 %s", f.Path, f.InForceSince.Format(time.RFC3339), f.SHA256)
			continue
		}
		if f == many[0] {
			newest := slices.MaxFunc(many, func(a, b api.FileInForce) int { return a.InForceSince.Compare(b.InForceSince) })
			s.Line("files     %d in %s, the newest, %s, in force since %s", len(many), folder, filepath.Base(newest.Path), newest.InForceSince.Format(time.RFC3339))
		}
	}
}

// Status shows the state of the running daemon.
func Status(s Streams, x *api.Status, now time.Time) {
	s.Line("dmarcd %s, running since %s (%s), mode %s", x.Version, x.Started.Format(time.RFC3339), age(now.Sub(x.Started)), x.Mode)
	if len(x.Files) == 0 {
		s.Line("files     none: the built-in configuration and policy are in force")
	}
	filesInForce(s, x.Files)
	for _, f := range x.Faults {
		told := settings.Fault{File: f.File, Line: f.Line, Column: f.Column, Key: f.Key, Problem: f.Message}
		s.Line("FAULT     %s", told)
	}
	for _, r := range x.Restart {
		s.Line("RESTART   %s is %s; it will be %s after a restart", r.Key, r.InForce, r.Waiting)
	}
	for _, l := range x.Sockets {
		s.Line("socket    %s, %s", l.Socket, count(int64(l.Connections), "connection", "connections"))
	}
	up := "down"
	if x.Store.Up {
		up = "up"
	}
	s.Line("store     %s, %s, %.0f s behind", x.Store.URL, up, x.Store.LagS)
	s.Line("journal   %s octets, %s not in the store", text.Number(x.Journal.Bytes), count(x.Journal.Records, "record", "records"))
	enabled := "off"
	if x.Reports.Enabled {
		enabled = "on"
	}
	s.Line("reports   %s, %d queued, %d failed in the last week", enabled, x.Reports.Queued, x.Reports.Failed)
	leads := "another daemon"
	if x.Leader {
		leads = "this daemon: " + strings.Join(x.LeaderTasks, ", ")
	}
	s.Line("leader    %s", leads)
	printAnalysisStatus(s, &x.Analysis, now)
	held := count(x.Held, "message", "messages")
	if !x.HeldSince.IsZero() {
		held += ", the oldest for " + age(now.Sub(x.HeldSince))
	}
	s.Line("held      %s", held)
	s.Line("unmanaged %s that are not ours, since the start", count(x.UnmanagedRecipients, "recipient", "recipients"))
	for _, r := range x.Relays {
		s.Line("relay     %s: the client of %d messages was read, of %d it could not be", r.Network, r.Read, r.Unread)
	}
	for _, n := range x.Notes {
		s.Line("NOTE      %s", n)
	}
}

// printAnalysisStatus prints the state of received reports.
func printAnalysisStatus(s Streams, x *api.AnalysisStatus, now time.Time) {
	if !x.Enabled {
		s.Line("analysis  off")
		return
	}
	line := "analysis  on, " + count(int64(x.Spooled), "mail waits", "mails wait")
	if bad := x.Records[analysis.WordMissing] + x.Records[analysis.WordBroken]; bad > 0 {
		line += fmt.Sprintf("; the reports on %s do not come to us", count(int64(bad), "domain", "domains"))
	}
	s.Line("%s", line)
	if x.Error != "" {
		s.Line("          the store does not take reports: %s", x.Error)
	}
	for _, f := range x.Feeds {
		told := "has not run yet"
		if !f.LastRun.IsZero() {
			told = "ran " + age(now.Sub(f.LastRun)) + " ago"
		}
		if f.Error != "" {
			told += ": " + f.Error
		}
		s.Line("feed      %s, %d taken, %d wait, %s", f.Name, f.Taken, f.Backlog, told)
	}
}
