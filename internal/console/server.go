// Package console serves dmarcd over HTTP: the pages of the console, the same as JSON under /api/v1/,
// the probes for load balancers and service managers, and the metrics. It uses only the operations of
// package api, each with the viewer of the request's session or token.
//
// A page is a function of a visit that collects the answers of operations and names a template. Our
// texts are in words.txt, in English and Japanese. Only html/template escapes foreign text.
package console

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Config configures the server.
type Config struct {
	Ready   func() error // nil while mail is being filtered; else why not
	Metrics http.Handler // serves /metrics; nil: not here
	// Pages are the console's; nil for a server with only probes and metrics, which answers to any name.
	Pages *PageConfig
	// Loopback means that the listener of the pages is unreachable from outside.
	Loopback bool
}

// New returns the HTTP server. The caller serves a listener with it and shuts it down.
func New(c Config) *http.Server {
	probes := http.NewServeMux()
	probes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "ok\n")
	})
	probes.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.Ready(); err != nil {
			plain(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, "ready\n")
	})
	if c.Metrics != nil {
		probes.Handle("GET /metrics", c.Metrics)
	}
	handler := http.Handler(probes)
	if c.Pages != nil {
		handler = newSite(*c.Pages, c.Loopback).gate(probes)
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

// isLoopback reports whether a Host field names this host by loopback.
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
