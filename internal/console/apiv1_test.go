package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
)

// TestOpenAPI looks whether every operation is described, and everything that a
// description leads to.
func TestOpenAPI(t *testing.T) {
	d := readSchema(t)
	for _, i := range published() {
		p := d.Paths[apiPath+i.Name]
		if _, byQuery := p["get"]; byQuery == i.Changes {
			t.Errorf("%s by GET: %v", i.Name, byQuery)
		}
		if _, ok := p["post"]; !ok {
			t.Errorf("%s is not described", i.Name)
		}
	}
	text, err := describe(published())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		if d.Components.Schemas[m[1]] == nil {
			t.Errorf("%s is not described", m[1])
		}
	}
	if left := len(api.Table()) - len(published()); left != 1 {
		t.Errorf("%d operations are left out, want messages.records alone", left)
	}
}

// token makes an API token for a user.
func (r *rig) token(user string, scope account.Scope) string {
	r.t.Helper()
	secret, _, err := r.service.Accounts.NewToken(r.t.Context(), user, "test", scope, 24*60*60*1e9)
	if err != nil {
		r.t.Fatal(err)
	}
	return secret
}

// asked asks an operation as a program.
func (r *rig) asked(method, target, token, body string) *httptest.ResponseRecorder {
	q := httptest.NewRequest(method, target, strings.NewReader(body))
	q.RemoteAddr, q.Host = "127.0.0.1:4711", "localhost:8894"
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	r.handler.ServeHTTP(answer, q)
	return answer
}

// apiOperations asks every operation, of the demonstration, as all kinds of users, and
// holds each answer to its description.
func apiOperations(t *testing.T, r *rig, tenant, other, third string) {
	admin, reading, limited := r.token("aiko", account.ScopeFull), r.token("aiko", account.ScopeRead), r.token("ben", account.ScopeFull)
	schema := readSchema(t)
	for _, i := range published() {
		if i.Name == "account.password" { // its example is of another user
			continue
		}
		example, err := json.Marshal(i.Example)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(token, domain string) *httptest.ResponseRecorder {
			body := strings.NewReplacer("example.org", domain, mine, domain).Replace(string(example))
			return r.asked(http.MethodPost, apiPath+i.Name, token, body)
		}
		if !i.Changes {
			got := ask(admin, tenant)
			schema.check(t, i.Name, got)
			if got.Code == http.StatusServiceUnavailable && !strings.Contains(got.Body.String(), "this process has no") && !strings.Contains(got.Body.String(), "looked up") {
				t.Errorf("%s: %d %s", i.Name, got.Code, got.Body)
			}
		}
		if i.Changes {
			if got := ask(reading, tenant); got.Code != http.StatusForbidden {
				t.Errorf("%s with a token for reading: %d", i.Name, got.Code)
			}
			if got := r.asked(http.MethodGet, apiPath+i.Name, admin, ""); got.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s by GET: %d", i.Name, got.Code)
			}
		}
		mine, theirs := ask(limited, tenant), ask(limited, other)
		for _, got := range []*httptest.ResponseRecorder{mine, theirs} {
			schema.check(t, i.Name, got)
			if strings.Contains(got.Body.String(), third) {
				t.Errorf("%s tells a limited viewer of another: %s", i.Name, got.Body)
			}
			if (i.Scope == api.ScopeHost || i.Changes) && got.Code != http.StatusNotFound {
				t.Errorf("%s for a limited viewer: %d", i.Name, got.Code)
			}
		}
		if none := ask(limited, "nothing.example"); none.Code != theirs.Code || len(strings.ReplaceAll(none.Body.String(), "nothing.example", "")) != len(strings.ReplaceAll(theirs.Body.String(), other, "")) {
			t.Errorf("%s: another's gives %d %s, and nobody's %d %s", i.Name, theirs.Code, theirs.Body, none.Code, none.Body)
		}
		if got := ask("", tenant); got.Code != http.StatusUnauthorized || got.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s for nobody: %d", i.Name, got.Code)
		}
	}
}

// TestAPI asks in ways that are right and wrong.
func TestAPI(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	token := r.token("aiko", account.ScopeFull)
	for _, c := range []struct {
		method, target, token, body string
		status                      int
		want                        string
	}{
		{"GET", "/api/v1/analysis.overview?period=7d&domain=a.example&domain=b.example&limit=5", token, "", 200, `"rows":[]`},
		{"GET", "/api/v1/analysis.details?header-from=*.example&include_failed=true", token, "", 200, `"rows":[]`},
		{"GET", "/api/v1/reports.list?since=2026-01-01", token, "", 200, `"reports":`},
		{"GET", "/api/v1/analysis.overview?period=xx", token, "", 400, `"detail":"period: `},
		{"GET", "/api/v1/analysis.overview?colour=red", token, "", 400, `colour: there is no such key`},
		{"GET", "/api/v1/analysis.overview?limit=x", token, "", 400, `limit: `},
		{"GET", "/api/v1/nothing", token, "", 404, `"title":"Not Found"`},
		{"GET", "/api/v1/users.list", "dmarcd_wrong", "", 401, `"status":401`},
		{"POST", "/api/v1/status", token, "", 200, `"version":"1.2.3"`},
		{"POST", "/api/v1/status", token, `{"x":1}`, 400, `unknown field`},
		{"POST", "/api/v1/status", token, `{`, 400, `cannot be read`},
		{"DELETE", "/api/v1/users.list", token, "", 405, `by POST`},
		{"GET", "/api/v1/messages.records", token, "", 404, ``},
		{"GET", "/api/openapi.json", token, "", 200, `"openapi": "3.1.0"`},
	} {
		got := r.asked(c.method, c.target, c.token, c.body)
		if got.Code != c.status || !strings.Contains(got.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.target, got.Code, got.Body)
		}
		if kind := got.Header().Get("Content-Type"); c.status >= 400 && kind != "application/problem+json" {
			t.Errorf("%s %s: %s", c.method, c.target, kind)
		}
	}
	// A form of another site cannot ask: neither its type nor its origin will do.
	b := r.login("aiko")
	q := httptest.NewRequest("POST", "/api/v1/users.remove", strings.NewReader(`{"name":"aiko"}`))
	q.Header.Set("Content-Type", "text/plain")
	if got := b.do(q); got.Code != http.StatusBadRequest {
		t.Errorf("text/plain: %d", got.Code)
	}
	q = httptest.NewRequest("POST", "/api/v1/users.remove", strings.NewReader(`{"name":"aiko"}`))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := b.do(q); got.Code != http.StatusForbidden {
		t.Errorf("cross-site: %d", got.Code)
	}
	// A token opens no page.
	if got := r.asked("GET", "/mail", token, ""); got.Code != http.StatusSeeOther {
		t.Errorf("a page by token: %d", got.Code)
	}
	if page := b.page("/account"); !strings.Contains(page, "test") {
		t.Error("the token is not listed")
	}
	// A token for reading makes no other, and changes nothing of its account.
	for op, body := range map[string]string{
		"account.token": `{"label":"x","scope":"full","days":1}`, "account.password": `{"old":"` + password + `","password":"another password"}`,
		"account.end": `{}`, "account.prefer": `{"theme":"dark"}`,
	} {
		for _, by := range []string{r.token("aiko", account.ScopeRead), token} {
			if got := r.asked("POST", apiPath+op, by, body); got.Code != http.StatusForbidden {
				t.Errorf("%s by token: %d %s", op, got.Code, got.Body)
			}
		}
	}
	b.post("/account/end", url.Values{"id": {tokenID(t, b)}})
	if got := r.asked("GET", "/api/v1/status", token, ""); got.Code != http.StatusUnauthorized {
		t.Errorf("a token that was ended: %d", got.Code)
	}
}

// tokenID is the id of the only token on the page of the account.
func tokenID(t *testing.T, b *browser) string {
	t.Helper()
	got := b.get("/api/v1/account.show")
	var shown api.UserShown
	if err := json.Unmarshal(got.Body.Bytes(), &shown); err != nil {
		t.Fatal(err)
	}
	for _, a := range shown.Access {
		if a.Kind == account.KindToken && a.Scope == account.ScopeFull {
			return a.ID
		}
	}
	t.Fatal("no token is listed")
	return ""
}

// described is the description, for checking answers.
type described struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct{ Schemas map[string]map[string]any }
}

func readSchema(t *testing.T) *described {
	t.Helper()
	text, err := describe(published())
	if err != nil {
		t.Fatal(err)
	}
	var d described
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// check holds an answer to its description.
func (d *described) check(t *testing.T, operation string, got *httptest.ResponseRecorder) {
	t.Helper()
	key := "200"
	if got.Code != http.StatusOK {
		key = "default"
	}
	kind := got.Header().Get("Content-Type")
	content, ok := d.Paths[apiPath+operation]["post"].Responses[key].Content[kind]
	if !ok {
		t.Errorf("%s: %d has the type %q, which is not described", operation, got.Code, kind)
		return
	}
	for line := range strings.SplitSeq(strings.TrimSpace(got.Body.String()), "\n") {
		var value any
		if line == "" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &value); err != nil {
			t.Errorf("%s: %v: %.300s", operation, err, line)
			return
		}
		if err := d.fits(content.Schema, value, operation); err != nil {
			t.Error(err)
			return
		}
	}
}

// fits reports whether a value fits its schema, as far as describe goes.
func (d *described) fits(schema map[string]any, value any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		schema = d.Components.Schemas[ref[strings.LastIndexByte(ref, '/')+1:]]
	}
	var kinds []string
	switch kind := schema["type"].(type) {
	case string:
		kinds = []string{kind}
	case []any:
		for _, k := range kind {
			kinds = append(kinds, k.(string))
		}
	default:
		return nil
	}
	is := "null"
	switch value := value.(type) {
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case float64:
		is = "number"
		if slices.Contains(kinds, "integer") && value == float64(int64(value)) {
			is = "integer"
		}
	case []any:
		is = "array"
		items, _ := schema["items"].(map[string]any)
		for n, item := range value {
			if err := d.fits(items, item, fmt.Sprintf("%s[%d]", at, n)); err != nil {
				return err
			}
		}
	case map[string]any:
		is = "object"
		properties, _ := schema["properties"].(map[string]any)
		more, _ := schema["additionalProperties"].(map[string]any)
		for key, item := range value {
			p, ok := properties[key].(map[string]any)
			if !ok && more == nil {
				return fmt.Errorf("%s.%s is not described", at, key)
			}
			if !ok {
				p = more
			}
			if err := d.fits(p, item, at+"."+key); err != nil {
				return err
			}
		}
		required, _ := schema["required"].([]any)
		for _, key := range required {
			if _, ok := value[key.(string)]; !ok {
				return fmt.Errorf("%s has no %s", at, key)
			}
		}
	}
	if !slices.Contains(kinds, is) {
		return fmt.Errorf("%s is a %s, and described as %s", at, is, strings.Join(kinds, " or "))
	}
	return nil
}
