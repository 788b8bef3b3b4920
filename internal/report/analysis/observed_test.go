package analysis_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/intake"
	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
)

func record(domain string, messages int64, spf, dkim report.DMARCResult, auth analysis.AuthSet) *analysis.Record {
	return &analysis.Record{
		Domain: dns.MustParse(domain), Reporter: "r", HeaderFrom: domain, Messages: messages, SPF: spf, DKIM: dkim, Auth: &auth,
	}
}

func TestObserved(t *testing.T) {
	o := analysis.Observed{Source: netip.MustParseAddr("192.0.2.7")}
	o.Add(record("acme.example", 3, report.DMARCFail, report.DMARCPass, analysis.AuthSet{
		DKIM: []analysis.DKIMResult{{Domain: "acme.example", Result: report.ResultPass}, {Domain: "broken.example", Result: report.ResultFail}},
		SPF:  []analysis.SPFResult{{Domain: "srs.uni.example", Result: report.ResultPass}},
	}))
	o.Add(record("acme.example", 2, report.DMARCFail, report.DMARCFail, analysis.AuthSet{
		SPF:     []analysis.SPFResult{{Domain: "bounce.acme.example", Result: report.ResultSoftfail}, {Domain: "mx.uni.example", Scope: report.ScopeHelo, Result: report.ResultPass}},
		Reasons: []analysis.Reason{{Type: report.ReasonLocalPolicy, Comment: "ARC=pass as[1].d=uni.example"}, {Type: report.ReasonMailingList}},
	}))
	o.Add(record("acme.example", 4, report.DMARCFail, report.DMARCFail, analysis.AuthSet{ // a return path for which SPF did not pass is forged, perhaps
		SPF: []analysis.SPFResult{{Domain: "other.example", Result: report.ResultFail}},
	}))
	want := source.Traffic{Messages: 9, DKIMAligned: 3, Rewritten: 3, Kept: 2, Listed: 2, ARC: 2, Records: 3, Reporters: 1}
	if o.Traffic != want {
		t.Errorf("traffic %+v, want %+v", o.Traffic, want)
	}
	f := o.Facts()
	if len(f.Managed) != 1 || !slices.Equal(f.Signed, []source.Seen{{Domain: dns.MustParse("acme.example"), Messages: 3}}) || len(f.Passed) != 2 {
		t.Errorf("facts %+v", f)
	}
}

// samplesDir holds forty real reports, where it stands beside the project.
var samplesDir = filepath.Join("..", "..", "..", "..", "shared", "data", "aggregate-samples")

// TestIdentifySamples identifies the sources of real reports by what the reports alone
// tell, as nothing is looked up. Each identification was looked at; a new one has to
// be, too. Nearly all of the volume is own mail of one sender, with no evidence but its
// own, and rightly stays unknown.
func TestIdentifySamples(t *testing.T) {
	if _, err := os.Stat(samplesDir); err != nil {
		t.Skipf("the samples are not beside the project: %v", err)
	}
	m, err := source.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{} // addresses were compared with the networks of the services
	for _, one := range []string{
		"outlook.com by hotmail.com", "google.com by gmail.com", "qq.com by qq.com", "qq.com by foxmail.com", "163.com by 163.com",
		"163.com by vip.163.com", "163.com by yeah.net", "ietf.org by ietf.org", "amazonses.com by amazonses.com",
	} {
		want[one+", high"] = true
	}
	want["google.com by google, low"] = true // the selector of Workspace, from networks of Google
	forwarders := []string{
		"209.85.212.49", "209.85.220.173", "209.85.220.179", "74.125.82.179", // example.com's signature, Gmail's return path
		"173.228.157.66", "64.147.108.117", "64.147.108.173", // a forwarding service, and the reporter says so
	}
	all, known := int64(0), int64(0)
	for _, o := range observeSamples(t) {
		facts := o.Facts()
		id := source.Identify(m, &facts)
		all += o.Traffic.Messages
		forwarding, why := source.Forwards(&id, &o.Traffic)
		if (forwarding != source.ForwardingNone) != slices.Contains(forwarders, o.Source.String()) {
			t.Errorf("%s: %s by %v", o.Source, forwarding, why)
		}
		if id.Confidence == source.Unknown {
			continue
		}
		known += o.Traffic.Messages
		if one := fmt.Sprintf("%s by %s, %s", id.Service, id.Evidence[0].Value, id.Confidence); !want[one] {
			t.Errorf("%s: nobody has looked at %s", o.Source, one)
		}
	}
	t.Logf("%d of %d messages identified: %.1f %%", known, all, 100*float64(known)/float64(all))
}

// observeSamples reads the samples, and sums them up by address.
func observeSamples(t *testing.T) map[netip.Addr]*analysis.Observed {
	t.Helper()
	sources, seen := map[netip.Addr]*analysis.Observed{}, map[[32]byte]bool{}
	err := filepath.WalkDir(samplesDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".xml", ".gz", ".zip", ".eml"}, filepath.Ext(path)) {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		limits := settings.Default("localhost").Analysis.Limits
		item, err := intake.Read(t.Context(), intake.Input{Name: path, At: time.Now(), Bytes: int64(len(raw)), Body: raw, Mail: filepath.Ext(path) == ".eml"},
			intake.Options{Limits: intake.Limits(limits)})
		if err != nil {
			return err
		}
		for i := range item.Reports {
			if rep := &item.Reports[i]; !seen[rep.Key()] {
				seen[rep.Key()] = true
				observe(sources, rep)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func observe(sources map[netip.Addr]*analysis.Observed, rep *analysis.Report) {
	domain, err := dns.Parse(rep.Policy.Domain)
	if err != nil {
		return
	}
	for i := range rep.Rows {
		row := &rep.Rows[i]
		o := sources[row.Source]
		if o == nil {
			o = &analysis.Observed{Source: row.Source}
			sources[row.Source] = o
		}
		o.Add(&analysis.Record{
			Domain: domain, Reporter: rep.Metadata.OrgName, HeaderFrom: row.HeaderFrom, EnvelopeFrom: row.EnvelopeFrom, Messages: row.Count,
			SPF: row.SPF, DKIM: row.DKIM, Auth: row.Auth,
		})
	}
}
