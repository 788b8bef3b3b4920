package intake

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
)

// faultCase is one row of docs/intake.md, or one form of it. The name begins with
// the number of the row.
type faultCase struct {
	name string
	in   string
	mail bool
	// What is to come out of it.
	kind    analysis.Kind // "" for KindAggregate
	status  analysis.Status
	records []int  // of each report; nil for {2}
	why     string // part of why the item or its first report is not taken
	note    string // part of the notes
	look    func(t *testing.T, item *analysis.Item)
}

// row looks at the first row.
func row(look func(r *analysis.Row) error) func(*testing.T, *analysis.Item) {
	return func(t *testing.T, item *analysis.Item) {
		t.Helper()
		if err := look(&item.Reports[0].Rows[0]); err != nil {
			t.Errorf("%v in %+v with %+v", err, item.Reports[0].Rows[0], item.Reports[0].Rows[0].Auth)
		}
	}
}

// head looks at the first report.
func head(look func(r *analysis.Report) error) func(*testing.T, *analysis.Item) {
	return func(t *testing.T, item *analysis.Item) {
		t.Helper()
		if err := look(&item.Reports[0]); err != nil {
			t.Error(err)
		}
	}
}

func is[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

// TestFaults puts in what reporters, gateways and mailboxes have been seen to
// make of reports.
func TestFaults(t *testing.T) {
	var cases []faultCase
	for _, some := range [][]faultCase{shapeCases(t), xmlCases(t), valueCases(t), moreValueCases(t), mailCases(t), otherMailCases(t)} {
		cases = append(cases, some...)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (c *faultCase) run(t *testing.T) {
	item := read(t, c.in, c.mail)
	kind, status := c.kind, c.status
	if kind == "" {
		kind = analysis.KindAggregate
	}
	if status == "" {
		status = analysis.StatusStored
	}
	if item.Kind != kind {
		t.Fatalf("it is %s (%s), want %s", item.Kind, item.Why, kind)
	}
	why := item.Why
	if kind == analysis.KindAggregate {
		want := c.records
		if want == nil {
			want = []int{2}
		}
		if len(item.Reports) != len(want) {
			t.Fatalf("%d reports, want %d", len(item.Reports), len(want))
		}
		for i, n := range want {
			r := &item.Reports[i]
			if len(r.Rows) != n || r.Status != status && status != "any" {
				t.Errorf("report %d: %d records, %s (%s), want %d, %s", i, len(r.Rows), r.Status, r.Why, n, status)
			}
			if r.Raw == nil {
				t.Errorf("report %d is not kept as it came", i)
			}
		}
		why = item.Reports[0].Why
	} else if len(item.Reports) > 0 {
		t.Errorf("it has %d reports", len(item.Reports))
	}
	if !strings.Contains(why, c.why) || why != "" && c.why == "" && kind != analysis.KindAggregate {
		t.Errorf("why is %q, want %q in it", why, c.why)
	}
	notes := notesOf(item)
	if !strings.Contains(notes, c.note) || c.note == "" && notes != "" {
		t.Errorf("the notes are %q, want %q in it", notes, c.note)
	}
	if c.look != nil {
		c.look(t, item)
	}
}

// shapeCases are files.
func shapeCases(t *testing.T) []faultCase {
	whole := feedback()
	noCheck := gz(t, whole)
	noCheck = noCheck[:len(noCheck)-8]
	wrong := []byte(gz(t, whole))
	wrong[len(wrong)-6] ^= 0xff
	encrypted := []byte(zipped(t, "a.xml", whole))
	encrypted[strings.Index(string(encrypted), "PK\x01\x02")+8] |= 1
	mixedUp := []byte(zipped(t, "secret.xml", whole, "a.xml", whole))
	mixedUp[strings.Index(string(mixedUp), "PK\x01\x02")+8] |= 1
	exotic := []byte(zipped(t, "a.xml", whole))
	exotic[strings.Index(string(exotic), "PK\x01\x02")+10] = 93
	portal := record("", 0)
	portal = strings.Replace(portal, "<count>0</count>", "<count></count>", 1)
	return []faultCase{
		{name: "01 nothing seen", in: feedback(portal), status: analysis.StatusEmpty, records: []int{0}, note: "tells of no mail"},
		{name: "01 no record", in: strings.Replace(feedback(portal), portal, "", 1), status: analysis.StatusEmpty, records: []int{0}},
		{name: "06 folders and resource forks", in: zipped(t, "d/", "", "d/a.xml", whole, "__MACOSX/d/._a.xml", "\x00\x05\x16\x07", "d/.DS_Store", "x", "d/b.xml", whole), records: []int{2, 2}},
		{name: "07 zip in zip", in: zipped(t, "outer.zip", zipped(t, "a.xml", whole))},
		{name: "07 gzip in zip", in: zipped(t, "a.xml.gz", gz(t, whole))},
		{name: "07 too deep", in: zipped(t, "1", zipped(t, "2", zipped(t, "3", zipped(t, "4", zipped(t, "5", whole))))), kind: analysis.KindUnreadable, why: "archives more than 4 deep"},
		{name: "08 gzip of several members", in: gz(t, whole[:200], whole[200:500], whole[500:])},
		{name: "08 zlib", in: zlibbed(t, whole)},
		{name: "09 octets behind gzip", in: gz(t, whole) + "\r\n-- \r\nscanned by a gateway\r\n", note: "something follows the compressed data"},
		{name: "09 zeros behind gzip", in: gz(t, whole) + strings.Repeat("\x00", 512)},
		{name: "10 gzip without checksum", in: noCheck, note: "no checksum"},
		{name: "10 gzip with a wrong checksum", in: string(wrong), note: "checksum of the compressed data is wrong"},
		{name: "11 encrypted zip", in: string(encrypted), kind: analysis.KindUnreadable, why: "an encrypted zip archive"},
		{name: "11 exotic zip", in: string(exotic), kind: analysis.KindUnreadable, why: "compressed by method 93"},
		{name: "11 RAR", in: "Rar!\x1a\x07\x01\x00 and more", kind: analysis.KindUnreadable, why: "a RAR archive"},
		{name: "11 encrypted file beside others", in: string(mixedUp), note: "an encrypted zip archive"},
		{name: "12 tar.gz", in: gz(t, tarred(t, "backup/", "", "backup/a.xml", whole, "backup/b.xml.gz", gz(t, whole))), records: []int{2, 2}},
		{name: "12 tar", in: tarred(t, "a.xml", whole)},
		{name: "13 unused", in: "unused", kind: analysis.KindUnreadable, why: `"unused"`},
		{name: "13 unused in a mail", in: attached("application/xml", strings.TrimSuffix(reportName, ".gz"), "unused"), mail: true, kind: analysis.KindUnreadable, why: `"unused"`},
		{name: "14 no octets", in: "", kind: analysis.KindUnreadable, why: "it is empty"},
		{name: "14 no octets in gzip", in: gz(t, ""), kind: analysis.KindUnreadable, why: "it is empty"},
		{name: "14 no root", in: "<?xml version='1.0'?>\n", kind: analysis.KindUnreadable, why: "no element feedback"},
		{name: "14 another root", in: "<html><body>Error</body></html>", kind: analysis.KindUnreadable, why: "no element feedback"},
		{name: "14 cut within a record", in: gz(t, whole[:len(whole)-100]), status: analysis.StatusRefused, records: []int{0}, why: "ends within a record"},
		{name: "14 cut between records", in: strings.TrimSuffix(whole, "</feedback>\n"), note: "the end of the file is missing"},
		{name: "15 a bad one among others", in: zipped(t, "a.xml", whole[:500], "b.xml", whole, "c.xml", "<", "d.xml", whole), status: "any", records: []int{0, 2, 2}, why: "ends within a record", note: "c.xml: not an aggregate report"},
	}
}

// xmlCases are files whose XML is odd.
func xmlCases(t *testing.T) []faultCase {
	whole := feedback()
	bare := strings.TrimPrefix(whole, `<?xml version="1.0" encoding="UTF-8"?>`+"\n")
	rfc9990 := strings.Replace(whole, "<feedback>", `<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">`, 1)
	many := make([]string, 70_000)
	for i := range many {
		many[i] = record(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), 1)
	}
	extension := `<x:ext xmlns:x="urn:example:more"><x:record><x:row><x:count>9</x:count></x:row></x:record></x:ext>`
	return []faultCase{
		{name: "16 lost bracket of an end", in: swap(t, "id-1@reporter.example</report_id>", "id-1/report_id>"), note: "broken XML", look: head(func(r *analysis.Report) error {
			return is("report_id", r.Metadata.ReportID, "id-1")
		})},
		{name: "16 lost bracket in a record", in: swap(t, "<count>3</count>", "<count>3/count>"), note: "broken XML", look: row(func(r *analysis.Row) error { return is("count", r.Count, 3) })},
		{name: "17 brackets in an address", in: swap(t, "dmarc@reporter.example</email>", "Reporter <dmarc@reporter.example></email>"), look: head(func(r *analysis.Report) error {
			return is("email", r.Metadata.Email, "Reporter <dmarc@reporter.example>")
		})},
		{name: "17 brackets in a URL", in: swap(t, "<report_id>", "<extra_contact_info><https://reporter.example/a?b></extra_contact_info><report_id>"), look: head(func(r *analysis.Report) error {
			return is("contact", r.Metadata.ExtraContact, "<https://reporter.example/a?b>")
		})},
		{name: "17 brackets in a record", in: swap(t, "<result>pass</result></spf>", "<result>pass</result><human_result>from <bounce> & <b@example.net></human_result></spf>"), note: "a tag within a text", look: row(func(r *analysis.Row) error {
			return is("text", r.Auth.SPF[0].HumanResult, "from <bounce> & <b@example.net>")
		})},
		{name: "18 stray octet", in: swap(t, "Reporter</org_name>", "Report\x91er</org_name>"), note: "characters that XML does not allow", look: head(func(r *analysis.Report) error {
			return is("org_name", r.Metadata.OrgName, "Report\uFFFDer")
		})},
		{name: "18 control character and reference to one", in: swap(t, "Reporter</org_name>", "Re\x02porter&#0;&#x1f;</org_name>"), note: "characters that XML does not allow", look: head(func(r *analysis.Report) error {
			return is("org_name", r.Metadata.OrgName, "Re porter\uFFFD\uFFFD")
		})},
		{name: "19 declaration without a line end", in: `<?xml version="1.0"?>` + bare},
		{name: "19 blank lines before", in: "\r\n\r\n \t" + whole},
		{name: "19 byte order mark", in: "\xef\xbb\xbf\n" + whole},
		{name: "19 no declaration", in: bare},
		{name: "20 namespace of RFC 9990", in: rfc9990, look: head(func(r *analysis.Report) error { return is("dialect", r.Dialect, report.DialectRFC9990) })},
		{name: "20 prefix", in: strings.Replace(regexp.MustCompile(`<(/?)([a-z])`).ReplaceAllString(whole, "<${1}d:$2"), "<d:feedback>", `<d:feedback xmlns:d="urn:ietf:params:xml:ns:dmarc-2.0">`, 1)},
		{name: "21 extension with records", in: strings.Replace(rfc9990, "<record>", extension+"<record>", 1)},
		{name: "21 extension in a record", in: strings.Replace(rfc9990, "<row>", extension+"<row>", 1)},
		{name: "21 extension without a namespace of the report", in: swap(t, "<record>", extension+"<record>")},
		{name: "22 schema left open", in: swap(t, "<feedback>", `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><feedback>`)},
		{name: "22 schema left open within", in: swap(t, "<feedback>", `<feedback><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">`), note: "broken XML"},
		{name: "23 entities of HTML", in: swap(t, "Reporter</org_name>", "R&eacute;porter&nbsp;&unknown; & Co</org_name>"), note: "no entity of XML", look: head(func(r *analysis.Report) error {
			return is("org_name", r.Metadata.OrgName, "Réporter\u00a0&unknown; & Co")
		})},
		{name: "24 70,000 records", in: gz(t, feedback(many...)), records: []int{70_000}},
	}
}
