// Package console serves dmarcd over HTTP: the probes for load balancers and
// service managers, and the metrics.
package console

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Config is what the server shows.
type Config struct {
	Ready   func() error // nil while mail is being filtered; else why not
	Metrics http.Handler // serves /metrics; nil: not here
	// Loopback tells that the server listens on loopback, without users: only those who
	// address it by a loopback name are answered, so that no page of a browser's can read
	// it under a name of its own.
	Loopback bool
}

// New makes the HTTP server. The caller serves a listener with it and shuts it down.
func New(c Config) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.Ready(); err != nil {
			plain(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, "ready\n")
	})
	if c.Metrics != nil {
		mux.Handle("GET /metrics", c.Metrics)
	}
	handler := http.Handler(mux)
	if c.Loopback {
		handler = loopbackHosts(mux)
	}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// loopbackHosts refuses requests to a host of another name. HTTP/1.0 may name none.
func loopbackHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "" && !isLoopback(r.Host) {
			plain(w, http.StatusMisdirectedRequest, "this server answers to localhost and loopback addresses only; http.metrics_listen answers to any name\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback tells whether a Host field names this host by loopback.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // a client that went away is no concern of ours
}
