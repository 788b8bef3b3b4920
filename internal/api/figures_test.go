package api_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/settings"
)

func TestOverviewListsIdleDomains(t *testing.T) {
	s := twoTenants()
	config := settings.Default("mx.example.org")
	for _, name := range []string{mine, foreign, "c.example", "d.example", "e.example", "f.example", "g.example"} {
		config.Analysis.Domains = append(config.Analysis.Domains, dns.MustParse(name))
	}
	s.Settings = func() *settings.Settings { return config }
	for domain, word := range map[string]analysis.Word{"c.example": analysis.WordInEffect, "d.example": analysis.WordMissing, "e.example": analysis.WordInEffect, "f.example": analysis.WordBroken} {
		snapshot := analysis.Snapshot{Domain: dns.MustParse(domain), Kind: analysis.SnapshotDMARC, Word: word, Detail: "because", First: noon, Last: noon}
		if err := s.Received.SaveSnapshot(t.Context(), snapshot); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []analysis.Snapshot{
		{Domain: dns.MustParse(mine), Kind: analysis.SnapshotDMARC, Word: analysis.WordMissing, Detail: "gone"},
		{Domain: dns.MustParse(mine), Kind: analysis.SnapshotSPF, Name: mine, Word: analysis.WordBroken, Detail: "two"},
		{Domain: dns.MustParse(mine), Kind: analysis.SnapshotKey, Name: "s1._domainkey." + mine, Word: analysis.WordInEffect},
		{Domain: dns.MustParse(mine), Kind: analysis.SnapshotKey, Name: "old._domainkey." + mine, Word: analysis.WordInEffect, Last: noon.AddDate(0, 0, -9)},
	} {
		if n.Last.IsZero() {
			n.Last = noon
		}
		if err := s.Received.SaveSnapshot(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	var rows, without, records []string
	request := api.FiguresRequest{Limit: 1}
	for range 10 {
		page, err := api.AnalysisOverview().Ask(t.Context(), api.Local{Service: s, Viewer: api.Operator()}, request)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rows {
			rows = append(rows, fmt.Sprintf("%s=%d", r.Domain, r.Messages))
		}
		for _, r := range page.Records {
			line := fmt.Sprintf("%s %s %s", r.Domain, r.DMARC.Result, r.SPF.Result)
			for _, k := range r.Keys {
				line += " " + k.Name + "=" + string(k.Result)
			}
			records = append(records, line)
		}
		if request.After = page.After; request.After != "" {
			continue
		}
		for _, n := range page.NotReporting {
			without = append(without, fmt.Sprintf("%s %s", n.Domain, n.Result))
		}
		break
	}
	if got, want := strings.Join(rows, " "), foreign+"=2 "+mine+"=1 c.example=0 e.example=0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := strings.Join(without, ", "), "d.example missing, f.example broken, g.example unknown, "+mine+" missing"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	want := mine + " missing broken s1._domainkey." + mine + "=in_effect, c.example in_effect unknown, e.example in_effect unknown, " +
		"d.example missing unknown, f.example broken unknown, " + mine + " missing broken s1._domainkey." + mine + "=in_effect"
	if got := strings.Join(records, ", "); got != want {
		t.Errorf("records: got %s, want %s", got, want)
	}
}

func TestWeeklyTrend(t *testing.T) {
	s := twoTenants()
	r := func(begin time.Time, count int64) analysis.Report {
		one := tenantReport(mine, count)
		one.Metadata.Begin, one.Metadata.End, one.Metadata.ReportID = begin, begin.Add(24*time.Hour-time.Second), begin.String()
		return one
	}
	monday := time.Date(2026, 2, 23, 0, 0, 0, 0, time.UTC)
	batch := analysis.Batch{Items: []analysis.Item{{Reports: []analysis.Report{r(monday, 10), r(monday.AddDate(0, 0, 6), 5), r(monday.AddDate(0, 0, 7), 7)}}}}
	if _, err := s.Received.Ingest(t.Context(), &batch); err != nil {
		t.Fatal(err)
	}
	request := api.TrendRequest{Weekly: true}
	request.Domain = []string{mine}
	got, err := api.AnalysisTrend().Ask(t.Context(), api.Local{Service: s, Viewer: api.Operator()}, request)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range got.Rows {
		rows = append(rows, fmt.Sprintf("%s=%d", row.Day, row.Messages))
	}
	if text := strings.Join(rows, " "); text != "2026-02-23=15 2026-03-02=8" {
		t.Errorf("got %s", text)
	}
}

func TestFiguresRequests(t *testing.T) {
	asker := api.Local{Service: twoTenants(), Viewer: api.Operator()}
	bad := api.FiguresRequest{}
	bad.IP = []string{"nonsense"}
	if _, err := api.AnalysisOverview().Ask(t.Context(), asker, bad); errkind.Of(err) != errkind.BadRequest || !strings.Contains(err.Error(), "ip: ") {
		t.Errorf("a wrong address: %v", err)
	}
	if _, err := api.AnalysisSources().Ask(t.Context(), asker, api.SourcesRequest{Level: "country"}); errkind.Of(err) != errkind.BadRequest {
		t.Errorf("a wrong level: %v", err)
	}
	masked := api.FiguresRequest{}
	masked.IP = []string{"192.0.2.77/24"}
	if got, err := api.AnalysisOverview().Ask(t.Context(), asker, masked); err != nil || len(got.Notes) != 1 || got.Totals.Messages != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	details, err := api.AnalysisDetails().Ask(t.Context(), asker, api.DetailsRequest{Language: settings.Japanese})
	if err != nil || len(details.Rows) != 2 || !strings.Contains(details.Rows[0].Sentence, "差出人") {
		t.Errorf("got %+v, %v", details, err)
	}
}

func TestLabels(t *testing.T) {
	asker := api.Local{Service: twoTenants(), Viewer: api.Operator()}
	for name, bad := range map[string]api.SetLabelRequest{
		"not managed":     {Domain: "else.example", Service: "a.example", Label: analysis.LabelIgnore},
		"two sources":     {Domain: mine, Service: "a.example", Host: "b.example", Label: analysis.LabelIgnore},
		"none":            {Domain: mine, Label: analysis.LabelIgnore},
		"another label":   {Domain: mine, Service: "a.example", Label: "nice"},
		"unknown":         {Domain: mine, Service: "unknown", Label: analysis.LabelIgnore},
		"a wrong host":    {Domain: mine, Host: "a..b", Label: analysis.LabelIgnore},
		"a wrong network": {Domain: mine, Network: "192.0.2.0/33", Label: analysis.LabelIgnore},
		"a long note":     {Domain: mine, Service: "a.example", Note: strings.Repeat("x", 501)},
	} {
		if _, err := api.AnalysisSetLabel().Ask(t.Context(), asker, bad); errkind.Of(err) != errkind.BadRequest && errkind.Of(err) != errkind.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := api.AnalysisSetLabel().Ask(t.Context(), asker, api.SetLabelRequest{Domain: mine, Network: "192.0.2.77/24", Label: analysis.LabelAuthorised, Note: "ours"})
	if err != nil || len(got.Labels) != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if l := got.Labels[2]; l.Network != netip.MustParsePrefix("192.0.2.0/24") || l.By != "command" || !l.At.Equal(noon) {
		t.Errorf("got %+v", l)
	}
	sources, err := api.AnalysisSources().Ask(t.Context(), asker, api.SourcesRequest{Level: analysis.LevelIP})
	if err != nil || len(sources.Rows) != 2 || sources.Rows[1].Label != analysis.LabelAuthorised || sources.Rows[0].Label != "" {
		t.Errorf("got %+v, %v", sources.Rows, err)
	}
	got, err = api.AnalysisSetLabel().Ask(t.Context(), asker, api.SetLabelRequest{Domain: mine, Network: "192.0.2.0/24"})
	if err != nil || len(got.Labels) != 2 {
		t.Errorf("taken away: %+v, %v", got, err)
	}
}

func TestRawIsForThoseWhoMaySeeAll(t *testing.T) {
	s := twoTenants()
	limited := api.Viewer{User: "tenant", Role: api.RoleViewer, Domains: []dns.Name{dns.MustParse(mine)}}
	for name, c := range map[string]struct {
		viewer api.Viewer
		id     int64
		seen   bool
	}{
		"own report": {limited, 2, true}, "another's report": {limited, 4, false}, "a mail": {limited, 1, false},
		"a mail, for a viewer of all": {api.Viewer{Role: api.RoleViewer}, 1, false}, "a mail, for an admin": {api.Operator(), 1, true}, "none": {api.Operator(), 99, false},
	} {
		got, err := api.AnalysisRaw().Ask(t.Context(), api.Local{Service: s, Viewer: c.viewer}, api.RawRequest{IDs: []int64{c.id}})
		if c.seen != (err == nil && len(got.Reports) == 1) || !c.seen && errkind.Of(err) != errkind.NotFound {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
