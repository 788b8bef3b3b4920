package console

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestProbes asks a server of probes and metrics alone, while mail is filtered, and
// while it is not.
func TestProbes(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "counts\n") })
	ready := func() error { return nil }
	stopping := func() error { return errors.New("stopping") }
	cases := []struct {
		name         string
		config       Config
		method, path string
		status       int
		body         string // "" for any
	}{
		{"alive", Config{Ready: stopping}, "GET", "/healthz", 200, "ok\n"},
		{"ready", Config{Ready: ready}, "GET", "/readyz", 200, "ready\n"},
		{"not ready", Config{Ready: stopping}, "GET", "/readyz", 503, "stopping\n"},
		{"metrics", Config{Ready: ready, Metrics: metrics}, "GET", "/metrics", 200, "counts\n"},
		{"metrics elsewhere", Config{Ready: ready}, "GET", "/metrics", 404, ""},
		{"nothing to post to", Config{Ready: ready}, "POST", "/readyz", 405, ""},
		{"no pages", Config{Ready: ready}, "GET", "/", 404, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Host = "mx.example.org:9100" // any name will do
			New(c.config).Handler.ServeHTTP(answer, r)
			if answer.Code != c.status || c.body != "" && answer.Body.String() != c.body {
				t.Errorf("got %d %q, want %d %q", answer.Code, answer.Body, c.status, c.body)
			}
		})
	}
}
