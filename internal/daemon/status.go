package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
	"dmarcd/internal/text"
)

// statusWait bounds how long the status waits for the store.
const statusWait = 2 * time.Second

// filesInForce are the files in force, with the time since which each is unchanged.
type filesInForce struct {
	mu    sync.Mutex
	files []api.FileInForce
}

// take records what was read. An unchanged file keeps its time.
func (f *filesInForce) take(config *settings.Settings, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := map[string]api.FileInForce{}
	for _, file := range f.files {
		before[file.Path] = file
	}
	f.files = []api.FileInForce{}
	texts := config.Policy.Texts
	if config.File != "" {
		texts = append([]settings.Text{config.Text}, texts...)
	}
	for _, t := range texts {
		now := api.FileInForce{Path: t.Path, SHA256: hash(t.Data), InForceSince: at}
		if old := before[t.Path]; old.SHA256 == now.SHA256 {
			now.InForceSince = old.InForceSince
		}
		f.files = append(f.files, now)
	}
}

func (f *filesInForce) list() []api.FileInForce {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]api.FileInForce{}, f.files...)
}

// Status implements api.Daemon.
func (d *Daemon) Status(ctx context.Context) api.Status {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	config := d.settings.Load()
	journal := d.recorder.journal.Stats()
	out := api.Status{
		Version: d.version,
		Started: d.started,
		Mode:    string(config.Policy.Mode),
		Files:   d.files.list(),
		Faults:  d.faultsOnDisk(),
		Sockets: d.socketStatus(), Listening: d.listening(),
		Store:   api.StoreStatus{URL: store.Shown(d.initial.Store), Up: d.recorder.store.Ping(ctx) == nil, LagS: journal.Lag.Seconds()},
		Journal: api.JournalStatus{Bytes: journal.Bytes, Records: journal.Unloaded},
		Reports: api.ReportsStatus{Enabled: config.Reports.Enabled},
		Relays:  []api.RelayStatus{},

		Analysis: d.analysisStatus(config),

		UnmanagedRecipients: d.filter.Unmanaged(),
	}
	epoch, tasks := d.recorder.store.Leading()
	out.Notes = notes(config, time.Now())
	for _, r := range settings.Restarts(d.initial, config) {
		out.Restart = append(out.Restart, api.Restart{Key: r.Key, InForce: r.Running, Waiting: r.Loaded})
	}
	out.Leader, out.LeaderTasks = epoch != 0, tasks
	if n, oldest, err := d.recorder.store.CountHeld(ctx, HostName()); err == nil {
		out.Held, out.HeldSince = n, oldest
	}
	if why := d.shut.shutBecause(); why != "" {
		out.Notes = append(out.Notes, "the console cannot be reached at "+d.shut.address+": "+why)
	}
	for _, r := range d.filter.Relays() {
		out.Relays = append(out.Relays, api.RelayStatus{Network: r.Network.String(), Read: r.Read, Unread: r.Unread})
	}
	if state, err := d.reporting.pipeline.Service().State(ctx, outgoing.StateRequest{}); err == nil {
		out.Reports.Queued = state.Deliveries[outgoing.StateQueued] + state.Deliveries[outgoing.StateUnconfirmed]
		out.Reports.Failed = state.Deliveries[outgoing.StateFailed] + state.Deliveries[outgoing.StateExpired]
	}
	return out
}

// notes are hints for an operator on the configuration in force.
func notes(config *settings.Settings, now time.Time) (out []string) {
	if off := config.DailyReportsOff(); off != "" {
		out = append(out, off)
	}
	for _, e := range endedEntries(&config.Policy, now) {
		out = append(out, e.String())
	}
	return out
}

// maxEnded bounds the expired list entries that are reported individually.
const maxEnded = 10

// endedEntries returns warnings of expired list entries.
func endedEntries(p *settings.Policy, now time.Time) settings.Faults {
	all := p.Ended(now)
	more := len(all) - maxEnded
	if more <= 0 {
		return all
	}
	return append(all[:maxEnded:maxEnded], settings.Fault{
		File: all[0].File, Problem: fmt.Sprintf("and %d more; \"dmarcd config check\" tells of them", more),
	})
}

// analysisStatus returns the state of received reports.
func (d *Daemon) analysisStatus(config *settings.Settings) api.AnalysisStatus {
	out := api.AnalysisStatus{
		Enabled: config.Analysis.Enabled, Feeds: append([]analysis.FeedState{}, d.receiving.feeds.States()...),
		Spooled: d.receiving.spool.Stats().Mails, Error: d.receiving.path.Stats().Error,
	}
	if d.recorder.leading() {
		d.records.states.each(func(w analysis.Word, n int) {
			if n > 0 {
				if out.Records == nil {
					out.Records = map[analysis.Word]int{}
				}
				out.Records[w] = n
			}
		})
	}
	return out
}

// faultsOnDisk returns the faults that a reload would meet now.
func (d *Daemon) faultsOnDisk() []api.Fault {
	out := []api.Fault{}
	_, _, err := d.source.Load()
	var faults settings.Faults
	switch {
	case err == nil:
	case errors.As(err, &faults):
		for _, f := range faults {
			out = append(out, api.Fault{File: f.File, Line: f.Line, Column: f.Column, Key: f.Key, Message: f.Message()})
		}
	default:
		out = append(out, api.Fault{File: d.source.DaemonFile(), Message: text.Error(err)})
	}
	return out
}

func (d *Daemon) socketStatus() []api.SocketStatus {
	out := []api.SocketStatus{}
	for _, l := range d.mail {
		out = append(out, api.SocketStatus{Socket: l.name, Connections: d.milter.OpenOn(l.Listener)})
	}
	return out
}

// listening returns all sockets and ports, as the settings name them.
func (d *Daemon) listening() []string {
	out := []string{}
	for _, l := range d.mail {
		out = append(out, l.name)
	}
	if d.receiving.listener.Listener != nil {
		out = append(out, d.receiving.listener.name)
	}
	for _, w := range d.web {
		out = append(out, w.name)
	}
	return out
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
