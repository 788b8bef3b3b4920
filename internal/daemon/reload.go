package daemon

import (
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"dmarcd/internal/settings"
)

// reload applies a configuration that load reads. A valid one replaces the old in one pointer swap:
// mail in progress keeps the one it began with. A fault keeps the old one and is logged with its
// line. Read returns the files that load has read.
func (d *Daemon) reload(load func() (*settings.Settings, settings.Faults, error), read func(*settings.Settings) []string) {
	d.tellSystemd(reloadingState())
	defer d.tellSystemd(daemon.SdNotifyReady)
	began := time.Now()
	before := d.watch.snapshot()
	next, warnings, err := load()
	if err != nil {
		d.watchFaults(err, before)
		d.metrics.Reload(false, began)
		d.logFaults(err)
		return
	}
	reports, more, err := ReportsConfig(next, d.version)
	if err != nil {
		d.metrics.Reload(false, began)
		d.logFaults(err)
		return
	}
	d.warnConfiguration(warnings, more)
	for _, r := range settings.Restarts(d.initial, next) {
		d.log.Warn("this key changed, but takes effect only after a restart", "key", r.Key, "in_force", r.Running, "waiting", r.Loaded)
	}
	d.settings.Store(next)
	d.files.take(next, time.Now().UTC().Truncate(time.Second))
	d.policies.inForce(&next.Policy, time.Now())
	d.notifier.Update(d.notifyConfig(next))
	d.reporting.pipeline.Update(reports)
	d.watch.loaded(d.policyFiles(next), before)
	setLevel(d.level, next.Log.Level)
	d.metrics.Reload(true, time.Now())
	if len(read(next)) == 0 {
		d.log.Warn("nothing to reload: there is neither file; what is built in is in force", "folder", d.source.Folder)
		return
	}
	d.log.Info("configuration reloaded", "files", firstFiles(read(next)), "mode", string(next.Policy.Mode),
		"managed_domains", next.Policy.ManagedDomains(), "ms", time.Since(began).Milliseconds())
}

// maxLoggedFiles bounds the files that a log line names.
const maxLoggedFiles = 10

// firstFiles returns the first of many files, with their number.
func firstFiles(files []string) []string {
	more := len(files) - maxLoggedFiles
	if more <= 0 {
		return files
	}
	return append(files[:maxLoggedFiles:maxLoggedFiles], fmt.Sprintf("and %d more", more))
}

// allFiles returns the files of the whole configuration.
func allFiles(config *settings.Settings) []string {
	if config.File == "" {
		return textFiles(config)
	}
	return append([]string{config.File}, textFiles(config)...)
}

// warnConfiguration logs the warnings of an accepted configuration.
func (d *Daemon) warnConfiguration(warnings settings.Faults, more []string) {
	for _, w := range warnings {
		more = append(more, w.String())
	}
	for _, w := range more {
		d.log.Warn("configuration", "warning", w)
	}
}

// loadPolicy reads only the policy: a change of its files implies nothing about dmarcd.yaml, which may
// be half edited. A missing policy file is a fault: it may be in the course of being renamed.
func (d *Daemon) loadPolicy() (*settings.Settings, settings.Faults, error) {
	running := d.settings.Load()
	path := d.source.policyPath(running)
	policy, warnings, err := settings.LoadPolicy(path)
	if err != nil {
		return nil, nil, err
	}
	next := *running
	next.Policy = *policy
	if next.PolicyFile == "" {
		next.PolicyFile = path
	}
	return &next, append(warnings, endedEntries(policy, time.Now())...), nil
}

// textFiles returns the files of the policy.
func textFiles(config *settings.Settings) []string {
	files := []string{}
	for _, t := range config.Policy.Texts {
		files = append(files, t.Path)
	}
	return files
}

// policyFiles returns the files and folders of the policy, or where they would be.
func (d *Daemon) policyFiles(s *settings.Settings) []string {
	path := d.source.policyPath(s)
	if path == "" {
		return nil
	}
	return append([]string{path}, s.Policy.Files()...)
}

// maxFaultyFiles bounds the files that are watched because a fault names them.
const maxFaultyFiles = 100

// watchFaults follows a failed load: it is not retried until a change in the files in force, or in
// those that the faults name. These may include a file outside the policy in force, such as a list
// that is not yet written.
func (d *Daemon) watchFaults(err error, before map[string]fileState) {
	running := d.settings.Load()
	files := d.policyFiles(running)
	most := len(files) + maxFaultyFiles
	known := map[string]bool{"": true, running.File: true} // dmarcd.yaml is read at SIGHUP only
	for _, f := range files {
		known[f] = true
	}
	var faults settings.Faults
	errors.As(err, &faults)
	for _, f := range faults {
		for _, name := range []string{f.File, f.Unread} {
			if known[name] || len(files) == most {
				continue
			}
			known[name] = true
			files = append(files, name)
			if _, seen := before[name]; !seen && name == f.Unread {
				before[name] = fileState{} // so that one written since shows as a change
			}
		}
	}
	d.watch.loaded(files, before)
}

func (d *Daemon) logFaults(err error) {
	var faults settings.Faults
	if !errors.As(err, &faults) {
		d.log.Error("configuration not reloaded, the old one stays in force", "fault", err.Error())
		return
	}
	for _, f := range faults {
		d.log.Error("configuration not reloaded, the old one stays in force", "fault", f.String())
	}
}

// reloadingState is the message for Type=notify-reload: the state and the time of the monotonic clock
// in microseconds.
func reloadingState() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}
