package console

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/demo"
	"dmarcd/internal/demo/fill"
	"dmarcd/internal/memory"
)

// maxPage is the greatest weight of a page, in octets.
const maxPage = 150_000

// demoRig is a console over the made-up quarter.
func demoRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.config.Analysis.Domains = demo.Tenants()
	if _, err := fill.Fill(t.Context(), r.store, demo.New(1, memory.DayOf(noon)-1), r.config, noon); err != nil {
		t.Fatal(err)
	}
	return r
}

var href = regexp.MustCompile(`(?:href|action)="([^"]*)"`)

// crawl follows links, a few of each kind, and gives each page to look.
func crawl(t *testing.T, b *browser, most int, look func(path string, status int, body string)) {
	t.Helper()
	seen, kinds := map[string]bool{"/": true}, map[string]int{}
	for queue := []string{"/"}; len(queue) > 0 && len(seen) < most; queue = queue[1:] {
		path := queue[0]
		got := b.get(path)
		look(path, got.Code, got.Body.String())
		if !strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
			continue
		}
		for _, m := range href.FindAllStringSubmatch(got.Body.String(), -1) {
			to := html.UnescapeString(m[1])
			to, _, _ = strings.Cut(to, "#")
			if strings.HasPrefix(to, "?") {
				base, _, _ := strings.Cut(path, "?")
				to = base + to
			}
			if !strings.HasPrefix(to, "/") {
				if to != "" {
					t.Errorf("%s links to %q", path, to)
				}
				continue
			}
			kind := regexp.MustCompile(`=[^&]*|[0-9a-f.:-]{4,}`).ReplaceAllString(to, "=")
			if seen[to] || kinds[kind] >= 2 || strings.Contains(to, "lang=ja") {
				continue
			}
			seen[to] = true
			kinds[kind]++
			queue = append(queue, to)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d pages are linked", len(seen))
	}
}

// TestDemonstration walks the pages of the made-up quarter.
func TestDemonstration(t *testing.T) {
	r := demoRig(t)
	r.user("aiko", account.RoleAdmin)
	r.user("ben", account.RoleViewer, demo.Tenants()[0].String())
	t.Run("every link leads somewhere", func(t *testing.T) { everyLink(t, r) })
	t.Run("viewers see no others", func(t *testing.T) { noOthers(t, r) })
	tenants := demo.Tenants()
	t.Run("operations", func(t *testing.T) { apiOperations(t, r, tenants[0].String(), tenants[1].String(), tenants[2].String()) })
}

// checkRow is the line of one SPF or DKIM result of a message.
var checkRow = regexp.MustCompile(`(?s)<th[^>]*>(?:SPF|DKIM)[^<]*</th>.*?</tr>`)

// everyLink follows the links of all pages as an admin.
func everyLink(t *testing.T, r *rig) {
	b := r.login("aiko")
	began := time.Now()
	n, checks := 0, 0
	crawl(t, b, 300, func(path string, status int, body string) {
		n++
		if path == "/logout" || strings.HasSuffix(path, "/end") || strings.HasPrefix(path, "/account/") {
			return // forms go there
		}
		if status != http.StatusOK && status != http.StatusSeeOther || strings.Contains(body, "The page could not be made") {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
		if len(body) > maxPage && !strings.Contains(path, ".csv") && !strings.Contains(path, ".json") && !strings.Contains(path, "/raw") {
			t.Errorf("%s weighs %d", path, len(body))
		}
		if !strings.HasPrefix(path, "/mail/m/") {
			return
		}
		for _, row := range checkRow.FindAllString(body, -1) {
			checks++
			if strings.Contains(row, "aligned</") && !strings.Contains(row, "pass</") {
				t.Errorf("%s: aligned without a pass: %s", path, row)
			}
		}
	})
	if checks == 0 {
		t.Error("no message shows what vouches for it")
	}
	t.Logf("%d pages in %s", n, time.Since(began).Round(time.Millisecond))
}

// noOthers follows all links as a viewer of one tenant, and asks for those
// of an admin: nothing tells that there is another.
func noOthers(t *testing.T, r *rig) {
	tenants := demo.Tenants()
	ben := r.login("ben")
	look := func(path string, status int, body string) {
		others := tenants[1:]
		if strings.HasPrefix(path, "/mail") || path == "/" {
			others = tenants[2:] // the second one wrote to the first
		}
		for _, other := range others {
			if asked := strings.Count(path, other.String()); strings.Contains(body, other.String()) && asked == 0 {
				t.Errorf("%s (%d) names %s", path, status, other)
			}
		}
	}
	crawl(t, ben, 200, look)
	var paths []string
	crawl(t, r.login("aiko"), 200, func(path string, _ int, _ string) { paths = append(paths, path) })
	for _, path := range paths {
		got := ben.get(path)
		look(path, got.Code, got.Body.String())
		// What is another's is as if it did not exist.
		if strings.Contains(path, "/config/"+tenants[1].String()) {
			none := ben.get(strings.ReplaceAll(path, tenants[1].String(), "nothing.example"))
			if none.Code != got.Code {
				t.Errorf("%s: %d, and %d for what does not exist", path, got.Code, none.Code)
			}
		}
	}
}
