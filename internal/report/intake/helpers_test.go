package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/report/analysis"
)

// defaults are the limits of the settings.
var defaults = Limits{MailBytes: 25 << 20, ExpandedBytes: 100 << 20, Ratio: 200, Entries: 50, Records: 250_000}

// record is one in the words of RFC 7489.
func record(ip string, count int) string {
	return fmt.Sprintf("<record><row><source_ip>%s</source_ip><count>%d</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>"+
		"<identifiers><header_from>example.com</header_from></identifiers><auth_results><dkim><domain>example.com</domain><selector>s1</selector><result>pass</result></dkim>"+
		"<spf><domain>bounce.example.net</domain><result>pass</result></spf></auth_results></record>\n", ip, count)
}

// feedback is a report with these records; none stands for two usual ones.
func feedback(records ...string) string {
	if len(records) == 0 {
		records = []string{record("192.0.2.1", 3), record("2001:db8::2", 4)}
	}
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n<feedback>\n<version>1.0</version>\n" +
		"<report_metadata><org_name>Reporter</org_name><email>dmarc@reporter.example</email><report_id>id-1@reporter.example</report_id>" +
		"<date_range><begin>1780272000</begin><end>1780358399</end></date_range></report_metadata>\n" +
		"<policy_published><domain>example.com</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>none</sp><pct>50</pct></policy_published>\n" +
		strings.Join(records, "") + "</feedback>\n"
}

// swap is the usual report with a piece of it changed.
func swap(t testing.TB, old, new string) string {
	t.Helper()
	whole := feedback()
	if !strings.Contains(whole, old) {
		t.Fatalf("the report has no %q", old)
	}
	return strings.Replace(whole, old, new, 1)
}

func gz(t testing.TB, pieces ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, piece := range pieces {
		z := gzip.NewWriter(&b)
		must(t, second(z.Write([]byte(piece))))
		must(t, z.Close())
	}
	return b.String()
}

func zlibbed(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	must(t, second(z.Write([]byte(text))))
	must(t, z.Close())
	return b.String()
}

// zipped is an archive of pairs of name and content.
func zipped(t testing.TB, entries ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		w, err := z.Create(entries[i])
		must(t, err)
		must(t, second(w.Write([]byte(entries[i+1]))))
	}
	must(t, z.Close())
	return b.String()
}

// tarred is likewise a tar archive.
func tarred(t testing.TB, entries ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := tar.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		kind := byte(tar.TypeReg)
		if strings.HasSuffix(entries[i], "/") {
			kind = tar.TypeDir
		}
		must(t, z.WriteHeader(&tar.Header{Name: entries[i], Mode: 0o644, Size: int64(len(entries[i+1])), Typeflag: kind}))
		must(t, second(z.Write([]byte(entries[i+1]))))
	}
	must(t, z.Close())
	return b.String()
}

// b64 is text as it stands in a mail.
func b64(text string) string {
	digits := base64.StdEncoding.EncodeToString([]byte(text))
	var b strings.Builder
	for len(digits) > 76 {
		b.WriteString(digits[:76] + "\r\n")
		digits = digits[76:]
	}
	return b.String() + digits + "\r\n"
}

const mailHead = "From: Reporter <dmarc@reporter.example>\r\nTo: dmarc@example.com\r\nSubject: Report Domain: example.com Submitter: reporter.example Report-ID: <id-1>\r\n" +
	"Date: Tue, 2 Jun 2026 00:30:00 +0000\r\nMessage-ID: <1@reporter.example>\r\nMIME-Version: 1.0\r\n"

// single is a mail whose whole body is one content.
func single(header, body string) string { return mailHead + header + "\r\n" + body }

// part is one part of a multipart mail.
func part(header, body string) string { return header + "\r\n" + body }

// mixed is a mail of parts.
func mixed(parts ...string) string {
	var b strings.Builder
	mark := fmt.Sprintf("=_%d", len(strings.Join(parts, "")))
	b.WriteString("Content-Type: multipart/mixed; boundary=\"" + mark + "\"\r\n\r\nfor old programs\r\n")
	for _, p := range parts {
		b.WriteString("--" + mark + "\r\n" + p + "\r\n")
	}
	b.WriteString("--" + mark + "--\r\n")
	return mailHead + b.String()
}

// attached is a mail with one file of that type and name, in base64.
func attached(kind, name, content string) string {
	return mixed(part("Content-Type: text/plain\r\n", "This is a report.\r\n"),
		part("Content-Type: "+kind+"; name=\""+name+"\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\""+name+"\"\r\n", b64(content)))
}

const reportName = "reporter.example!example.com!1780272000!1780358399.xml.gz"

// read reads a mail or file.
func read(t testing.TB, content string, isMail bool) *analysis.Item {
	t.Helper()
	item, err := Read(context.Background(), Input{
		Feed: "test", At: time.Unix(1780400000, 0), Mail: isMail, Bytes: int64(len(content)), Body: []byte(content),
	}, Options{Limits: defaults})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }

// notesOf are all notes of an item in words.
func notesOf(item *analysis.Item) string {
	var b strings.Builder
	for _, n := range item.Notes {
		b.WriteString(n.Text() + "\n")
	}
	for _, r := range item.Reports {
		for _, n := range r.Notes {
			b.WriteString(n.Text() + "\n")
		}
	}
	return b.String()
}
