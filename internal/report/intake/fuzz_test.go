package intake

import (
	"context"
	"io"
	"testing"
	"time"
	"unicode/utf8"

	"dmarcd/internal/report/analysis"
)

// FuzzRead opens mails, archives and files of any kind, within small limits: it always
// comes to an end, and what it gives can be stored.
func FuzzRead(f *testing.F) {
	f.Add([]byte(feedback()), false)
	f.Add([]byte(gz(f, feedback(), "more")), false)
	f.Add([]byte(zlibbed(f, feedback())), false)
	f.Add([]byte(zipped(f, "a.xml", feedback(), "b.gz", gz(f, feedback()))), false)
	f.Add([]byte(tarred(f, "d/", "", "d/a.xml", feedback())), false)
	f.Add([]byte(attached("application/gzip", reportName, gz(f, feedback()))), true)
	f.Add([]byte(single("Content-Transfer-Encoding: base64\r\n", b64(gz(f, feedback())))), true)
	f.Add([]byte(mixed(part("Content-Type: message/rfc822\r\n", attached("application/zip", "a.zip", zipped(f, "a.xml", feedback()))))), true)
	f.Add([]byte("From a@b\nSubject: x\n\n>From y\n\nFrom c@d\n\n"), false)
	limits := Limits{MailBytes: 1 << 20, ExpandedBytes: 1 << 20, Ratio: 50, Entries: 5, Records: 100}
	f.Fuzz(func(t *testing.T, body []byte, isMail bool) {
		item, err := Read(context.Background(), Input{At: time.Unix(1780400000, 0), Mail: isMail, Bytes: int64(len(body)), Body: body}, Options{Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{item.From, item.Subject, item.Why}
		for i := range item.Reports {
			r := &item.Reports[i]
			if len(r.Rows) > limits.Records {
				t.Errorf("%d records", len(r.Rows))
			}
			if r.Raw == nil && item.Raw == nil {
				t.Error("neither the report nor what it came in is kept")
			}
			if r.Raw != nil {
				must(t, WriteRaw(io.Discard, r.Raw))
			}
			texts = append(texts, r.Why, r.FileName, r.Metadata.OrgName, r.Metadata.Email, r.Metadata.ReportID)
		}
		if item.Kind == analysis.KindUnreadable && item.Raw == nil {
			t.Error("what cannot be read is not kept")
		}
		for _, s := range texts {
			if !utf8.ValidString(s) {
				t.Errorf("%q is no UTF-8", s)
			}
		}
	})
}
