package intake

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// samplesDir holds forty real reports, where it stands beside the project.
var samplesDir = filepath.Join("..", "..", "..", "..", "shared", "data", "aggregate-samples")

// sampleRecords are the counts that the samples' README tells, where they are not one;
// it tells one of mox/google.eml, in which there are two.
var sampleRecords = map[string]int{
	"parsedmarc/!large-example.com!1711897200!1711983600.xml": 2286, "parsedmarc/rfc9990-example.net!example.com!1700000000!1700086399.xml": 2,
	"parsedmarc/usssa.com!example.com!1538784000!1538870399.xml": 2, "parsedmarc/nice-input.xml": 20, "parsedmarc/nice-input.xml.gz": 20,
	"parsedmarc/nice-input.xml.zip": 20, "parsedmarc/changed-input.xml": 20, "dmarc-report-viewer/outlook.xml": 2, "mail-auth/003.xml": 4,
	"opendmarc/163.com!example.com!1337270400!1337356799.20120518163.xml": 50, "opendmarc/good.com!example.com!1337270400!1337356799.xml": 754,
	"parsedmarc/empty.xml": 0, "mox/google.eml": 2,
}

// TestSamples reads each real report or mail as a file, and counts.
func TestSamples(t *testing.T) {
	if _, err := os.Stat(samplesDir); err != nil {
		t.Skipf("the samples are not beside the project: %v", err)
	}
	items := map[string]*analysis.Item{}
	err := filepath.WalkDir(samplesDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".xml", ".gz", ".zip", ".eml":
		default:
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(samplesDir, path)
		name := filepath.ToSlash(rel)
		item := read(t, string(raw), false)
		items[name] = item
		want, known := sampleRecords[name]
		if !known {
			want = 1
		}
		if want == 0 {
			if item.Kind != analysis.KindUnreadable || len(item.Reports) != 0 {
				t.Errorf("%s: %s %s", name, item.Kind, item.Why)
			}
			return nil
		}
		if item.Kind != analysis.KindAggregate || len(item.Reports) != 1 || item.Reports[0].Status != analysis.StatusStored {
			t.Errorf("%s: %s %s, %d reports", name, item.Kind, item.Why, len(item.Reports))
			return nil
		}
		rep := item.Reports[0]
		if len(rep.Rows) != want || len(rep.Quarantine) > 0 {
			t.Errorf("%s: %d records, want %d; quarantined %v", name, len(rep.Rows), want, rep.Quarantine)
		}
		if xml, err := unpackRaw(rep.Raw); err != nil || int64(len(xml)) < rep.RawBytes || len(xml) == 0 {
			t.Errorf("%s: raw of %d octets, %v", name, len(xml), err)
		}
		t.Logf("%s: %d records; %s", name, want, strings.ReplaceAll(strings.TrimSpace(notesOf(item)), "\n", "; "))
		return nil
	})
	if err != nil || len(items) != 40 {
		t.Fatalf("%d samples, %v", len(items), err)
	}
	nice := items["parsedmarc/nice-input.xml"].Reports[0]
	for _, name := range []string{"parsedmarc/nice-input.xml.gz", "parsedmarc/nice-input.xml.zip"} {
		if r := items[name].Reports[0]; r.Key() != nice.Key() || r.Digest != nice.Digest {
			t.Errorf("%s is not the same report as its XML", name)
		}
	}
	if r := items["parsedmarc/changed-input.xml"].Reports[0]; r.Key() == nice.Key() {
		t.Error("a report of another organization has the same key")
	}
	testSampleOddities(t, items)
}

// testSampleOddities looks at what the README says of single samples.
func testSampleOddities(t *testing.T, items map[string]*analysis.Item) {
	first := func(name string) (*analysis.Report, *analysis.Row) {
		r := &items[name].Reports[0]
		return r, &r.Rows[0]
	}
	if _, row := first("dmarcgo/aol.com!georgestarcher.com!1342497600!1342584000.zip"); row.Flags&(analysis.FlagWorkedOutSPF|analysis.FlagWorkedOutDKIM) == 0 {
		t.Error("a report without verdicts is not marked as worked out")
	}
	if _, row := first("dmarcanalyzerapp/sample-yahoo-aggregate.xml"); len(row.Auth.DKIM) != 2 {
		t.Errorf("%d DKIM results, want both", len(row.Auth.DKIM))
	}
	if _, row := first("mail-auth/005.xml"); row.Auth.Reasons[0].Type != report.ReasonSampledOut {
		t.Errorf("reasons %v", row.Auth.Reasons)
	}
	if r, _ := first("parsedmarc/veeam.com!example.com!1530133200!1530219600.xml"); !strings.Contains(r.Metadata.ReportID, ":") || r.Dialect != report.DialectDraft {
		t.Errorf("report_id %q, %s", r.Metadata.ReportID, r.Dialect)
	}
	if r, row := first("parsedmarc/rfc9990-sample.xml"); r.Dialect != report.DialectRFC9990 || row.Disposition != report.DispositionPass || r.Metadata.Generator == "" {
		t.Errorf("%s, %s, generator %q", r.Dialect, row.Disposition, r.Metadata.Generator)
	}
	if r, row := first("dmarc-report-viewer/acme.xml"); r.Metadata.Error == "" || row.Auth.Reasons[0].Comment == "" {
		t.Errorf("error %q, reasons %v", r.Metadata.Error, row.Auth.Reasons)
	}
	if r, row := first("parsedmarc/fastmail.com!example.com!1516060800!1516147199!102675056.xml.gz"); r.Policy.Domain == row.HeaderFrom {
		t.Error("the policy domain is the From domain")
	}
}

// unpackRaw is the XML of what is kept.
func unpackRaw(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	err := WriteRaw(&b, raw)
	return b.Bytes(), err
}
