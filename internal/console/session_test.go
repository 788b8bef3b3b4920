package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dmarcd/internal/account"
)

func TestLoginAndLogout(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	b := r.browser()
	got := b.get("/mail/status?x=1")
	if to := got.Header().Get("Location"); got.Code != http.StatusSeeOther || to != "/login?next=%2Fmail%2Fstatus%3Fx%3D1" {
		t.Fatalf("%d %q", got.Code, to)
	}
	if form := b.page("/login?next=%2Fmail%2Fstatus"); !strings.Contains(form, `name="next" value="/mail/status"`) || strings.Contains(form, "mx1.example.org/") {
		t.Errorf("%s", form)
	}
	wrong := b.post("/login", url.Values{"name": {"aiko"}, "password": {"wrong"}, "next": {"/mail/status"}})
	if wrong.Code != http.StatusForbidden || !strings.Contains(wrong.Body.String(), "Name or password is wrong.") {
		t.Errorf("%d %s", wrong.Code, wrong.Body)
	}
	got = b.post("/login", url.Values{"name": {"aiko"}, "password": {password}, "next": {"/mail/status"}})
	cookie := got.Result().Cookies()[0]
	if got.Header().Get("Location") != "/mail/status" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
		t.Errorf("%q, %+v", got.Header().Get("Location"), cookie)
	}
	if page := b.page("/mail/status"); !strings.Contains(page, "aiko") {
		t.Error("the page does not say who is logged in")
	}
	// The session is ended on the server, not in the browser alone.
	kept := &browser{rig: r, cookies: b.cookies}
	if got := b.post("/logout", url.Values{}); got.Code != http.StatusSeeOther {
		t.Errorf("logout: %d", got.Code)
	}
	if got := kept.get("/mail/status"); got.Code != http.StatusSeeOther {
		t.Errorf("after logout: %d", got.Code)
	}
}

func TestGoingOnAfterLogin(t *testing.T) {
	for next, want := range map[string]string{
		"/mail?x=1": "/mail?x=1", "": "/", "https://evil.example/": "/", "//evil.example/": "/", `/\evil.example`: "/", "mail": "/", "/login?next=x": "/", "javascript:alert(1)": "/",
		"/a\r\nSet-Cookie: x": "/",
	} {
		if got := ownPath(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}

// TestForgedForms sends forms as other sites would.
func TestForgedForms(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	b := r.login("aiko")
	form := url.Values{"name": {"mallory"}, "password": {password}, "role": {"admin"}}
	for name, change := range map[string]func(*http.Request){
		"another site":    func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling":       func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "same-site") },
		"an old browser":  func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") },
		"without a token": func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "same-origin") },
	} {
		body := url.Values{"form": {"x"}}
		for k, values := range form {
			body[k] = values
		}
		b.change = change
		if got := b.post("/users", body); got.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
	// A login in somebody else's name is refused as well.
	b.change = func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }
	if got := b.post("/login", url.Values{"form": {"x"}, "name": {"aiko"}, "password": {password}}); got.Code != http.StatusForbidden {
		t.Errorf("login: %d", got.Code)
	}
	// The token of another session is none.
	b.change = nil
	r.user("ben", account.RoleAdmin)
	theirs := formField.FindStringSubmatch(r.login("ben").page("/account"))[1]
	form.Set("form", theirs)
	if got := b.post("/users", form); got.Code != http.StatusForbidden {
		t.Errorf("another's token: %d", got.Code)
	}
	if _, err := r.store.User(t.Context(), "mallory"); !errors.Is(err, account.ErrNoUser) {
		t.Error("a forged form added a user")
	}
	form.Del("form")
	if got := b.post("/users", form); got.Code != http.StatusSeeOther {
		t.Errorf("an honest form: %d %s", got.Code, got.Body)
	}
}

func TestLoginLimit(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	b := r.browser()
	for range 5 {
		b.post("/login", url.Values{"name": {"aiko"}, "password": {"wrong"}})
	}
	if got := b.post("/login", url.Values{"name": {"aiko"}, "password": {password}}); got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "Too many tries. Again in 5 minutes.") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// TestWithoutUsers reads as whoever is on this host, and changes nothing.
func TestWithoutUsers(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	if page := b.page("/"); !strings.Contains(page, "Nobody has a user yet") || !strings.Contains(page, "smtpd_milters = inet:127.0.0.1:8893") {
		t.Errorf("%s", page)
	}
	if page := b.page("/users"); !strings.Contains(page, "sudo dmarcd user add NAME --role admin") {
		t.Errorf("%s", page)
	}
	for _, path := range []string{"/users", "/account/tokens", "/users/aiko/remove"} {
		if got := b.post(path, url.Values{"name": {"mallory"}, "password": {password}, "role": {"admin"}}); got.Code != http.StatusForbidden {
			t.Errorf("POST %s: %d", path, got.Code)
		}
	}
	if got := b.get("/users/audit"); got.Code != http.StatusForbidden {
		t.Errorf("audit log: %d", got.Code)
	}
}

func TestUserPages(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	b := r.login("aiko")
	if got := b.post("/users", url.Values{"name": {"ben"}, "password": {"short"}, "role": {"viewer"}, "domains": {"ours.example"}}); got.Code != http.StatusBadRequest ||
		!strings.Contains(got.Body.String(), "at least 12 characters") || !strings.Contains(got.Body.String(), `value="ours.example"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	b.post("/users", url.Values{"name": {"ben"}, "password": {password}, "role": {"viewer"}, "domains": {"ours.example, other.example"}})
	ben := r.login("ben")
	if got := ben.get("/users"); got.Code != http.StatusNotFound { // a limited viewer
		t.Errorf("a viewer sees users: %d", got.Code)
	}
	if page := b.page("/users/ben"); !strings.Contains(page, "ours.example, other.example") || strings.Count(page, `name="id"`) != 1 {
		t.Errorf("%s", page)
	}
	b.post("/users/ben/end", url.Values{})
	if got := ben.get("/account"); got.Code != http.StatusSeeOther {
		t.Errorf("a session that was ended: %d", got.Code)
	}
	if page := b.page("/users/audit"); !strings.Contains(page, "users.add") || strings.Contains(page, password) {
		t.Errorf("%s", page)
	}
	b.post("/users/ben/remove", url.Values{})
	if got := r.browser().post("/login", url.Values{"name": {"ben"}, "password": {password}}); got.Code != http.StatusForbidden {
		t.Errorf("a removed user: %d", got.Code)
	}
}

func TestAccountPage(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleViewer)
	b, other := r.login("aiko"), r.login("aiko")
	made := b.post("/account/tokens", url.Values{"label": {"<script>alert(1)</script>"}, "scope": {"read"}, "days": {"30"}})
	if body := made.Body.String(); !strings.Contains(body, "dmarcd_") || strings.Contains(body, "<script>alert") {
		t.Errorf("%s", body)
	}
	if page := b.page("/account"); strings.Contains(page, ">dmarcd_") || !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the token is shown twice, or not listed")
	}
	b.post("/account/preferences", url.Values{"language": {"ja"}, "theme": {"dark"}})
	if page := b.page("/account"); !strings.Contains(page, `<html lang="ja" data-theme="dark">`) {
		t.Errorf("%.200s", page)
	}
	if got := b.post("/account/password", url.Values{"old": {password}, "password": {"another password"}, "again": {"another password"}}); got.Code != http.StatusOK {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := other.get("/account"); got.Code != http.StatusSeeOther {
		t.Errorf("the other session: %d", got.Code)
	}
	if got := b.get("/account"); got.Code != http.StatusOK {
		t.Errorf("this session: %d", got.Code)
	}
}

// TestAnswersAreSealed looks at the header fields of every kind of answer.
func TestAnswersAreSealed(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	for _, path := range []string{"/", "/nothing", "/mail/status", "/assets/style.css"} {
		h := b.get(path).Header()
		for field, want := range map[string]string{
			"Content-Security-Policy": policyOfPages, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if h.Get(field) != want {
				t.Errorf("%s: %s: %q", path, field, h.Get(field))
			}
		}
	}
	if got := b.do(httptest.NewRequest("DELETE", "/mail/status", nil)); got.Code != http.StatusNotFound && got.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", got.Code)
	}
}

func TestAcceptedLanguage(t *testing.T) {
	for field, want := range map[string]language{
		"": english, "ja": japanese, "ja-JP,ja;q=0.9,en;q=0.8": japanese, "en-GB,ja;q=0.9": english, "de,fr;q=0.9": english, "de,ja;q=0.1": japanese, "en;q=0.5,ja;q=0.6": japanese, "ja;q=x": english,
	} {
		if got := acceptedLanguage(field); got != want {
			t.Errorf("%q: %s", field, got)
		}
	}
}
