package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"dmarcd/internal/account"
	"dmarcd/internal/account/accounttest"
)

// TestForeignHosts asks a console without users by names that are not its own, as a page
// does whose name was made to lead there.
func TestForeignHosts(t *testing.T) {
	r := newRig(t)
	for host, want := range map[string]bool{
		"127.0.0.1:8894": true, "localhost:8894": true, "LOCALHOST": true, "dmarcd.localhost:8894": true, "[::1]:8894": true, "127.8.8.8": true,
		"localhost.": true, "[::ffff:127.0.0.1]:8894": true, "": true,
		"evil.example:8894": false, "localhost.evil.example": false, "192.0.2.1:8894": false, "127.0.0.1.evil.example": false, "[::2]:8894": false, "0.0.0.0": false,
	} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/", "/mail/status", "/assets/style.css"} {
			b := r.browser()
			b.change = func(q *http.Request) { q.Host = host }
			got := b.get(path)
			if answered := got.Code == http.StatusOK; answered != want {
				t.Errorf("%s of %q: %d", path, host, got.Code)
			}
		}
	}
}

// TestGate asks as clients of all kinds.
func TestGate(t *testing.T) {
	inside := netip.MustParsePrefix("10.0.0.0/8")
	from := func(address string, fields ...string) func(*http.Request) {
		return func(q *http.Request) {
			q.RemoteAddr = address
			for i := 0; i+1 < len(fields); i += 2 {
				if fields[i] == "Host" {
					q.Host = fields[i+1]
				} else {
					q.Header.Add(fields[i], fields[i+1])
				}
			}
		}
	}
	cases := []struct {
		name           string
		users          bool
		loopback, tls  bool
		proxy          Proxy
		change         func(*http.Request)
		page, metrics  int
		sessionsSecure bool
	}{
		{name: "no user, this host", loopback: true, change: from("127.0.0.1:1"), page: 200, metrics: 200},
		{name: "no user, a proxy that nobody told of", loopback: true, change: from("127.0.0.1:1", "X-Forwarded-For", "198.51.100.1"), page: 421, metrics: 404},
		{name: "no user, a proxy that names nobody", loopback: true, change: from("127.0.0.1:1", "Via", "1.1 cache"), page: 421, metrics: 404},
		{name: "no user, the proxy", loopback: true, proxy: Proxy{"X-Real-Ip", netip.MustParsePrefix("127.0.0.0/8")}, change: from("127.0.0.1:1", "X-Real-Ip", "127.0.0.1"), page: 421, metrics: 404},
		{name: "users, this host", users: true, loopback: true, change: from("127.0.0.1:1"), page: 303, metrics: 200},
		{name: "users, another name", users: true, loopback: true, change: from("127.0.0.1:1", "Host", "dmarcd.example.org"), page: 303, metrics: 404},
		{name: "users, the proxy", users: true, loopback: true, proxy: Proxy{"X-Real-Ip", netip.MustParsePrefix("127.0.0.0/8")}, change: from("127.0.0.1:1", "X-Real-Ip", "198.51.100.1"), page: 303, metrics: 404, sessionsSecure: true},
		{name: "off loopback, no TLS", users: true, change: from("198.51.100.1:1"), page: 403, metrics: 403},
		{name: "off loopback, TLS", users: true, tls: true, change: from("198.51.100.1:1", "Host", "dmarcd.example.org"), page: 303, metrics: 404, sessionsSecure: true},
		{name: "off loopback, TLS, metrics by a loopback name", users: true, tls: true, change: from("127.0.0.1:1", "Host", "localhost"), page: 303, metrics: 404, sessionsSecure: true},
		{name: "off loopback, TLS, no user", tls: true, change: from("127.0.0.1:1", "Host", "localhost"), page: 421, metrics: 404},
		{name: "off loopback, the proxy", users: true, proxy: Proxy{"X-Real-Ip", inside}, change: from("10.1.1.1:1", "X-Real-Ip", "198.51.100.1"), page: 303, metrics: 404, sessionsSecure: true},
		{name: "off loopback, past the proxy", users: true, proxy: Proxy{"X-Real-Ip", inside}, change: from("198.51.100.1:1", "X-Real-Ip", "127.0.0.1"), page: 403, metrics: 403},
		{name: "off loopback, the proxy says nothing", users: true, proxy: Proxy{"X-Real-Ip", inside}, change: from("10.1.1.1:1"), page: 400, metrics: 400},
		{name: "off loopback, the proxy says nonsense", users: true, proxy: Proxy{"X-Real-Ip", inside}, change: from("10.1.1.1:1", "X-Real-Ip", "unknown"), page: 400, metrics: 400},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if c.users {
				r.user("aiko", account.RoleAdmin)
			}
			r.loop, r.pages.Secure, r.pages.Proxy = c.loopback, c.tls, c.proxy
			r.start()
			b := r.browser()
			b.change = c.change
			if got := b.get("/mail/status"); got.Code != c.page {
				t.Errorf("page: %d, want %d: %s", got.Code, c.page, got.Body)
			}
			if got := b.get("/metrics"); got.Code != c.metrics {
				t.Errorf("metrics: %d, want %d", got.Code, c.metrics)
			}
			if c.page == http.StatusSeeOther {
				got := b.post("/login", map[string][]string{"name": {"aiko"}, "password": {password}})
				cookie := got.Header().Get("Set-Cookie")
				if strings.HasPrefix(cookie, "__Host-") != c.sessionsSecure || strings.Contains(cookie, "; Secure") != c.sessionsSecure {
					t.Errorf("cookie %q", cookie)
				}
			}
		})
	}
}

// TestProxyTellsTheAddress limits logins by the address that the proxy tells, the last
// one that stands there.
func TestProxyTellsTheAddress(t *testing.T) {
	s := &site{PageConfig: PageConfig{Proxy: Proxy{"X-Forwarded-For", netip.MustParsePrefix("127.0.0.0/8")}}}
	for field, want := range map[string]string{
		"198.51.100.1": "198.51.100.1", "203.0.113.9, 198.51.100.1": "198.51.100.1", "::ffff:198.51.100.1": "198.51.100.1", "198.51.100.1:4711": "198.51.100.1",
		"2001:db8::1": "2001:db8::1", "[2001:db8::1]:4711": "2001:db8::1",
	} {
		q := httptest.NewRequest("GET", "/", nil)
		q.RemoteAddr = "127.0.0.1:1"
		q.Header.Add("X-Forwarded-For", "192.0.2.250") // what the client wrote
		q.Header.Add("X-Forwarded-For", field)
		if c, err := s.clientOf(q); err != nil || c.address.String() != want {
			t.Errorf("%q: %s, %v", field, c.address, err)
		}
	}
}

// TestStoreAway asks while the store cannot say whether there are users: this host is
// told so, and nobody else is answered.
func TestStoreAway(t *testing.T) {
	r := newRig(t)
	away := accounttest.New()
	away.Trouble = errors.New("store: unavailable")
	r.service.Accounts = account.New(away, r.service.Now)
	r.start()
	b := r.browser()
	for path, want := range map[string]int{"/": 503, "/mail": 503, "/api/v1/status": 503, "/healthz": 200, "/metrics": 200} {
		if got := b.get(path); got.Code != want || want == 503 && path != "/api/v1/status" && !strings.Contains(got.Body.String(), "Mail is not affected") {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	b.change = func(q *http.Request) { q.Host = "dmarcd.example.org" }
	if got := b.get("/"); got.Code != http.StatusMisdirectedRequest {
		t.Errorf("by another name: %d", got.Code)
	}
}
