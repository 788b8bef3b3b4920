package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dmarcd/internal/console"
	"dmarcd/internal/filter"
	"dmarcd/internal/inbound"
	"dmarcd/internal/metrics"
	"dmarcd/internal/milter"
	"dmarcd/internal/notify"
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
)

// drainTime is how long mail in flight may take to its end when the daemon
// stops: longer than the DNS budget of any sane configuration, shorter than
// TimeoutStopSec of the systemd unit.
const drainTime = 30 * time.Second

// door is one listener and how it is named to people.
type door struct {
	net.Listener
	name string
}

// daemonProcess is the running daemon.
type daemonProcess struct {
	source   configuration
	settings atomic.Pointer[settings.Settings]
	log      *slog.Logger
	level    *slog.LevelVar
	metrics  *metrics.Metrics
	resolver *resolver.Client
	milter   *milter.Server
	notifier *notify.Notifier
	keeper   *keeper
	mail     []door
	web      []webServer
	stopping atomic.Bool
	watch    watcher // of the goroutine that runs wait
}

// webServer is one HTTP server with its listener.
type webServer struct {
	*http.Server
	door
}

// newDaemon opens every socket and makes every part; nothing runs yet. After an
// error nothing is left open.
func newDaemon(source configuration, config *settings.Settings, log *slog.Logger, level *slog.LevelVar) (_ *daemonProcess, err error) {
	d := &daemonProcess{source: source, log: log, level: level}
	d.settings.Store(config)
	defer func() {
		if err != nil {
			d.closeDoors()
		}
	}()
	if err := os.MkdirAll(config.StateDir, 0o750); err != nil {
		return nil, usageError(fmt.Errorf("state_dir: %w; make it, or let this user write there", err))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	d.metrics = metrics.New(registry)
	d.metrics.Reload(true, time.Now())

	if d.resolver, err = d.newResolver(config.Resolver); err != nil {
		return nil, startError(err)
	}
	if err := d.openMail(config.Listen); err != nil {
		return nil, startError(err)
	}
	if err := d.openWeb(config, registry); err != nil {
		return nil, startError(err)
	}
	if d.keeper, err = newKeeper(d); err != nil {
		return nil, err
	}
	d.notifier = notify.New(d.notifyConfig(config))
	door := &inbound.Config{
		Filter:   filter.New(d.resolver, time.Now),
		Settings: d.settings.Load,
		Observer: observer{Metrics: d.metrics, notifier: d.notifier},
		Recorder: d.keeper,
		Taps:     []inbound.Tap{inbound.BounceTap{Take: d.keeper.bounced}},
		Log:      log,
		Now:      time.Now,
	}
	d.milter = milter.NewServer(milter.Config{
		NewSession:     door.NewSession,
		RcptReplies:    door.RcptReplies,
		MaxConnections: config.Limits.Connections,
		Trouble:        d.trouble,
		Log:            log,
	})
	d.registerCounts(registry)
	return d, nil
}

// startError gives an error that kept the daemon from starting its exit code. A
// host that has no name server or no address yet, as early in a boot, is trouble
// that passes: the supervisor is to try again. Everything else is a fault of the
// configuration, which stays.
func startError(err error) error {
	var lookUp *net.DNSError
	if errors.As(err, &lookUp) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return troubleError(err)
	}
	return usageError(err)
}

func (d *daemonProcess) newResolver(r settings.Resolver) (*resolver.Client, error) {
	c := resolverConfig(r)
	c.Observe = d.metrics.Query
	return resolver.New(c)
}

// resolverConfig is what the configuration says of the resolver.
func resolverConfig(r settings.Resolver) resolver.Config {
	return resolver.Config{Servers: r.Servers, Timeout: r.Timeout, CacheEntries: r.CacheEntries}
}

// trouble is the answer for a message that dmarcd itself could not finish.
func (d *daemonProcess) trouble() milter.Reply {
	if d.settings.Load().OnTrouble == settings.TroubleDefer {
		return milter.Reply{Code: 451, Enhanced: "4.3.0", Text: "the mail filter could not finish; please try again later"}
	}
	return milter.Reply{}
}

func (d *daemonProcess) openMail(sockets []settings.Listen) error {
	for _, l := range sockets {
		a, err := milter.ParseAddress(l.Socket)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		listener, err := milter.Listen(a, l.Mode, l.Group)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		d.mail = append(d.mail, door{Listener: listener, name: l.Socket})
	}
	return nil
}

func (d *daemonProcess) openWeb(config *settings.Settings, registry *prometheus.Registry) error {
	show := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	type server struct {
		address string
		config  console.Config
		tls     bool
	}
	h := config.HTTP
	for _, s := range []server{
		{address: h.Listen, config: console.Config{Ready: d.ready, Metrics: show}, tls: h.TLSCert != ""},
		{address: h.MetricsListen, config: console.Config{Ready: d.ready, Metrics: show}},
	} {
		if s.address == "" {
			continue
		}
		l, err := net.Listen("tcp", s.address)
		if err != nil {
			return fmt.Errorf("http: %w; set http.listen to another address, or to \"\" for none", err)
		}
		if s.tls {
			cert, err := tls.LoadX509KeyPair(config.Path(h.TLSCert), config.Path(h.TLSKey))
			if err != nil {
				return errors.Join(fmt.Errorf("http.tls_cert: %w", err), l.Close())
			}
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		}
		d.web = append(d.web, webServer{Server: console.New(s.config), door: door{Listener: l, name: s.address}})
	}
	return nil
}

func (d *daemonProcess) closeDoors() {
	for _, l := range d.mail {
		_ = l.Close() // it was never used
	}
	for _, w := range d.web {
		_ = w.door.Close() // it was never used
	}
	if d.keeper != nil {
		d.keeper.close(context.Background())
	}
	if d.resolver != nil {
		d.resolver.Close()
	}
	if d.notifier != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		d.closeNotifier(ctx)
	}
}

// ready says why mail is not being filtered; nil while it is.
func (d *daemonProcess) ready() error {
	if d.stopping.Load() {
		return errors.New("stopping")
	}
	return nil
}

// run serves until ctx ends, then drains.
func (d *daemonProcess) run(ctx context.Context, hangup <-chan os.Signal) error {
	failed := make(chan error, len(d.mail)+len(d.web))
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
		d.log.Info("serving http", "address", w.door.Addr().String())
	}
	d.keeper.run()
	d.tellSystemd(daemon.SdNotifyReady)
	d.log.Info("ready", "version", version, "mode", string(d.settings.Load().Policy.Mode),
		"managed_domains", d.settings.Load().Policy.ManagedDomains())
	err := d.wait(ctx, hangup, failed)
	d.stop()
	serving.Wait()
	return err
}

// wait handles reloads and the watchdog until the daemon is to end.
func (d *daemonProcess) wait(ctx context.Context, hangup <-chan os.Signal, failed <-chan error) error {
	var watchdog <-chan time.Time
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		t := time.NewTicker(every / 2)
		defer t.Stop()
		watchdog = t.C
	}
	d.watch.loaded(policyFiles(d.settings.Load()), nil)
	look := time.NewTicker(watchEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if d.watch.changed() {
				d.reload(d.loadPolicy)
			}
		case err := <-failed:
			return troubleError(err)
		case <-hangup:
			d.reload(d.source.load)
		case <-watchdog:
			d.tellSystemd(daemon.SdNotifyWatchdog)
		}
	}
}

// stop answers mail in flight and closes everything.
func (d *daemonProcess) stop() {
	d.stopping.Store(true)
	d.tellSystemd(daemon.SdNotifyStopping)
	d.log.Info("stopping: mail in flight is answered first")
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := d.milter.Shutdown(ctx); err != nil {
		d.log.Warn("some mail in flight was cut off", "error", err.Error())
	}
	for _, w := range d.web {
		if err := w.Shutdown(ctx); err != nil {
			d.log.Warn("http shutdown", "error", err.Error())
		}
	}
	d.closeNotifier(ctx)
	d.keeper.close(ctx)
	d.resolver.Close()
	d.log.Info("stopped")
}

// tellSystemd reports a state; without systemd it does nothing.
func (d *daemonProcess) tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("sd_notify", "error", err.Error())
	}
}
