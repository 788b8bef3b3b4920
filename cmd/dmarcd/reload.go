package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"dmarcd/internal/settings"
)

// reload takes over a configuration that load reads. A good one replaces the old in
// one pointer swap: mail under way keeps the one it began with. A fault keeps the
// old and is logged with its line.
func (d *daemonProcess) reload(load func() (*settings.Settings, settings.Faults, error)) {
	d.tellSystemd(reloadingState())
	defer d.tellSystemd(daemon.SdNotifyReady)
	began := time.Now()
	before := d.watch.snapshot()
	next, warnings, err := load()
	if err != nil {
		d.watch.loaded(d.watch.files, before) // not tried again until something changes
		d.metrics.Reload(false, began)
		d.logFaults(err)
		return
	}
	old := d.settings.Load()
	for _, w := range warnings {
		d.log.Warn("configuration", "warning", w.String())
	}
	for _, key := range settings.RestartKeys(old, next) {
		d.log.Warn("this key changed, but takes effect only after a restart", "key", key)
	}
	d.settings.Store(next)
	d.notifier.Update(d.notifyConfig(next))
	d.watch.loaded(policyFiles(next), before)
	setLevel(d.level, next.Log.Level)
	d.metrics.Reload(true, time.Now())
	d.log.Info("configuration reloaded", "mode", string(next.Policy.Mode),
		"managed_domains", len(next.Policy.Domains), "ms", time.Since(began).Milliseconds())
}

// loadPolicy reads the policy alone: a change of its files says nothing of
// dmarcd.yaml, which may be half edited.
func (d *daemonProcess) loadPolicy() (*settings.Settings, settings.Faults, error) {
	running := d.settings.Load()
	policy, warnings, err := settings.LoadPolicy(running.Path(running.PolicyFile))
	if err != nil {
		return nil, nil, err
	}
	next := *running
	next.Policy = *policy
	return &next, warnings, nil
}

// policyFiles are the files that a policy was read from.
func policyFiles(s *settings.Settings) []string {
	if s.PolicyFile == "" {
		return nil
	}
	return append([]string{s.Path(s.PolicyFile)}, s.Policy.Files...)
}

func (d *daemonProcess) logFaults(err error) {
	var faults settings.Faults
	if !errors.As(err, &faults) {
		d.log.Error("configuration not reloaded, the old one stays in force", "fault", err.Error())
		return
	}
	for _, f := range faults {
		d.log.Error("configuration not reloaded, the old one stays in force", "fault", f.String())
	}
}

// reloadingState is what Type=notify-reload asks for: the state and the time of
// the monotonic clock in microseconds.
func reloadingState() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return daemon.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000)
}
