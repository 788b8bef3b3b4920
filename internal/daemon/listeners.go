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

// listener is one listener and how it is named to people.
type listener struct {
	net.Listener
	name string
}

// webServer is one HTTP server with its listener.
type webServer struct {
	*http.Server
	listener
}

// startError gives an error that kept the daemon from starting its kind. What the
// system refuses, such as a port in use, a full or read-only disk, or a look-up early in
// a boot, can pass or be mended without touching the configuration: the supervisor is to
// try again. Everything else is a fault of the configuration, which stays.
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

// openWeb opens the listeners for HTTP. That of the console is shut while it can be
// reached from outside and has no user.
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

// mostWeb is how many connections a listener for HTTP has open at a time: they must not
// take the files that mail needs.
const mostWeb = 512

// boundedWeb is a listener that lets further clients wait until others are gone.
func boundedWeb(l net.Listener) net.Listener { return netutil.LimitListener(l, mostWeb) }

func listenWeb(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	return l, webError(key, err)
}

// webError is why a port of HTTP cannot be opened; nil for nil.
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

// certError is why the certificate of the console cannot be used. It stays until
// somebody mends it.
func certError(err error) error {
	return errkind.Errorf(errkind.WrongUse, "http.tls_cert: %w", err)
}

// closeListeners closes those that were never used.
func (d *Daemon) closeListeners() {
	for _, l := range d.mail {
		_ = l.Close()
	}
	for _, w := range d.web {
		_ = w.listener.Close()
	}
}
