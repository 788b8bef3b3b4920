package console

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"dmarcd/internal/account"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// hostile are texts that would run, or break a page, if one were not escaped.
var hostile = []string{
	`"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `</title></style></textarea></code><script>alert(1)</script>`,
	`{{.}}<svg/onload=alert(1)>`, "\u202e<b>", `" autofocus onfocus="alert(1)`, `%3Cscript%3Ealert(1)%3C/script%3E`,
}

// runs says what of a page a browser would run, or load from elsewhere; "" for nothing.
func runs(page string) string {
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		tag := tokens.Token()
		switch tag.Data {
		case "img", "iframe", "object", "embed", "base", "style", "audio", "video":
			return tag.String()
		case "script":
			if len(tag.Attr) != 2 || !strings.HasPrefix(tag.Attr[0].Val, "/assets/console.js?") {
				return tag.String()
			}
		}
		for _, a := range tag.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "autofocus", a.Key == "srcdoc":
				return tag.String()
			case (a.Key == "href" || a.Key == "action" || a.Key == "src") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "?") && !strings.HasPrefix(a.Val, "#") && a.Val != "":
				return tag.String()
			}
		}
	}
}

// TestHostileTexts puts script into every field of a report, a message, a label and a
// link, and looks for it on every page.
func TestHostileTexts(t *testing.T) {
	r := newRig(t)
	r.user("aiko", account.RoleAdmin)
	for n, text := range hostile {
		r.hostileReport(n, text)
		r.hostileMessage(n, text)
	}
	b := r.login("aiko")
	pages := 0
	look := func(path string, status int, body string) {
		pages++
		if what := runs(body); what != "" {
			t.Errorf("%s (%d) has %s", path, status, what)
		}
		if strings.Contains(body, "\u202e") && !strings.Contains(path, ".json") && !strings.Contains(path, ".csv") && !strings.Contains(path, "/raw") {
			t.Errorf("%s turns text round", path)
		}
	}
	crawl(t, b, 250, func(path string, status int, body string) {
		if !strings.Contains(path, ".json") && !strings.Contains(path, ".csv") && !strings.Contains(path, "/raw") {
			look(path, status, body)
		}
	})
	for _, text := range hostile {
		q := url.QueryEscape(text)
		for _, path := range []string{
			"/find?q=" + q, "/mail?from=" + q, "/mail?client=" + q + "&action=" + q + "&since=" + q + "&after=" + q, "/mail/m/" + url.PathEscape(text), "/policy?domain=" + q,
			"/policy/" + mine + "?why=" + q + "&ip=" + q, "/analysis?domain=" + q + "&period=" + q, "/analysis/sources?service=" + q + "&open=" + q + "&host=" + q + "&ip=" + q,
			"/analysis/details?reporter=" + q + "&reason=" + q + "&selector=" + q + "&result=" + q, "/analysis/source/" + url.PathEscape(text), "/analysis/trends?show=" + q + "&by=" + q,
			"/analysis/reports?status=" + q + "&trust=" + q + "&kind=" + q, "/analysis/config?domain=" + q, "/users/" + url.PathEscape(text), "/users/audit?user=" + q, "/outgoing?domain=" + q + "&to=" + q,
			"/login?next=" + q, "/nothing/" + url.PathEscape(text), "/?lang=" + q, "/policy/history/" + url.PathEscape(text), "/api/v1/" + url.PathEscape(text),
		} {
			got := b.get(path)
			if strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
				look(path, got.Code, got.Body.String())
			}
			if got.Code >= http.StatusInternalServerError {
				t.Errorf("%s: %d %.200s", path, got.Code, got.Body)
			}
		}
	}
	if pages < 200 {
		t.Errorf("only %d pages were looked at", pages)
	}
}

// hostileReport stores a report whose every text is that one.
func (r *rig) hostileReport(n int, text string) {
	r.t.Helper()
	begin := noon.Add(-36 * time.Hour)
	row := analysis.Row{
		Number: 1, Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)}), Count: 10, Disposition: report.DispositionNone, SPF: report.DMARCFail, DKIM: report.DMARCFail,
		HeaderFrom: text, EnvelopeFrom: text, EnvelopeTo: text, Auth: &analysis.AuthSet{
			DKIM:    []analysis.DKIMResult{{Domain: text, Selector: text, Result: report.Result(text), HumanResult: text}},
			SPF:     []analysis.SPFResult{{Domain: text, Scope: report.Scope(text), Result: report.Result(text), HumanResult: text}},
			Reasons: []analysis.Reason{{Type: report.ReasonType(text), Comment: text}},
		},
	}
	one := analysis.Report{
		Domain: dns.MustParse(mine), Dialect: report.Dialect(text), Version: text, FileName: text, Trust: analysis.TrustUnknown, Status: analysis.StatusStored,
		Rows: []analysis.Row{row}, Digest: [32]byte{byte(n)}, Notes: []report.Note{},
	}
	one.Policy.Domain, one.Policy.P = text, report.PolicyNone
	one.Metadata.OrgName, one.Metadata.Email, one.Metadata.ReportID, one.Metadata.Begin, one.Metadata.End = text, text, text, begin, begin.Add(24*time.Hour-time.Second)
	aside := analysis.Report{Status: analysis.StatusRefused, Why: text, FileName: text, Digest: [32]byte{100, byte(n)}}
	aside.Metadata.OrgName, aside.Metadata.ReportID = text, text
	_, err := r.store.Ingest(r.t.Context(), &analysis.Batch{Reader: 1, Items: []analysis.Item{{
		Feed: "folder", TakenAt: noon.Add(-time.Hour), Name: text, From: text, Subject: text, Kind: analysis.KindAggregate, Why: text, Reports: []analysis.Report{one, aside},
	}}, Feeds: []analysis.FeedState{{Name: text, Host: text, Error: text}}})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.Identify(r.t.Context(), []analysis.Identity{{Source: row.Source, Host: text, Service: text, Again: noon.AddDate(0, 1, 0)}}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.SetLabel(r.t.Context(), analysis.LabelSet{Domain: dns.MustParse(mine), Service: text, Label: analysis.LabelAuthorised, Note: text, By: text, At: noon}); err != nil {
		r.t.Fatal(err)
	}
}

// hostileMessage remembers a message whose every text is that one.
func (r *rig) hostileMessage(n int, text string) {
	r.t.Helper()
	d := policy.Decision{Action: policy.Quarantine, Would: policy.Quarantine, Reason: policy.Reason(text), Rule: text}
	d.Reply.Text = text
	record := &memory.Record{
		At: noon.Add(-time.Duration(n+1) * time.Minute), QueueID: text, MessageID: text, Helo: text, MTA: text, Host: "mx1.example.org", Hold: text, Redirect: text, Tag: text,
		ClientIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)}), Decision: d, Added: []string{text}, Mixed: text, Recipients: []string{text},
		Outcomes: []memory.Outcome{{Domains: []dns.Name{dns.MustParse(mine)}, Decision: d, File: text, Line: 1}},
	}
	record.Verdict.SPF.Explanation = text
	batch := memory.Batch{Journal: "test", From: memory.Position{Offset: int64(n)}, To: memory.Position{Offset: int64(n + 1)}, Records: []memory.Record{*record}}
	if err := r.store.Load(r.t.Context(), batch); err != nil {
		r.t.Fatal(err)
	}
}
