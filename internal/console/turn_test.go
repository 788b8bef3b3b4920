package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/account/accounttest"
)

// slowReader is a client that does not read its answer.
type slowReader struct {
	*httptest.ResponseRecorder
	answered chan<- struct{}
	reading  <-chan struct{}
	extended bool // its deadline was put off
}

func (s *slowReader) Write(b []byte) (int, error) {
	s.answered <- struct{}{}
	<-s.reading
	return s.ResponseRecorder.Write(b)
}

func (s *slowReader) SetReadDeadline(time.Time) error { s.extended = true; return nil }

// TestSlowReadersKeepNobodyWaiting has as many answers unread as are made at a time.
func TestSlowReadersKeepNobodyWaiting(t *testing.T) {
	r := newRig(t)
	answered, reading := make(chan struct{}), make(chan struct{})
	defer close(reading)
	for n := range 2 * atOnce {
		path := []string{"/help", "/api/v1/policy.list"}[n%2]
		q := httptest.NewRequest("GET", path, nil)
		q.RemoteAddr, q.Host = "127.0.0.1:4711", "localhost:8894"
		go r.handler.ServeHTTP(&slowReader{ResponseRecorder: httptest.NewRecorder(), answered: answered, reading: reading}, q)
		select {
		case <-answered:
		case <-time.After(10 * time.Second):
			t.Fatalf("answer %d waits for those that nobody reads", n)
		}
	}
}

// TestSlowExports has one user leave as many exports unread as are made at a time.
func TestSlowExports(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	r.user("ben", account.RoleViewer, mine)
	answered, reading := make(chan struct{}, 64), make(chan struct{})
	defer close(reading)
	export := func(user string) {
		q := httptest.NewRequest("GET", "/analysis/details.csv", nil)
		q.RemoteAddr, q.Host = "127.0.0.1:4711", "localhost:8894"
		for _, c := range r.login(user).cookies {
			q.AddCookie(c)
		}
		go r.handler.ServeHTTP(&slowReader{ResponseRecorder: httptest.NewRecorder(), answered: answered, reading: reading}, q)
	}
	for range slowAtOnce {
		export("ben")
	}
	export("aiko")
	for n := range slowEach + 1 {
		select {
		case <-answered:
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d exports are under way", n)
		}
	}
}

// TestStrangersKeepNobodyWaiting has as many people log in as are let at a time.
func TestStrangersKeepNobodyWaiting(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	b := r.login("aiko")
	s := newSite(r.pages, true)
	r.handler = s.gate(http.NotFoundHandler())
	for range cap(s.login) {
		s.login <- struct{}{}
	}
	if got := b.get("/help"); got.Code != http.StatusOK {
		t.Errorf("%d", got.Code)
	}
	over, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	stranger := r.browser()
	stranger.change = func(q *http.Request) { *q = *q.WithContext(over) }
	if got := stranger.get("/login"); got.Body.Len() > 0 {
		t.Errorf("a stranger has a turn of those who are logged in: %s", got.Body)
	}
}

// TestStrangersAreNotWaitedFor sends the form for logging in as an upload.
func TestStrangersAreNotWaitedFor(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	q := httptest.NewRequest("POST", "/login", strings.NewReader("--x--\r\n"))
	q.RemoteAddr, q.Host = "127.0.0.1:4711", "localhost:8894"
	q.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	reading := make(chan struct{})
	close(reading)
	w := &slowReader{ResponseRecorder: httptest.NewRecorder(), answered: make(chan struct{}, 10), reading: reading}
	r.handler.ServeHTTP(w, q)
	if w.extended {
		t.Error("somebody who is not logged in may take minutes to send a form")
	}
}

// brokenUsers is a store that fails where a user is read.
type brokenUsers struct{ *accounttest.Store }

func (brokenUsers) User(context.Context, string) (account.User, error) {
	return account.User{}, errors.New("dial tcp 10.0.0.5:5432: connection refused")
}

// TestStrangersAreToldNothing logs in while the store fails: this host is told why.
func TestStrangersAreToldNothing(t *testing.T) {
	r := newRig(t)
	broken := brokenUsers{accounttest.New()}
	if err := broken.AddUser(t.Context(), account.User{Name: "aiko", Role: account.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	r.service.Accounts = account.New(broken, r.service.Now)
	r.loop, r.pages.Secure = false, true
	r.start()
	for address, told := range map[string]bool{"198.51.100.1:1": false, "127.0.0.1:1": true} {
		b := r.browser()
		b.change = func(q *http.Request) { q.RemoteAddr = address }
		got := b.post("/login", map[string][]string{"name": {"aiko"}, "password": {password}})
		if got.Code != http.StatusServiceUnavailable || strings.Contains(got.Body.String(), "10.0.0.5") != told {
			t.Errorf("%s: %d %s", address, got.Code, got.Body)
		}
	}
}

// TestLargeRequests sends what is longer than a request that chooses something.
func TestLargeRequests(t *testing.T) {
	r := newRig(t)
	r.user("ben", account.RoleViewer)
	token := r.token("ben", account.ScopeRead)
	padding := strings.Repeat(" ", 2*maxForm)
	for operation, want := range map[string]int{
		"messages.list":   http.StatusBadRequest,
		"policy.simulate": http.StatusOK, // a policy may be long
	} {
		body := `{}` + padding
		if operation == "policy.simulate" {
			body = `{"files":[{"path":"/etc/dmarcd/new.yaml","text":"mode: monitor\n"}]}` + padding
		}
		if got := r.asked("POST", apiPath+operation, token, body); got.Code != want {
			t.Errorf("%s: %d %s", operation, got.Code, got.Body)
		}
	}
}
