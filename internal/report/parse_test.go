package report

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// tidied is the report as it is after it was written.
func tidied(r *Report) *Report {
	out := *r
	m, p := &out.Metadata, &out.Policy
	for _, s := range []*string{&m.OrgName, &m.Email, &m.ExtraContact, &m.ReportID, &m.Error, &m.Generator, &p.Domain, &p.FO} {
		*s = tidy(*s, maxComment)
	}
	m.OrgName, m.Email, m.ReportID, m.Generator = tidy(m.OrgName, maxContact), tidy(m.Email, maxContact), tidy(m.ReportID, maxContact), tidy(m.Generator, maxName)
	p.FO, p.Domain = tidy(p.FO, maxName), tidy(p.Domain, maxName)
	out.Rows = make([]Row, len(r.Rows))
	for i := range r.Rows {
		row, err := ParseKey(r.Rows[i].AppendKey(nil))
		if err != nil {
			panic(err)
		}
		row.Count = r.Rows[i].Count
		out.Rows[i] = row
	}
	out.Dialect = DialectRFC9990
	return &out
}

// readAll reads a report with its records.
func readAll(r io.Reader, limits Limits) (*Received, []*Record, error) {
	var records []*Record
	got, err := Parse(r, limits, func(_ *Received, rec *Record) error {
		records = append(records, rec)
		return nil
	})
	return got, records, err
}

// readBack reads a report as one that could be written.
func readBack(r io.Reader) (*Report, error) {
	got, records, err := readAll(r, Limits{})
	out := &Report{Metadata: got.Metadata, Policy: got.Policy, Dialect: got.Dialect}
	for _, rec := range records {
		out.Rows = append(out.Rows, rec.Row)
	}
	for _, n := range got.Notes {
		if err == nil && (n.Kind != NoteMissing || n.Where != "selector") { // random signatures may have none
			err = fmt.Errorf("it has the note %+v", n)
		}
	}
	return out, err
}

// TestRoundTrip reads back what was written. Domains are tamed first, as reading
// makes A-labels of them.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 489))
	reports := []*Report{fullReport()}
	for range 500 {
		r := randomReport(rng)
		r.Metadata.ReportID = "id"
		tame(r)
		reports = append(reports, r)
	}
	for _, r := range reports {
		want := tidied(r)
		got, err := readBack(bytes.NewReader(xmlOf(t, r)))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			a, _ := json.MarshalIndent(got, "", " ")
			b, _ := json.MarshalIndent(want, "", " ")
			t.Fatalf("read back\n%s\nwant\n%s", a, b)
		}
	}
}

// tame gives a random report domains that are domains, and results that are
// more than nothing.
func tame(r *Report) {
	r.Policy.Domain = "example.com"
	for i := range r.Rows {
		row := &r.Rows[i]
		row.HeaderFrom = "a.example.com"
		if row.EnvelopeFrom = tidy(row.EnvelopeFrom, maxName); row.EnvelopeFrom != "" {
			row.EnvelopeFrom = "xn--mnchen-3ya.example"
		}
		row.EnvelopeTo = ""
		for j := range row.AuthDKIM {
			row.AuthDKIM[j].Domain = "d.example"
		}
		if row.AuthSPF != nil {
			row.AuthSPF.Domain = "s.example"
		}
	}
}

// TestGzipMembers reads all members of a file (RFC 1952 section 2.2).
func TestGzipMembers(t *testing.T) {
	raw := xmlOf(t, fullReport())
	var b bytes.Buffer
	for _, piece := range [][]byte{raw[:100], raw[100:]} {
		z := gzip.NewWriter(&b)
		if _, err := z.Write(piece); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ParseGzip(&b, Limits{}, nil)
	if err != nil || len(got.Notes) > 0 || got.Records != 2 || got.Messages != fullReport().Rows[0].Count+41 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseGzip(strings.NewReader("no gzip"), Limits{}, nil); !errors.Is(err, ErrNotReport) {
		t.Errorf("of no gzip: %v", err)
	}
}

// TestParseGolden reads the odd reports of testdata/parse; what comes out, the
// warnings with it, stands in a file of the same name with .want.
func TestParseGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/parse/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		stem := strings.TrimSuffix(filepath.Base(path), ".xml")
		t.Run(stem, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out := struct {
				Error   string `json:",omitempty"`
				Report  *Received
				Records []*Record
				Texts   []string // of the notes
			}{}
			out.Report, out.Records, err = readAll(iotest.OneByteReader(bytes.NewReader(raw)), Limits{})
			if err != nil {
				out.Error = err.Error()
			}
			for _, n := range out.Report.Notes {
				out.Texts = append(out.Texts, n.Text())
			}
			text, err := json.MarshalIndent(out, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("..", "parse", stem+".want"), append(text, '\n'))
		})
	}
}

func TestParseLimits(t *testing.T) {
	r := fullReport()
	for range 100 {
		r.Rows = append(r.Rows, fullRow())
	}
	raw := string(xmlOf(t, r))
	deep := strings.Replace(raw, "<row>", strings.Repeat("<a>", 50)+strings.Repeat("</a>", 50)+"<row>", 1)
	long := strings.Replace(raw, "held &amp; marked", strings.Repeat("x", 300<<10), 1)
	attributes := strings.Replace(raw, "<row>", "<row "+strings.Repeat("a='b' ", 100<<10)+">", 1)
	within := func(begin, piece, end string) string {
		return strings.Replace(raw, "held", begin+strings.Repeat(piece, 100<<10)+end, 1)
	}
	for name, c := range map[string]struct {
		raw    string
		limits Limits
		want   error
	}{
		"fine":           {raw, Limits{}, nil},
		"just fine":      {raw, Limits{Bytes: int64(len(raw)), Rows: len(r.Rows), Depth: 6}, nil},
		"octets":         {raw, Limits{Bytes: int64(len(raw)) - 1}, ErrTooLarge},
		"rows":           {raw, Limits{Rows: len(r.Rows) - 1}, ErrTooLarge},
		"depth":          {raw, Limits{Depth: 5}, ErrTooLarge},
		"depth ignored":  {deep, Limits{}, ErrTooLarge},
		"text":           {long, Limits{}, ErrTooLarge},
		"attributes":     {attributes, Limits{}, ErrTooLarge},
		"CDATA":          {within("<![CDATA[", "<a>", "]]>"), Limits{}, ErrTooLarge},
		"comment":        {within("<!--", "<a>", "-->"), Limits{}, ErrTooLarge},
		"instruction":    {within("<?x", "<a>", "?>"), Limits{}, ErrTooLarge},
		"many comments":  {within("", "<!-- a > b -->", ""), Limits{}, nil},
		"larger text":    {long, Limits{Text: 1 << 20}, nil},
		"entities apart": {strings.Replace(raw, "held", strings.Repeat("&lt;<i/>", 20<<10), 1), Limits{Text: 10 << 10}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(strings.NewReader(c.raw), c.limits, nil); !errors.Is(err, c.want) {
				t.Errorf("error is %v, want %v", err, c.want)
			}
		})
	}
	disk := errors.New("disk")
	if _, err := Parse(io.MultiReader(strings.NewReader(raw[:len(raw)/2]), iotest.ErrReader(disk)), Limits{}, nil); !errors.Is(err, disk) {
		t.Errorf("of a broken disk: %v", err)
	}
}

func TestNotesAreBounded(t *testing.T) {
	r := fullReport()
	raw := string(xmlOf(t, r))
	record := raw[strings.Index(raw, "  <record>"):strings.Index(raw, "</feedback>")]
	var b strings.Builder
	for i := range 1000 {
		b.WriteString(strings.ReplaceAll(record, "192.0.2.10", strings.Repeat("x", i%500+1)))
	}
	got, err := Parse(strings.NewReader(strings.Replace(raw, record, record+b.String(), 1)), Limits{Notes: 10}, nil)
	if err != nil || len(got.Notes) != 11 || got.Quarantined != 1000 || len(got.Faults) != 100 {
		t.Fatalf("%d notes, %d records quarantined, %d of them listed, %v", len(got.Notes), got.Quarantined, len(got.Faults), err)
	}
	left := 0
	for _, n := range got.Notes {
		left += n.Count
	}
	if left != 1000 {
		t.Errorf("notes speak of %d records", left)
	}
}

// samplesDir holds real reports, where it stands beside the project.
var samplesDir = filepath.Join("..", "..", "..", "shared", "data", "aggregate-samples")

// TestParseSamples reads the real reports and counts their records.
func TestParseSamples(t *testing.T) {
	if _, err := os.Stat(samplesDir); err != nil {
		t.Skipf("the samples are not beside the project: %v", err)
	}
	records := map[string]int{
		"parsedmarc/!large-example.com!1711897200!1711983600.xml": 2286, "parsedmarc/rfc9990-example.net!example.com!1700000000!1700086399.xml": 2,
		"parsedmarc/usssa.com!example.com!1538784000!1538870399.xml": 2, "parsedmarc/nice-input.xml": 20, "parsedmarc/nice-input.xml.gz": 20,
		"parsedmarc/nice-input.xml.zip": 20, "parsedmarc/changed-input.xml": 20, "dmarc-report-viewer/outlook.xml": 2, "mail-auth/003.xml": 4,
		"opendmarc/163.com!example.com!1337270400!1337356799.20120518163.xml": 50, "opendmarc/good.com!example.com!1337270400!1337356799.xml": 754,
		"parsedmarc/empty.xml": 0,
	}
	n := 0
	err := filepath.WalkDir(samplesDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var parse func(io.Reader, Limits, func(*Received, *Record) error) (*Received, error)
		raw, err := os.ReadFile(path)
		switch filepath.Ext(path) {
		case ".xml":
			parse = Parse
		case ".gz":
			parse = ParseGzip
		case ".zip":
			parse, raw = Parse, unzip(t, raw)
		default:
			return err
		}
		if err != nil {
			return err
		}
		n++
		name, _ := filepath.Rel(samplesDir, path)
		want, known := records[filepath.ToSlash(name)]
		if !known {
			want = 1
		}
		var records []*Record
		r, err := parse(bytes.NewReader(raw), Limits{}, func(_ *Received, rec *Record) error {
			records = append(records, rec)
			return nil
		})
		if want == 0 && err != nil {
			return nil
		}
		if err != nil || len(records) != want || r.Quarantined > 0 {
			t.Errorf("%s: %v, not %d records; %+v", name, err, want, r)
			return nil
		}
		for _, n := range r.Notes {
			t.Logf("%s: %s: %s (%d)", name, n.Kind, n.Text(), n.Count)
		}
		return nil
	})
	if err != nil || n < 30 {
		t.Errorf("%d samples, %v", n, err)
	}
}

func unzip(t *testing.T, raw []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, ".xml") {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			out, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	return nil
}

// FuzzParse looks for panics, and for reports that cannot be stored as keys or
// that grow beyond the limits.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/parse/*.xml")
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add(xmlOf(f, fullReport()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		limits := Limits{Bytes: 1 << 20, Rows: 100, Depth: 16, Text: 4 << 10, Notes: 20}
		r, records, err := readAll(bytes.NewReader(raw), limits)
		if len(r.Notes) > limits.Notes+len(noteTexts) {
			t.Errorf("%d notes", len(r.Notes))
		}
		for _, n := range r.Notes {
			if text := n.Text(); text == "" || !utf8.ValidString(text) {
				t.Errorf("note %+v has the text %q", n, text)
			}
		}
		if err != nil {
			return
		}
		if len(records) != r.Records || len(records) > limits.Rows || r.Policy.Domain == "" || r.Metadata.End.Before(r.Metadata.Begin) {
			t.Errorf("a report that is none: %+v", r)
		}
		all, err := json.Marshal([]any{r, records})
		if err != nil || !utf8.Valid(all) || bytes.Contains(all, []byte(`\u0000`)) {
			t.Errorf("texts that are none: %v, %q", err, all)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	r := fullReport()
	for range 1000 {
		r.Rows = append(r.Rows, r.Rows[1])
	}
	raw := xmlOf(b, r)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(raw), Limits{}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(r.Rows))*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkParseGzipSmall(b *testing.B) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if err := fullReport().WriteXML(w); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseGzip(bytes.NewReader(z.Bytes()), Limits{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
