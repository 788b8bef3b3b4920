package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"dmarcd/internal/api"
	"dmarcd/internal/memory"
	"dmarcd/internal/text"
)

//go:embed templates
var templateFiles embed.FS

// templates are the pages by language and name.
type templates map[language]map[string]*template.Template

// parseTemplates parses all of them, once for each language.
func parseTemplates(assetURL func(string) string) (*templates, error) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	out := templates{}
	for _, lang := range []language{english, japanese} {
		base, err := template.New("").Funcs(functions(lang, assetURL)).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		out[lang] = map[string]*template.Template{}
		for _, file := range files {
			name := strings.TrimSuffix(path.Base(file), ".html")
			if name == "layout" || name == "parts" {
				continue
			}
			one, err := base.Clone()
			if err == nil {
				one, err = one.ParseFS(templateFiles, file)
			}
			if err != nil {
				return nil, fmt.Errorf("console: %w", err)
			}
			out[lang][name] = one
		}
	}
	return &out, nil
}

// functions returns the functions of the templates.
func functions(lang language, assetURL func(string) string) template.FuncMap {
	return template.FuncMap{
		"t":       func(en string, args ...any) string { return say(lang, en, args...) },
		"asset":   assetURL,
		"num":     func(n any) string { return number(n) },
		"percent": func(part, whole int64) string { return percent(part, whole) },
		"count": func(n int, one, many string) string {
			if n == 1 {
				many = one
			}
			return say(lang, many, n)
		},
		"period":  periodTag,
		"portion": portion,
		"time":    func(t time.Time) template.HTML { return timeTag(lang, t) },
		"day":     func(d memory.Day) template.HTML { return dayTag(d) },
		"ago":     func(t, now time.Time) string { return ago(lang, now.Sub(t)) },
		"name":    func(s any) template.HTML { return breakable(fmt.Sprint(s)) },
		"unicode": unicodeName,
		"octets":  func(n int64) string { return text.Octets(n) },
		"state":   func(word string) mark { return stateOf(lang, word) },
		"reason":  func(word any) string { return reasonOf(lang, fmt.Sprint(word)) },
		"share":   func(part, whole int64) template.HTML { return shareBar(part, whole) },
		"escape":  url.PathEscape,
		"join":    strings.Join,
		"title":   func(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] },
		"sub":     func(a, b int64) int64 { return a - b },
		"points":  func(tenths int64) string { return points(tenths) },
		"list":    func(words ...string) []string { return words },
		"access":  func(list []api.Access, action, form string) accessList { return accessList{list, action, form} },
	}
}

// accessList is the data of the table of sessions and tokens.
type accessList struct {
	List         []api.Access
	Action, Form string // where to end one, and the token for it
}

// page is the data of a template.
type page struct {
	Template string
	Title    string
	Section  string // that is current, by its address
	Tab      string // likewise
	Crumbs   []link
	Bare     bool // without navigation
	Data     any
	Bar      *filterBar   // of a page with filters
	Counted  *api.Counted // what is counted
	Refused  bool         // the filters cannot be read: there are no rows

	Lang, Theme, Host, Version, User string
	Form                             string // token of forms
	Guest, Admin, Limited            bool
	Sections, Tabs                   []link
	Notice                           string
	Now                              time.Time
	OtherLang, OtherName, OtherURL   string
	Query                            url.Values // of the URL, without language
	Path                             string
}

// link is a navigation entry.
type link struct {
	URL, Name string
	Current   bool
}

// show renders a page.
func (v *visit) show(p *page) error {
	v.render(http.StatusOK, p)
	return nil
}

// render renders a page with a status.
func (v *visit) render(status int, p *page) {
	v.fill(p)
	all, err := v.pages()
	if err == nil {
		var out bytes.Buffer
		if err = (*all)[v.lang][p.Template].ExecuteTemplate(&out, "layout", p); err == nil {
			v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
			v.w.WriteHeader(status)
			v.write(shown(out.Bytes()))
			return
		}
	}
	v.Log.Error("a page of the console could not be made", "page", p.Template, "error", err.Error())
	plain(v.w, http.StatusInternalServerError, "The page could not be made; the log says why. Mail is not affected.\n")
}

// shown returns a page without the characters that control how others are shown: foreign text is
// escaped, but could still reverse what follows it.
func shown(page []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if !unicode.IsSpace(r) && !text.IsSafe(r) {
			return utf8.RuneError
		}
		return r
	}, page)
}

// fill adds what every page has.
func (v *visit) fill(p *page) {
	p.Lang, p.Theme, p.User = string(v.lang), v.user.Theme, v.user.Name
	p.Host, p.Version, p.Form = v.Service.Host, v.Version, v.formToken()
	p.Guest, p.Admin, p.Limited = v.guest, v.admin(), v.viewer.Limited()
	p.Now, p.Path = v.Service.Now().UTC(), v.r.URL.Path
	if p.Notice == "" {
		p.Notice = v.notice
	}
	p.Query = v.r.URL.Query()
	other := v.r.URL.Query()
	p.OtherLang, p.OtherName = string(japanese), "日本語"
	if v.lang == japanese {
		p.OtherLang, p.OtherName = string(english), "English"
	}
	other.Set("lang", p.OtherLang)
	p.OtherURL = "?" + other.Encode()
	p.Query.Del("lang")
	if p.Bare {
		return
	}
	p.Sections = v.sections()
	for i := range p.Sections {
		p.Sections[i].Current = p.Sections[i].URL == p.Section
	}
	p.Tabs = v.tabs(p.Section)
	for i := range p.Tabs {
		p.Tabs[i].Current = p.Tabs[i].URL == p.Tab
	}
}

// With returns the current URL with a key set, or removed if the value is "".
func (p *page) With(pairs ...string) string {
	q := url.Values{}
	for k, values := range p.Query {
		q[k] = values
	}
	q.Del("after")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "?" + q.Encode()
}

// At returns another page with the same query, and keys set as by With.
func (p *page) At(path string, pairs ...string) string { return path + p.With(pairs...) }

// number formats a whole number with commas.
func number(n any) string {
	switch n := n.(type) {
	case int:
		return text.Number(int64(n))
	case int64:
		return text.Number(n)
	case uint64:
		return text.Number(int64(min(n, 1<<62)))
	}
	return fmt.Sprint(n)
}

// percent formats a share: 0% and 100% only if they are exact, a dash if the whole is zero.
func percent(part, whole int64) string {
	switch {
	case whole == 0:
		return "–"
	case part == 0:
		return "0%"
	case part == whole:
		return "100%"
	case part*1000 < whole:
		return "<0.1%"
	case (whole-part)*1000 < whole:
		return ">99.9%"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// timeTag shows a time in UTC.
func timeTag(_ language, t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339), t.Format("2006-01-02 15:04:05")))
}

// periodTag shows the days of a period.
func periodTag(begin, end time.Time) template.HTML {
	first, last := memory.DayOf(begin), memory.DayOf(end.Add(-time.Second))
	if last <= first {
		return dayTag(first)
	}
	return dayTag(first) + " – " + dayTag(last)
}

func dayTag(d memory.Day) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, d, d))
}

// ago states roughly how long something has been so.
func ago(lang language, d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return say(lang, "just now")
	case d < time.Hour:
		return say(lang, "%d min ago", int(d/time.Minute))
	case d < 2*day:
		return say(lang, "%d h ago", int(d/time.Hour))
	}
	return say(lang, "%d days ago", int(d/day))
}

// breakable lets a name or an address break after its dots and colons.
func breakable(s string) template.HTML {
	escaped := template.HTMLEscapeString(text.Line(s, 2000))
	return template.HTML(breaks.Replace(escaped))
}

// unicodeName returns a name in Unicode; "" if that is the same, or would be unsafe.
func unicodeName(s any) string {
	ascii := fmt.Sprint(s)
	if !strings.Contains(ascii, "xn--") {
		return ""
	}
	name, err := idna.Display.ToUnicode(ascii)
	if err != nil || name == ascii || name != text.Line(name, 1000) {
		return ""
	}
	return name
}

var breaks = strings.NewReplacer(".", ".<wbr>", "::", "::<wbr>", ":", ":<wbr>", "@", "@<wbr>")

// points formats a difference in percentage points, given in tenths.
func points(tenths int64) string {
	switch {
	case tenths > 0:
		return fmt.Sprintf("▲ %.1f", float64(tenths)/10)
	case tenths < 0:
		return fmt.Sprintf("▼ %.1f", float64(-tenths)/10)
	}
	return "0.0"
}
