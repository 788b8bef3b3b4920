package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
)

// PageConfig configures the pages. They use only the operations of Service.
type PageConfig struct {
	Service *api.Service
	Version string // of the program
	Log     *slog.Logger
	// Secure means that the listener uses TLS.
	Secure bool
	// Proxy terminates TLS in front of us; zero for none.
	Proxy Proxy
}

// Proxy is a trusted reverse proxy.
type Proxy struct {
	Header  string       // whose last value is the client's address
	Network netip.Prefix // that it speaks from
}

// Pages that are made at a time: mail has priority. Requests that wait for others or take long do not
// block the rest.
const (
	atOnce     = 4
	slowAtOnce = 4
	slowEach   = 2 // of them one user's: who reads an export slowly keeps no others from theirs
)

// Bounds of a request.
const (
	maxForm   = 256 << 10
	maxUpload = 48 << 20
)

// site serves the pages.
type site struct {
	PageConfig
	accounts *account.Service
	loopback bool // the listener cannot be reached from outside
	assets   map[string]asset
	working  chan struct{}
	slow     chan struct{}
	login    chan struct{}              // of those who are not logged in: they keep nobody waiting who is
	pages    func() (*templates, error) // parsed at the first request
	openAPI  func() ([]byte, error)     // made at the first request
	users    userMemory
	mu       sync.Mutex
	slowOf   map[string]chan struct{} // by user; guarded by mu
}

//go:embed assets
var assetFiles embed.FS

// asset is a file of the pages, named by its content.
type asset struct {
	body []byte
	kind string
	tag  string
}

func newSite(c PageConfig, loopback bool) *site {
	s := &site{PageConfig: c, accounts: c.Service.Accounts, loopback: loopback, assets: map[string]asset{}, working: make(chan struct{}, atOnce), slow: make(chan struct{}, slowAtOnce), login: make(chan struct{}, atOnce),
		slowOf: map[string]chan struct{}{}}
	for name, kind := range map[string]string{
		"style.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "favicon.svg": "image/svg+xml",
	} {
		body, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(fmt.Sprintf("console: %s is not embedded: %v", name, err))
		}
		sum := sha256.Sum256(body)
		s.assets[name] = asset{body: body, kind: kind, tag: hex.EncodeToString(sum[:6])}
	}
	s.pages = sync.OnceValues(func() (*templates, error) { return parseTemplates(s.assetURL) })
	s.openAPI = sync.OnceValues(func() ([]byte, error) { return describe(published()) })
	return s
}

func (s *site) assetURL(name string) string { return "/assets/" + name + "?" + s.assets[name].tag }

func (s *site) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[path.Base(r.URL.Path)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.body) // a client that went away is no concern of ours
}

// policyOfPages forbids a page to load anything from outside, and inline scripts and styles.
const policyOfPages = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secured sets the header fields of every answer.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyOfPages)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// handler serves assets and pages.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/", s.serveAsset)
	for pattern, do := range s.routes() {
		mux.Handle(pattern, s.page(do))
	}
	mux.HandleFunc(apiPath, s.serveAPI)
	mux.HandleFunc("GET /api/openapi.json", s.serveOpenAPI)
	mux.Handle("/", s.page(func(*visit) error { return errNoPage }))
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// turn returns the queue in which a request waits.
func (s *site) turn(r *http.Request) chan struct{} {
	p := r.URL.Path
	for _, slow := range []string{"/analysis/config/", "/analysis/readiness/", "/policy/simulate", "/api/v1/record.", "/api/v1/readiness", "/api/v1/policy.simulate", "/api/v1/analysis.export", "/api/v1/analysis.ledger"} {
		if strings.HasPrefix(p, slow) {
			return s.slow
		}
	}
	if strings.HasSuffix(p, asCSV) || strings.HasSuffix(p, "/raw") || r.Method == http.MethodPost && (p == "/analysis/reports" || p == apiPath+"analysis.ingest") {
		return s.slow
	}
	return s.working
}

// slowTurns returns the queue of one user's slow requests, ahead of the common one.
func (s *site) slowTurns(user string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	turns := s.slowOf[user]
	if turns == nil {
		turns = make(chan struct{}, slowEach)
		s.slowOf[user] = turns
	}
	return turns
}

// userMemory remembers that there are users, so that not every request checks.
type userMemory struct {
	mu   sync.Mutex
	seen time.Time
}

const usersKnownFor = 2 * time.Second

// anyUser reports whether there is a user. An error is trouble of the store.
func (s *site) anyUser(r *http.Request) (bool, error) {
	s.users.mu.Lock()
	known := time.Since(s.users.seen) < usersKnownFor
	s.users.mu.Unlock()
	if known {
		return true, nil
	}
	found, err := s.accounts.Any(r.Context())
	if found && err == nil {
		s.users.mu.Lock()
		s.users.seen = time.Now()
		s.users.mu.Unlock()
	}
	return found, err
}
