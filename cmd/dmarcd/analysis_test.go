package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/present"
	dmarcreport "dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/analysis/analysistest"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// analysisSite is a daemon with received reports about two domains, with texts of a
// hostile reporter among them; it gives the path of its configuration.
func analysisSite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "dmarcd.yaml")
	for name, content := range map[string]string{
		"dmarcd.yaml": "authserv_id: mx.example.org\nstate_dir: " + dir + "\nanalysis: {domains: [example.com, idle.example, other.example]}\n", "policy.yaml": "mode: enforce\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, err := lookAtSettings(path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	l, err := admin.Listen(admin.SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(admin.Config{Version: version, Service: &api.Service{
		Settings: func() *settings.Settings { return config }, Received: receivedReports(t), Now: time.Now,
	}})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Shutdown(t.Context())
		serving.Wait()
	})
	return path
}

func receivedReports(t *testing.T) *analysistest.Store {
	t.Helper()
	store := analysistest.New()
	yesterday := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	var xml bytes.Buffer
	z := gzip.NewWriter(&xml)
	_, _ = z.Write([]byte("<feedback/>\n"))
	_ = z.Close()
	for _, n := range []analysis.Snapshot{
		{Domain: dns.MustParse("example.com"), Kind: analysis.SnapshotSPF, Word: analysis.WordMissing, Detail: "no SPF record"},
		{Domain: dns.MustParse("example.com"), Kind: analysis.SnapshotKey, Name: "s1._domainkey.example.com", Word: analysis.WordInEffect},
		{Domain: dns.MustParse("example.com"), Kind: analysis.SnapshotKey, Name: "s2._domainkey.example.com", Word: analysis.WordMissing},
	} {
		if err := store.SaveSnapshot(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	var items []analysis.Item
	for i, domain := range []string{"example.com", "other.example"} {
		r := analysis.Report{
			Domain: dns.MustParse(domain), Policy: dmarcreport.Published{Domain: domain, P: dmarcreport.PolicyReject}, Status: analysis.StatusStored,
			Trust: analysis.TrustUnknown, Raw: xml.Bytes(),
			Metadata: dmarcreport.Metadata{OrgName: "=cmd|'/c calc'!A1\x1b[31m\u202e", Email: "r@reporter.example", ReportID: domain, Begin: yesterday, End: yesterday.Add(24*time.Hour - time.Second)},
		}
		for j := range 3 {
			row := analysis.Row{
				Number: j + 1, Source: netip.AddrFrom4([4]byte{192, 0, byte(i), byte(j)}), Count: int64(1000 * (j + 1)), SPF: dmarcreport.DMARCFail, DKIM: dmarcreport.DMARCPass,
				Disposition: dmarcreport.DispositionNone, HeaderFrom: domain, Auth: &analysis.AuthSet{DKIM: []analysis.DKIMResult{{Domain: domain, Selector: "s1", Result: dmarcreport.ResultPass}}},
			}
			if j == 2 {
				row.DKIM, row.Disposition = dmarcreport.DMARCFail, dmarcreport.DispositionReject
				row.Auth = &analysis.AuthSet{Reasons: []analysis.Reason{{Type: dmarcreport.ReasonLocalPolicy, Comment: "+1+1"}}}
			}
			r.Rows = append(r.Rows, row)
		}
		items = append(items, analysis.Item{Feed: "folder", TakenAt: time.Now(), Kind: analysis.KindAggregate, Reports: []analysis.Report{r}})
	}
	items = append(items, analysis.Item{Feed: "folder", TakenAt: time.Now(), Kind: analysis.KindOther, Name: "holiday.eml", From: "a@b.example"})
	if _, err := store.Ingest(t.Context(), &analysis.Batch{Items: items}); err != nil {
		t.Fatal(err)
	}
	err := store.Identify(t.Context(), []analysis.Identity{{
		Source: netip.MustParseAddr("192.0.0.0"), Host: "a-host-with-a-very-long-name-indeed.outbound.protection.mailer.example", Service: "mailer.example",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestAnalysisCommands(t *testing.T) {
	path := analysisSite(t)
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	for _, c := range []reportCommandCase{
		{"analysis", exitUsage, []string{"which one?"}},
		{"analysis overview", exitFine, []string{"example.com", "6,000", "50.0 %", "12,000 messages in 2 reports from 1 reporter.", "idle.example: not looked up yet"}},
		{"analysis overview --domain example.com --json", exitFine, []string{`"domain":"example.com","messages":6000,"compliant":3000,"spf_aligned":0,"dkim_aligned":3000,"none":3000,"pass":0,"quarantine":0,"reject":3000,"reporters":1,"last_report":"`}},
		{"analysis overview", exitFine, []string{"Records of   DMARC  SPF      Keys in use", "example.com  ?      Missing  missing: s2; in effect: s1"}},
		{"analysis overview --json", exitFine, []string{
			`{"not_reporting":{"domain":"idle.example","result":"unknown"}}` + "\n",
			`{"records":{"domain":"example.com","dmarc":{"result":"unknown"},"spf":{"result":"missing","text":"no SPF record"},"keys":[{"name":"s1._domainkey.example.com","result":"in_effect"},{"name":"s2`,
		}},
		{"analysis overview --limit 1 --json", exitFine, []string{`{"after":"1"}`}},
		{"analysis overview --limit 1 --after 1", exitFine, []string{"other.example"}},
		{"analysis overview --period 2001-02", exitFine, []string{"Nothing in this period"}},
		{"analysis overview --csv --period 2001-02", exitFine, []string{"domain,messages,compliant,spf_aligned,dkim_aligned,none,pass,quarantine,reject,reporters,last_report\n"}},
		{"analysis sources", exitFine, []string{"mailer.example", "unknown"}},
		{"analysis sources --level ip --ip 192.0.1.", exitFine, []string{"192.0.1.2", "no name"}},
		{"analysis sources --level host --service mailer.example --json", exitFine, []string{`{"service":"mailer.example","label":"","host":"a-host-with`}},
		{"analysis sources --level planet", exitUsage, []string{"planet"}},
		{"analysis sources --ip 192.0.2.9/24 --period all", exitFine, []string{"--ip:", "192.0.2.0/24"}},
		{"analysis details --result not_compliant --domain example.com", exitFine, []string{yesterday + "  3,000  Not compliant", "because of a policy of its own"}},
		{"analysis details --language ja --limit 1", exitFine, []string{"差出人"}},
		{"analysis trend", exitFine, []string{yesterday, "12,000"}},
		{"analysis trend --weekly --csv", exitFine, []string{"day,messages"}},
		{"analysis export --domain example.com", exitFine, []string{"day,header_from,reporter,service,host,ip,messages,compliant,disposition,spf,dkim,reasons,sentence\n"}},
		{"analysis export --json --ip 192.0.0.1", exitFine, []string{`"compliant":2000`, `"reasons":[]`, `"sentence":"2000 messages from`}},
		{"analysis reports", exitFine, []string{"holiday.eml", "stored", "example.com"}},
		{"analysis reports --status stored --csv", exitFine, []string{"id,received,feed,kind,status"}},
		{"analysis reports --json --kind other", exitFine, []string{`"name":"holiday.eml"`}},
		{"analysis reporters", exitFine, []string{"r@reporter.example", "not_known"}},
		{"analysis reporters accept nonsense", exitUsage, []string{"mailer.example:reporter.example"}},
		{"analysis reporters accept mailer.example:reporter.example", exitFine, []string{"Accepted: mail authenticated for mailer.example that reports as reporter.example"}},
		{"analysis reporters", exitFine, []string{"Accepted: mailer.example:reporter.example, by command"}},
		{"analysis label example.com mailer.example authorised --note ours", exitFine, []string{"mailer.example", "authorised", "ours"}},
		{"analysis sources --label authorised", exitFine, []string{"mailer.example  authorised"}},
		{"analysis label nobody.example mailer.example authorised", exitNo, []string{"no managed domain"}},
		{"analysis label example.com mailer.example", exitUsage, nil},
		{"analysis label example.com mailer.example none", exitFine, nil},
		{"analysis raw 2", exitFine, []string{"<feedback/>"}},
		{"analysis raw 99", exitNo, []string{"dmarcd analysis reports"}},
		{"analysis raw two", exitUsage, []string{"is no number"}},
		{"analysis overview --header-from a,!b", exitUsage, []string{"--header-from: "}},
		{"analysis overview --json --csv", exitUsage, []string{"do not go together"}},
		{"analysis overview --limit -1", exitUsage, []string{"less than nothing"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(c.args)
			if !slices.Contains(args, "-c") && len(args) > 1 {
				args = append(args, "-c", path)
			}
			var out, errs bytes.Buffer
			code := run(t.Context(), args, present.Streams{Out: &out, Err: &errs})
			all := out.String() + errs.String()
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, all)
			}
			for _, want := range c.want {
				if !strings.Contains(all, want) {
					t.Errorf("no %q in %s", want, all)
				}
			}
			if strings.ContainsAny(all, "\x1b\u202e") {
				t.Errorf("a terminal would act on %q", all)
			}
			if !slices.Contains(args, "--json") && !slices.Contains(args, "--csv") && args[len(args)-1] == path && !strings.Contains(c.args, "export") {
				for line := range strings.Lines(out.String()) {
					if text.Width(strings.TrimRight(line, "\n")) > text.Terminal {
						t.Errorf("a line of over 80 columns: %s", line)
					}
				}
			}
		})
	}
}

// TestAnalysisJSONAndCSV holds every line to what a program reads in it.
func TestAnalysisJSONAndCSV(t *testing.T) {
	path := analysisSite(t)
	for _, view := range []string{"overview", "sources", "details", "trend", "export", "reports", "reporters"} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"analysis", view, "--json", "-c", path}, present.Streams{Out: &out, Err: &errs}); code != exitFine {
			t.Fatalf("%s: %s", view, errs.String())
		}
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: no JSON: %s", view, line)
			}
		}
		out.Reset()
		if code := run(t.Context(), []string{"analysis", view, "--csv", "-c", path}, present.Streams{Out: &out, Err: &errs}); code != exitFine {
			t.Fatalf("%s: %s", view, errs.String())
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) < 2 {
			t.Fatalf("%s: %d rows, %v", view, len(rows), err)
		}
		for _, row := range rows[1:] {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
					t.Errorf("%s: a spreadsheet would run %q", view, cell)
				}
			}
		}
	}
}
