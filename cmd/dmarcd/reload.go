package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"dmarcd/internal/settings"
)

// reload reads both files again. Good ones replace the configuration in one
// pointer swap: mail under way keeps the one it began with. A fault keeps the
// old and is logged with its line.
func (d *daemonProcess) reload() {
	d.tellSystemd(reloadingState())
	defer d.tellSystemd(daemon.SdNotifyReady)
	began := time.Now()
	next, warnings, err := d.source.load()
	if err != nil {
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
	setLevel(d.level, next.Log.Level)
	d.metrics.Reload(true, time.Now())
	d.log.Info("configuration reloaded", "mode", string(next.Policy.Mode),
		"managed_domains", len(next.Policy.Domains), "ms", time.Since(began).Milliseconds())
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
