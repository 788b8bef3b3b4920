package store

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
)

// sourceReport reports a message from each of the addresses on a day.
func sourceReport(day int, addrs ...string) *analysis.Batch {
	begin := receivedStart.AddDate(0, 0, day)
	r := analysis.Report{
		Domain: dns.MustParse("acme.example"), Trust: analysis.TrustUnknown, Status: analysis.StatusStored,
		Metadata: report.Metadata{OrgName: "One", ReportID: fmt.Sprint(day), Begin: begin, End: begin.Add(24*time.Hour - time.Second)},
	}
	for n, addr := range addrs {
		r.Rows = append(r.Rows, analysis.Row{
			Number: n + 1, Source: netip.MustParseAddr(addr), Count: 1, SPF: report.DMARCPass, DKIM: report.DMARCFail, Auth: &analysis.AuthSet{},
		})
	}
	r.Digest = analysis.DigestRows(r.Rows)
	return &analysis.Batch{Items: []analysis.Item{{Feed: "f", TakenAt: begin, Reports: []analysis.Report{r}}}}
}

// TestIdentify follows a source through its names. What batches remember of it is
// forgotten when it gets another one.
func TestIdentify(t *testing.T) {
	const a, b, c = "192.0.2.1", "192.0.2.2", "2001:db8::1"
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		must(s.Ingest(t.Context(), sourceReport(100, a, c)))
		must(s.Ingest(t.Context(), sourceReport(130, b, c)))
		again := receivedStart.AddDate(0, 7, 0)
		named := func(addr, host string, day int) analysis.Identity {
			return analysis.Identity{
				Source: netip.MustParseAddr(addr), From: memory.DayOf(receivedStart.AddDate(0, 0, day)), Host: host, Claimed: host, Service: "esp.example", Again: again,
				About: analysis.SourceAbout{Name: "ESP", Confidence: source.High, Evidence: []source.Evidence{{Kind: source.EvidenceHost, Value: host}}},
			}
		}
		identify := func(all ...analysis.Identity) {
			t.Helper()
			if err := s.Identify(t.Context(), all); err != nil {
				t.Fatal(err)
			}
		}
		due := func(now time.Time) (out []string) {
			for _, addr := range must(s.Unidentified(t.Context(), now, 10)) {
				out = append(out, addr.String())
			}
			return out
		}
		if got := due(receivedStart); len(got) != 3 || got[2] != a { // the others have more recent mail
			t.Errorf("to look up: %v", got)
		}
		identify(named(a, "one.esp.example", 140), named(b, "two.esp.example", 140))
		if got := due(receivedStart); !slices.Equal(got, []string{c}) {
			t.Errorf("to look up: %v", got)
		}
		trouble := named(a, "", 150)
		trouble.Service, trouble.Unsure, trouble.Again = analysis.ServiceUnknown, true, again.AddDate(0, 0, -1)
		identify(trouble)
		if got := due(again); !slices.Equal(got, []string{c, a, b}) { // in the order in which they became due
			t.Errorf("to look up again: %v", got)
		}
		must(s.Ingest(t.Context(), sourceReport(160, a)))
		identify(named(a, "other.esp.example", 155))
		must(s.Ingest(t.Context(), sourceReport(154, a)))
		must(s.Ingest(t.Context(), sourceReport(155, a)))
		hosts := map[string]int64{}
		for _, row := range must(s.Sources(t.Context(), analysis.Query{Filter: analysis.Filter{All: true}}, analysis.LevelIP)).Rows {
			hosts[row.IP+" "+row.Host] += row.Messages
			if named := row.Host != ""; named && (len(row.Evidence) != 1 || row.Evidence[0].Value != row.Host || row.Name != "ESP") || !named && row.Confidence != "" {
				t.Errorf("%s: %+v", row.IP, row.SourceAbout)
			}
		}
		want := map[string]int64{a + " one.esp.example": 2, a + " other.esp.example": 2, b + " two.esp.example": 1, c + " ": 2}
		if fmt.Sprint(hosts) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", hosts, want)
		}
	})
}
