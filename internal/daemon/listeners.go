package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"dmarcd/internal/console"
	"dmarcd/internal/errkind"
	"dmarcd/internal/journal"
	"dmarcd/internal/milter"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// listener is a listener with its name for people.
type listener struct {
	net.Listener
	name string
}

// webServer is one HTTP server with its listener.
type webServer struct {
	*http.Server
	listener
}

// startError sets the kind of an error that prevented the start. Refusals by the system, such as a
// port in use, a full or read-only disk, or a failed look-up early in a boot, can pass or be
// repaired without a change of the configuration: the supervisor should retry. Everything else is
// a fault of the configuration, which stays.
func startError(err error) error {
	var (
		kind   *errkind.Error
		lookUp *net.DNSError
		system syscall.Errno
		file   *fs.PathError
	)
	switch {
	case errors.As(err, &kind):
		return err
	case errors.Is(err, store.ErrConfig):
		return errkind.Wrap(errkind.WrongUse, err)
	case errors.As(err, &lookUp), errors.As(err, &system), errors.As(err, &file),
		errors.Is(err, milter.ErrInUse), errors.Is(err, journal.ErrLocked), errors.Is(err, store.ErrSchema), errors.Is(err, store.ErrUnavailable):
		return errkind.Wrap(errkind.Trouble, err)
	}
	return errkind.Wrap(errkind.WrongUse, err)
}

func (d *Daemon) openMail(sockets []settings.Listen) error {
	for _, l := range sockets {
		a, err := milter.ParseAddress(l.Socket)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		opened, err := milter.Listen(a, l.Mode, l.Group)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		d.mail = append(d.mail, listener{Listener: opened, name: l.Socket})
	}
	return nil
}

// openWeb opens the listeners for HTTP. That of the console is shut while it is reachable from
// outside and has no user.
func (d *Daemon) openWeb(config *settings.Settings, registry *prometheus.Registry) error {
	show := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	h := config.HTTP
	if h.MetricsListen != "" {
		l, err := listenWeb("http.metrics_listen", h.MetricsListen)
		if err != nil {
			return err
		}
		d.web = append(d.web, webServer{Server: console.New(console.Config{Ready: d.ready, Metrics: show}), listener: listener{Listener: boundedWeb(l), name: h.MetricsListen}})
	}
	if h.Listen == "" {
		return nil
	}
	pages := &console.PageConfig{
		Service: d.service(), Version: d.version, Log: d.log, Secure: h.TLSCert != "", Proxy: console.Proxy{Header: h.Proxy.Header, Network: h.Proxy.Network},
	}
	var l net.Listener
	var err error
	if h.Loopback() {
		if l, err = listenWeb("http.listen", h.Listen); err != nil {
			return err
		}
	} else {
		d.shut = newShutListener(h.Listen, d.accounts.Any, d.log)
		l = d.shut
	}
	l = boundedWeb(l)
	if h.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(config.Path(h.TLSCert), config.Path(h.TLSKey))
		if err != nil {
			return errors.Join(certError(err), l.Close())
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	server := console.New(console.Config{Ready: d.ready, Metrics: show, Pages: pages, Loopback: h.Loopback()})
	server.ErrorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)
	d.web = append(d.web, webServer{Server: server, listener: listener{Listener: l, name: h.Listen}})
	return nil
}

// mostWeb bounds the open connections of a listener for HTTP: they must not use up the file
// descriptors that mail needs.
const mostWeb = 512

// boundedWeb returns a listener that delays further clients until others are gone.
func boundedWeb(l net.Listener) net.Listener { return netutil.LimitListener(l, mostWeb) }

func listenWeb(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	return l, webError(key, err)
}

// webError explains why a port of HTTP cannot be opened; nil for nil.
func webError(key string, err error) error {
	if err == nil {
		return nil
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = fmt.Errorf("%s cannot be opened: %w", op.Addr, op.Err)
	}
	return fmt.Errorf("%s: %w; set it to another address, or to \"\" for none", key, err)
}

// certError explains why the certificate of the console is unusable. It needs a repair.
func certError(err error) error {
	return errkind.Errorf(errkind.WrongUse, "http.tls_cert: %w", err)
}

// closeListeners closes the unused ones.
func (d *Daemon) closeListeners() {
	for _, l := range d.mail {
		_ = l.Close()
	}
	for _, w := range d.web {
		_ = w.listener.Close()
	}
}
