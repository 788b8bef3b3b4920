package console

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestPages asks for each page while mail is filtered, and while it is not.
func TestPages(t *testing.T) {
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
		{"no such page", Config{Ready: ready}, "GET", "/", 404, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			New(c.config).Handler.ServeHTTP(answer, httptest.NewRequest(c.method, c.path, nil))
			if answer.Code != c.status || c.body != "" && answer.Body.String() != c.body {
				t.Errorf("got %d %q, want %d %q", answer.Code, answer.Body, c.status, c.body)
			}
		})
	}
}

// TestForeignHosts asks a server on loopback by names that are not its own, as a page
// does whose name was made to lead there.
func TestForeignHosts(t *testing.T) {
	c := Config{Ready: func() error { return nil }, Metrics: http.NotFoundHandler(), Loopback: true}
	for host, want := range map[string]bool{
		"127.0.0.1:8894": true, "localhost:8894": true, "LOCALHOST": true, "dmarcd.localhost:8894": true, "[::1]:8894": true, "127.8.8.8": true,
		"localhost.": true, "[::ffff:127.0.0.1]:8894": true, "": true,
		"evil.example:8894": false, "localhost.evil.example": false, "192.0.2.1:8894": false, "127.0.0.1.evil.example": false, "[::2]:8894": false, "0.0.0.0": false,
	} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			answer := httptest.NewRecorder()
			New(c).Handler.ServeHTTP(answer, r)
			if got := answer.Code != http.StatusMisdirectedRequest; got != want {
				t.Errorf("%s of %q: %d", path, host, answer.Code)
			}
		}
	}
	c.Loopback = false
	r := httptest.NewRequest("GET", "/readyz", nil)
	r.Host = "mx.example.org:9100"
	answer := httptest.NewRecorder()
	if New(c).Handler.ServeHTTP(answer, r); answer.Code != http.StatusOK {
		t.Errorf("metrics_listen: %d", answer.Code)
	}
}
