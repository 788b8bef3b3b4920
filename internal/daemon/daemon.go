// Package daemon is the running dmarcd: it wires the parts, starts them, reloads the configuration
// and stops. It also serves commands that work without a running daemon: it locates the
// configuration, and opens the store in the daemon's place.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"dmarcd/internal/account"
	"dmarcd/internal/errkind"
	"dmarcd/internal/filter"
	"dmarcd/internal/inbound"
	"dmarcd/internal/metrics"
	"dmarcd/internal/milter"
	"dmarcd/internal/notify"
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
)

const (
	// drainTime is how long a stopping daemon waits for mail: longer than the DNS budget of any sane
	// configuration, shorter than TimeoutStopSec of the systemd unit.
	drainTime = 30 * time.Second
	// settleTime is the part of it reserved for the journal and the store.
	settleTime = time.Second
)

// Options configure a Daemon.
type Options struct {
	Source   Source
	Settings *settings.Settings // as Source gave them
	Version  string             // of the program
	Log      *slog.Logger       // of NewLog
	Level    *slog.LevelVar     // of Log; a reload sets it
}

// Daemon is the running daemon.
type Daemon struct {
	source   Source
	version  string
	settings atomic.Pointer[settings.Settings]
	log      *slog.Logger
	level    *slog.LevelVar

	metrics   *metrics.Metrics
	resolver  *resolver.Client
	lookups   *resolver.Client // of NewLookups
	recorder  *recorder
	reporting *reporting
	receiving *receiving
	sources   *identifier
	services  *services
	networks  *networks
	cached    *resolver.Client // for records that many sources are compared with
	records   *recordPoll
	policies  *policyNotes
	accounts  *account.Service
	commands  *commands
	notifier  *notify.Notifier
	filter    *filter.Filter
	milter    *milter.Server
	mail      []listener
	web       []webServer
	shut      *shutListener // of the console; nil where it is on loopback

	started  time.Time
	initial  *settings.Settings // of the start: what takes a restart is as it is there
	files    filesInForce
	stopping atomic.Bool
	watch    watcher            // of the goroutine that runs wait
	cancel   context.CancelFunc // ends the work in the background
	working  sync.WaitGroup     // that work
}

// New opens every socket and creates every part; nothing runs yet. After an error nothing stays
// open. The error has a kind: errkind.Trouble if it can pass or be repaired without a change of
// the configuration.
func New(o Options) (_ *Daemon, err error) {
	d := &Daemon{source: o.Source, version: o.Version, log: o.Log, level: o.Level, started: time.Now().UTC().Truncate(time.Second)}
	d.initial = o.Settings
	d.settings.Store(o.Settings)
	d.files.take(o.Settings, d.started)
	defer func() {
		if err != nil {
			d.discard()
		}
	}()
	if err := os.MkdirAll(o.Settings.StateDir, 0o750); err != nil {
		return nil, startError(stateError(err))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	d.metrics = metrics.New(registry)
	d.metrics.Reload(true, time.Now())
	if err := d.open(o.Settings, registry); err != nil {
		return nil, startError(err)
	}
	d.notifier = notify.New(d.notifyConfig(o.Settings))
	d.milter = d.newMilter(o.Settings)
	d.registerCounts(registry)
	return d, nil
}

// stateError explains why the state directory is unusable; nil for nil.
func stateError(err error) error {
	if err == nil {
		return nil
	}
	next := "make it, or let the user that dmarcd runs as write there"
	switch {
	case errors.Is(err, syscall.ENOSPC):
		next = "make room there"
	case errors.Is(err, syscall.EROFS):
		next = "mount it for writing, or name another"
	case errors.Is(err, syscall.ENOTDIR):
		next = "name a folder"
	}
	return fmt.Errorf("state_dir: %w; %s", err, next)
}

// open opens everything that can fail: sockets, files, the store.
func (d *Daemon) open(config *settings.Settings, registry *prometheus.Registry) (err error) {
	if d.resolver, err = d.newResolver(config.Resolver); err != nil {
		return err
	}
	if d.lookups, err = NewLookups(config); err != nil {
		return err
	}
	if err := d.openMail(config.Listen); err != nil {
		return err
	}
	if d.recorder, err = newRecorder(d.settings.Load, d.log); err != nil {
		return err
	}
	if d.reporting, err = newReporting(d.settings.Load, d.log, d.version, d.recorder, d.resolver); err != nil {
		return err
	}
	d.recorder.failures = d.reporting.failed
	if d.receiving, err = newReceiving(d); err != nil {
		return err
	}
	d.services = newServices(d.settings.Load, d.log)
	d.networks = &networks{settings: d.settings.Load, log: d.log}
	if d.cached, err = newSourceLookups(config); err != nil {
		return err
	}
	d.sources = &identifier{
		settings: d.settings.Load, store: d.recorder.store, figures: d.recorder.store, names: d.lookups, spf: d.cached, services: d.services.get,
		network: d.networks.look, log: d.log, now: time.Now,
	}
	d.records = &recordPoll{settings: d.settings.Load, store: d.recorder.store, resolver: d.lookups, log: d.log, now: time.Now}
	d.accounts = account.New(d.recorder.store, time.Now)
	d.policies = newPolicyNotes(d.recorder.store, HostName(), d.log)
	d.policies.inForce(&config.Policy, time.Now())
	if err := d.openWeb(config, registry); err != nil {
		return err
	}
	d.commands, err = newCommands(d)
	return err
}

func (d *Daemon) newResolver(r settings.Resolver) (*resolver.Client, error) {
	c := resolverConfig(r)
	c.Observe = d.metrics.Query
	return openResolver(c)
}

func openResolver(c resolver.Config) (*resolver.Client, error) {
	client, err := resolver.New(c)
	if err != nil {
		return nil, fmt.Errorf("resolver.servers: %w", err)
	}
	return client, nil
}

// resolverConfig converts the settings of the resolver.
func resolverConfig(r settings.Resolver) resolver.Config {
	return resolver.Config{Servers: r.Servers, Timeout: r.Timeout, CacheEntries: r.CacheEntries}
}

// newMilter returns the server for the MTA.
func (d *Daemon) newMilter(config *settings.Settings) *milter.Server {
	d.filter = filter.New(d.resolver, time.Now)
	sessions := &inbound.Config{
		Filter:   d.filter,
		Settings: d.settings.Load,
		Observer: observer{Metrics: d.metrics, notifier: d.notifier},
		Recorder: d.recorder,
		Host:     HostName(),
		Taps:     []inbound.Tap{inbound.BounceTap{Take: d.reporting.bounced}, d.receiving.tap},
		Log:      d.log,
		Now:      time.Now,
	}
	return milter.NewServer(milter.Config{
		NewSession:     sessions.NewSession,
		RcptReplies:    sessions.RcptReplies,
		MaxConnections: config.Limits.Connections,
		Trouble:        d.onTrouble,
		Log:            d.log,
	})
}

// onTrouble returns the answer for a message that dmarcd could not finish.
func (d *Daemon) onTrouble() milter.Reply {
	if d.settings.Load().OnTrouble == settings.TroubleDefer {
		return milter.Reply{Code: 451, Enhanced: "4.3.0", Text: "the mail filter could not finish; please try again later"}
	}
	return milter.Reply{}
}

// discard releases what New opened.
func (d *Daemon) discard() {
	d.closeListeners()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if d.commands != nil {
		d.commands.discard()
	}
	if d.recorder != nil {
		d.recorder.load(context.Background())
		d.recorder.close()
	}
	if d.resolver != nil {
		d.resolver.Close()
	}
	if d.cached != nil {
		d.cached.Close()
	}
	if d.lookups != nil {
		d.lookups.Close()
	}
	if d.notifier != nil {
		d.closeNotifier(ctx)
	}
}

// ready returns why mail is not being filtered; nil while it is.
func (d *Daemon) ready() error {
	if d.stopping.Load() {
		return errors.New("stopping")
	}
	return nil
}

// Run serves until ctx ends, then drains. Each value of hangup triggers a reload of the
// configuration.
func (d *Daemon) Run(ctx context.Context, hangup <-chan os.Signal) error {
	failed := make(chan error, len(d.mail)+len(d.web)+1)
	var serving sync.WaitGroup
	for _, l := range d.mail {
		serving.Go(func() {
			if err := d.milter.Serve(l.Listener); err != nil {
				failed <- fmt.Errorf("%s: %w", l.name, err)
			}
		})
		d.log.Info("listening for the MTA", "socket", l.name)
	}
	for _, w := range d.web {
		serving.Go(func() {
			if err := w.Serve(w.Listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("http %s: %w", w.name, err)
			}
		})
		if d.shut == nil || w.name != d.shut.address {
			d.log.Info("serving http", "address", w.listener.Addr().String())
		}
	}
	serving.Go(func() {
		if err := d.receiving.serve(); err != nil {
			failed <- fmt.Errorf("analysis.lmtp: %w", err)
		}
	})
	d.work()
	d.tellSystemd(daemon.SdNotifyReady)
	d.log.Info("ready", "version", d.version, "mode", string(d.settings.Load().Policy.Mode),
		"managed_domains", d.settings.Load().Policy.ManagedDomains())
	err := d.wait(ctx, hangup, failed)
	d.stop()
	serving.Wait()
	return err
}

// work starts the background tasks.
func (d *Daemon) work() {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.commands.serve(&d.working)
	if d.shut != nil {
		d.working.Go(func() { d.shut.watch(ctx) })
	}
	d.working.Go(func() { d.reporting.run(ctx) })
	d.working.Go(func() { d.receiving.run(ctx) })
	d.working.Go(func() { d.recorder.asLeader(ctx, "source names", d.sources.run) })
	d.working.Go(func() { d.recorder.asLeader(ctx, "records of domains", d.records.run) })
	d.working.Go(func() { d.reporting.readBounces(ctx) })
	d.working.Go(func() { d.recorder.retain(ctx) })
	d.working.Go(func() { d.policies.run(ctx) })
}

// wait handles reloads and the watchdog until the daemon must stop.
func (d *Daemon) wait(ctx context.Context, hangup <-chan os.Signal, failed <-chan error) error {
	var watchdog <-chan time.Time
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		t := time.NewTicker(every / 2)
		defer t.Stop()
		watchdog = t.C
	}
	d.watch.loaded(d.policyFiles(d.settings.Load()), nil)
	look := time.NewTicker(watchEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if d.watch.changed() {
				d.reload(d.loadPolicy, textFiles)
			}
		case err := <-failed:
			return errkind.Wrap(errkind.Trouble, err)
		case <-hangup:
			d.reload(d.source.Load, allFiles)
		case <-watchdog:
			d.tellSystemd(daemon.SdNotifyWatchdog)
		}
	}
}

// stop answers mail in flight and closes everything.
func (d *Daemon) stop() {
	d.stopping.Store(true)
	d.tellSystemd(daemon.SdNotifyStopping)
	d.log.Info("stopping: mail in flight is answered first", "at_most", drainTime.String())
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var draining sync.WaitGroup
	draining.Go(func() { d.drainMail(ctx) })
	draining.Go(func() { d.receiving.shutdown(ctx) })
	draining.Wait()
	for _, w := range d.web {
		if err := w.Shutdown(ctx); err != nil {
			d.log.Warn("http shutdown", "error", err.Error())
		}
	}
	d.closeNotifier(ctx)
	d.cancel()
	d.recorder.load(ctx)
	d.commands.shutdown(ctx)
	d.working.Wait()
	d.recorder.close()
	d.resolver.Close()
	d.cached.Close()
	d.networks.shutdown()
	d.lookups.Close()
	d.log.Info("stopped")
}

// drainMail completes messages in progress, and cuts off those that would exceed drainTime.
func (d *Daemon) drainMail(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTime-milter.ForceGrace-settleTime)
	defer cancel()
	if err := d.milter.Shutdown(ctx); err != nil {
		d.log.Warn("some mail in flight was cut off", "error", err.Error())
	}
}

// tellSystemd reports a state; without systemd it does nothing.
func (d *Daemon) tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("sd_notify", "error", err.Error())
	}
}
