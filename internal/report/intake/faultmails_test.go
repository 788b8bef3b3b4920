package intake

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"dmarcd/internal/report/analysis"
)

// mailCases are mails with reports.
func mailCases(t *testing.T) []faultCase {
	whole := feedback()
	packed, archive := gz(t, whole), zipped(t, "a.xml", whole)
	file := func(kind, header, body string) string {
		return part("Content-Type: "+kind+"\r\n"+header, body)
	}
	inner := attached("application/gzip", reportName, packed)
	return []faultCase{
		{name: "43 x-gzip", in: attached("application/x-gzip", "a", packed), mail: true},
		{name: "43 octet-stream", in: attached("application/octet-stream", "winmail.dat", packed), mail: true},
		{name: "43 alternative, inline", in: strings.Replace(mixed(file("text/html", "", "<p>see below</p>"), file("application/gzip", "Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n", b64(packed))), "mixed", "alternative", 1), mail: true},
		{name: "43 no boundary", in: strings.Replace(inner, boundaryOf(inner), "", 1), mail: true, note: "boundary"},
		{name: "43 another boundary", in: strings.Replace(inner, boundaryOf(inner), "; boundary=other", 1), mail: true, note: "boundary"},
		{name: "44 gzip called zip", in: attached("application/zip", "a.zip", packed), mail: true},
		{name: "44 zip called gzip", in: attached("application/gzip", reportName, archive), mail: true},
		{name: "45 XML in quoted-printable", in: mixed(file("text/xml", "Content-Transfer-Encoding: quoted-printable\r\n", strings.NewReplacer("=", "=3D", "\n", "\r\n", "<record>", "<rec=\r\nord>").Replace(whole))), mail: true},
		{name: "45 XML in base64", in: mixed(file("text/xml", "Content-Transfer-Encoding: base64\r\n", b64(whole))), mail: true},
		{name: "45 XML as it is", in: mixed(file("text/xml", "Content-Transfer-Encoding: 8bit\r\n", whole)), mail: true},
		{name: "45 id with =", in: mixed(file("text/xml", "", strings.Replace(whole, "id-1@reporter.example", "YWJjZGVm==", 1))), mail: true, look: head(func(r *analysis.Report) error {
			return is("report_id", r.Metadata.ReportID, "YWJjZGVm==")
		})},
		{name: "45 said to be quoted-printable", in: mixed(file("text/xml", "Content-Transfer-Encoding: quoted-printable\r\n", whole)), mail: true},
		{name: "46 footer behind base64", in: mixed(file("application/gzip", "Content-Transfer-Encoding: base64\r\n", strings.TrimRight(b64(packed+strings.Repeat("\x00", 3-len(packed)%3+1)), "=\r\n")+"=\r\n\r\n-- \r\nThis mail was scanned.\r\n")), mail: true, note: "behind the base64"},
		{name: "47 base64 said to be 7bit", in: mixed(file("application/gzip", "Content-Transfer-Encoding: 7bit\r\n", b64(packed))), mail: true, note: "base64, which its header does not say"},
		{name: "47 spaces and folds in the encoding", in: mixed(file("application/gzip", "Content-Transfer-Encoding:\r\n\t base64 \r\n", b64(packed))), mail: true},
		{name: "48 the body is the archive", in: single("Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n", b64(archive)), mail: true},
		{name: "48 the body is the XML", in: single("", whole), mail: true},
		{name: "48 binary", in: single("Content-Type: application/gzip\r\nContent-Transfer-Encoding: binary\r\n", packed), mail: true},
		{name: "49 in a mail that is attached", in: mixed(file("message/rfc822", "", inner)), mail: true},
		{name: "49 attached in base64", in: mixed(file("message/rfc822", "Content-Transfer-Encoding: base64\r\n", b64(inner))), mail: true},
		{name: "49 .eml as octet-stream", in: attached("application/octet-stream", "fwd.eml", inner), mail: true},
		{name: "49 three deep", in: mixed(file("message/rfc822", "", mixed(file("message/rfc822", "", mixed(file("message/rfc822", "", single("", whole))))))), mail: true},
		{name: "49 four deep", in: mixed(file("message/rfc822", "", mixed(file("message/rfc822", "", mixed(file("message/rfc822", "", mixed(file("message/rfc822", "", single("", whole))))))))), mail: true, kind: analysis.KindUnreadable, why: "mails more than 3 deep"},
		{name: "50 several reports", in: mixed(file("application/gzip", "Content-Transfer-Encoding: base64\r\n", b64(packed)), file("text/xml", "", whole), file("application/zip", "Content-Transfer-Encoding: base64\r\n", b64(archive))), mail: true, records: []int{2, 2, 2}},
		{name: "51 another Subject", in: strings.Replace(inner, "Subject: Report Domain: example.com Submitter: reporter.example Report-ID: <id-1>", "Subject: hello", 1), mail: true},
		{name: "51 no Subject and no From", in: strings.NewReplacer("Subject:", "X-Subject:", "From:", "X-From:").Replace(inner), mail: true},
	}
}

// otherMailCases are mails that are set aside.
func otherMailCases(t *testing.T) []faultCase {
	whole := feedback()
	plain := strings.Replace(mailHead, "Subject: Report Domain: example.com Submitter: reporter.example Report-ID: <id-1>", "Subject: lunch", 1)
	tls := `{"organization-name":"Reporter","date-range":{"start-datetime":"2026-06-01T00:00:00Z","end-datetime":null},"contact-info":null,"report-id":"1","policies":[{"policy":null}]}`
	bounce := "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; rua@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" +
		attached("application/gzip", reportName, gz(t, whole)) + "\r\n--b--\r\n"
	arf := "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nA failure.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n" +
		"Feedback-Type: auth-failure\r\n\r\n--b--\r\n"
	exim := "\r\nA message claiming to be from you has failed the published DMARC\r\npolicy for your domain.\r\n\r\n  Sender Domain: example.com\r\n  Sender IP Address: 192.0.2.1\r\n" +
		"  Received Date: Mon, 01 Jun 2026 10:00:00 +0000\r\n  SPF Alignment: no\r\n  DKIM Alignment: no\r\n  DMARC Results: Reject\r\n"
	docx := zipped(t, "[Content_Types].xml", "<Types/>", "word/document.xml", "<w:document/>")
	aside := func(what string) func(*testing.T, *analysis.Item) {
		return func(t *testing.T, item *analysis.Item) {
			if err := errors.Join(is("raw", len(item.Raw), 0), is("why", strings.Contains(item.Why, what), true)); err != nil {
				t.Error(err, item.Why)
			}
		}
	}
	return []faultCase{
		{name: "57 TLS report", in: strings.Replace(attached("application/tlsrpt+gzip", "a.json.gz", gz(t, tls)), "multipart/mixed", "multipart/report; report-type=tlsrpt", 1), mail: true, kind: analysis.KindTLS, why: "TLS", look: aside("TLS report")},
		{name: "57 TLS report as octet-stream", in: attached("application/octet-stream", "x", gz(t, tls)), mail: true, kind: analysis.KindTLS, why: "TLS"},
		{name: "57 TLS report as a file", in: tls, kind: analysis.KindTLS, why: "TLS"},
		{name: "58 failure report", in: mailHead + arf, mail: true, kind: analysis.KindFailure, why: "failure report"},
		{name: "58 failure report of Exim", in: plain + exim, mail: true, kind: analysis.KindFailure, why: "plain text"},
		{name: "59 ordinary mail", in: plain + "\r\nShall we meet at noon?\r\n", mail: true, kind: analysis.KindOther, why: "without a report", look: aside("")},
		{name: "59 answer to a report", in: strings.Replace(mailHead, "Subject: ", "Subject: Re: ", 1) + "\r\nFrom: you\r\nThank you for the report.\r\n", mail: true, kind: analysis.KindOther, why: "without a report"},
		{name: "59 papers", in: strings.Replace(attached("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "menu.docx", docx), "Report Domain:", "menu", 1), mail: true, kind: analysis.KindOther, why: "without a report"},
		{name: "60 bounce of our own report", in: strings.Replace(mailHead, "dmarc@reporter.example", "postmaster@mx.example.net", 1) + bounce, mail: true, kind: analysis.KindBounce, why: "bounce"},
		{name: "60 bounce without a form", in: strings.Replace(attached("application/gzip", reportName, gz(t, whole)), "Subject:", "X-Failed-Recipients: rua@example.net\r\nSubject:", 1), mail: true, kind: analysis.KindBounce, why: "X-Failed-Recipients"},
	}
}

// boundaryOf is the parameter in a mail's header.
func boundaryOf(mail string) string { return boundaryRE.FindString(mail) }

var boundaryRE = regexp.MustCompile(`;\s*boundary="?[^"\r\n;]+"?`)
