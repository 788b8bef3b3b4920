package console

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// noon is when the tests happen.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const (
	mine    = "ours.example"
	foreign = "foreign.example"
	// password is that of every user of the tests.
	password = "correct horse battery"
)

// rig is a console over a real store.
type rig struct {
	t       *testing.T
	store   *store.Store
	service *api.Service
	config  *settings.Settings
	pages   PageConfig
	loop    bool
	handler http.Handler
}

// newRig makes a console on loopback without users.
func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:test.db", Dir: t.TempDir(), Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	config := settings.Default("mx.example.org")
	policy, _, err := settings.ReadTexts([]settings.Text{{Path: "/etc/dmarcd/policy.yaml", Data: []byte(
		"domains:\n  " + mine + ": {mode: monitor}\n  " + foreign + ": {dmarc: {exceptions: [192.0.2.7]}}\n")}})
	if err != nil {
		t.Fatal(err)
	}
	config.Policy = *policy
	config.Analysis.Domains = []dns.Name{dns.MustParse(mine), dns.MustParse(foreign)}
	now := func() time.Time { return noon }
	r := &rig{t: t, store: s, config: config, loop: true}
	r.service = &api.Service{
		Settings: func() *settings.Settings { return config }, Memory: s, Held: s, Policies: s, Host: "mx1.example.org", Daemon: calmDaemon{}, Received: s,
		DNS: ttlZone{dnstest.MustZone("")}, Accounts: account.New(s, now), Now: now,
	}
	r.service.Reports = outgoing.New(outgoing.Options{Store: s.Reports(), Log: slog.New(slog.DiscardHandler), Now: now}, outgoing.Config{}).Service()
	r.pages = PageConfig{Service: r.service, Version: "1.2.3", Log: slog.New(slog.DiscardHandler)}
	r.start()
	return r
}

// start makes the handler of what is set.
func (r *rig) start() {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "counts\n") })
	r.handler = New(Config{Ready: func() error { return nil }, Metrics: metrics, Pages: &r.pages, Loopback: r.loop}).Handler
}

// calmDaemon is one without trouble.
type calmDaemon struct{}

func (calmDaemon) Status(context.Context) api.Status {
	return api.Status{Version: "1.2.3", Started: noon, Mode: "enforce", Store: api.StoreStatus{URL: "sqlite:test.db", Up: true},
		Sockets: []api.SocketStatus{{Socket: "inet:8893@127.0.0.1"}}}
}

// ttlZone is a zone whose records live for an hour.
type ttlZone struct{ *dnstest.Zone }

func (z ttlZone) LookupTTL(ctx context.Context, name dns.Name) ([]string, time.Duration, error) {
	texts, err := z.LookupTXT(ctx, name)
	return texts, time.Hour, err
}

// user adds a user.
func (r *rig) user(name string, role account.Role, domains ...string) {
	r.t.Helper()
	u := account.NewUser{User: account.User{Name: name, Role: role}, Password: password}
	for _, d := range domains {
		u.Domains = append(u.Domains, dns.MustParse(d))
	}
	if err := r.service.Accounts.Add(r.t.Context(), u); err != nil {
		r.t.Fatal(err)
	}
}

// browser keeps a session.
type browser struct {
	*rig
	cookies []*http.Cookie
	change  func(*http.Request) // before each request; nil for nothing
}

func (r *rig) browser() *browser { return &browser{rig: r} }

// login logs in and expects that to work.
func (r *rig) login(name string) *browser {
	r.t.Helper()
	b := r.browser()
	if got := b.post("/login", url.Values{"name": {name}, "password": {password}}); got.Code != http.StatusSeeOther {
		r.t.Fatalf("login: %d %s", got.Code, got.Body)
	}
	return b
}

func (b *browser) do(q *http.Request) *httptest.ResponseRecorder {
	q.RemoteAddr = "127.0.0.1:4711"
	q.Host = "localhost:8894"
	for _, c := range b.cookies {
		q.AddCookie(c)
	}
	if b.change != nil {
		b.change(q)
	}
	answer := httptest.NewRecorder()
	b.handler.ServeHTTP(answer, q)
	b.cookies = append(b.cookies, answer.Result().Cookies()...)
	return answer
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	return b.do(httptest.NewRequest(http.MethodGet, target, nil))
}

// page gets a page and expects it to be one.
func (b *browser) page(target string) string {
	b.t.Helper()
	got := b.get(target)
	if got.Code != http.StatusOK || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
		b.t.Fatalf("%s: %d, %s", target, got.Code, got.Body)
	}
	return got.Body.String()
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// post sends a form with the token of the session.
func (b *browser) post(target string, form url.Values) *httptest.ResponseRecorder {
	if len(b.cookies) > 0 && form.Get("form") == "" {
		if m := formField.FindStringSubmatch(b.get("/account").Body.String()); m != nil {
			form.Set("form", m[1])
		}
	}
	q := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(q)
}
