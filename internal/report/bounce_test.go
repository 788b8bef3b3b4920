package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// TestBounceGolden reads the mails of testdata/bounce.
func TestBounceGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/bounce/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		stem := strings.TrimSuffix(filepath.Base(path), ".eml")
		t.Run(stem, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := ParseBounce(bytes.NewReader(raw))
			if err != nil && !errors.Is(err, ErrNotBounce) {
				t.Fatal(err)
			}
			unix, _ := ParseBounce(bytes.NewReader(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))))
			text, _ := json.MarshalIndent(b, "", "  ")
			if same, _ := json.MarshalIndent(unix, "", "  "); !bytes.Equal(text, same) {
				t.Errorf("with bare line feeds it is %s", same)
			}
			golden(t, filepath.Join("..", "bounce", stem+".want"), append(text, '\n'))
		})
	}
}

func TestBounceFailed(t *testing.T) {
	for _, c := range []struct {
		action, status string
		want           bool
	}{
		{"failed", "5.1.1", true},
		{"failed", "4.4.7", true},
		{"failed", "2.0.0", false},
		{"failed", "", false},
		{"delayed", "4.4.1", false},
		{"delayed", "5.1.1", false},
	} {
		r := BounceRecipient{Action: c.action, Status: c.status}
		if r.Failed() != c.want {
			t.Errorf("%s %s: %v", c.action, c.status, r.Failed())
		}
	}
}

func TestBounceIsBounded(t *testing.T) {
	deep := strings.Repeat("Content-Type: multipart/mixed; boundary=a\n\n--a\n", 10000)
	many := "Content-Type: multipart/mixed; boundary=a\n\n" + strings.Repeat("--a\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822;x@y\n", 10000)
	b, err := ParseBounce(strings.NewReader(many))
	if err != nil || len(b.Recipients) > maxBounceParts {
		t.Errorf("%d recipients, %v", len(b.Recipients), err)
	}
	if _, err := ParseBounce(strings.NewReader(deep)); !errors.Is(err, ErrNotBounce) {
		t.Error(err)
	}
	one := "Content-Type: message/delivery-status\n\n" + strings.Repeat("Final-Recipient: rfc822;x@y\n\n", 10000)
	if b, _ := ParseBounce(strings.NewReader(one)); len(b.Recipients) != maxBounceRecipients {
		t.Errorf("%d recipients", len(b.Recipients))
	}
	disk := errors.New("disk")
	if _, err := ParseBounce(iotest.ErrReader(disk)); !errors.Is(err, disk) {
		t.Error(err)
	}
}

func FuzzParseBounce(f *testing.F) {
	files, _ := filepath.Glob("testdata/bounce/*.eml")
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ParseBounce(bytes.NewReader(raw))
		if err != nil {
			return
		}
		if n := len(b.Recipients); n == 0 || n > maxBounceRecipients {
			t.Errorf("%d recipients", n)
		}
		for _, r := range b.Recipients {
			for _, s := range []string{r.Original, r.Final, r.Action, r.Status, r.Diagnostic, r.RemoteMTA, b.MessageID, b.Subject, b.ReportingMTA} {
				if s != tidy(s, maxComment) {
					t.Errorf("%q is not tidy", s)
				}
			}
		}
	})
}

func TestRecognise(t *testing.T) {
	for _, c := range []struct {
		name, header      string
		report, automatic bool
	}{
		{"plain", "Subject: Report on the domain: submitter: x\n", false, false},
		{"of the RFC", "Subject: Report Domain: example.com\n    Submitter: mail.receiver.example\n    Report-ID: <x@example.com>\n", true, false},
		{"lower case", "Subject: Report domain: example.com Submitter: google.com Report-ID: 123\n", true, false},
		{"around", "Subject: [Preview] Report Domain:example.com Submitter:x.example\n", true, false},
		{"encoded", "Subject: =?utf-8?B?UmVwb3J0IERvbWFpbjogZXhhbXBsZS5jb20gU3VibWl0dGVyOiB4LmV4YW1wbGU=?=\n", true, false},
		{"second subject", "Subject: x\nsubject: Report Domain: a.example Submitter: b.example\n", true, false},
		{"failure report", "Content-Type: Multipart/Report; boundary=x;\n report-type=\"Feedback-Report\"\n", true, true},
		{"bounce", "Content-Type: multipart/report; report-type=delivery-status; boundary=x\n", false, true},
		{"receipt", "Content-Type: multipart/report; report-type=disposition-notification\n", false, true},
		{"report without type", "Content-Type: multipart/report\n", false, true},
		{"holiday", "Auto-Submitted: auto-replied; x=y\n", false, true},
		{"no holiday", "Auto-Submitted: no\n", false, false},
		{"null sender", "Return-Path: <>\n", false, true},
		{"sender", "Return-Path: <a@example.com>\nPrecedence: bulk\n", false, false},
		{"auto reply", "Precedence: auto_reply\n", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := header(c.header)
			if IsReportMail(h) != c.report || IsAutomatic(h) != c.automatic {
				t.Errorf("report %v, automatic %v", IsReportMail(h), IsAutomatic(h))
			}
		})
	}
}

// TestOurMailIsRecognised closes the circle.
func TestOurMailIsRecognised(t *testing.T) {
	failure, err := sampleFailure().Bytes(Redactor{})
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{bytesOf(t, sampleMail(t)), failure} {
		head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
		h := header(strings.ReplaceAll(head, "\r\n", "\n") + "\n")
		if !IsReportMail(h) || !IsAutomatic(h) {
			t.Errorf("not known:\n%s", head)
		}
	}
}

// TestRealMailIsRecognised looks at the headers of reports that others sent.
func TestRealMailIsRecognised(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(samplesDir, "*", "*.eml"))
	if len(files) == 0 {
		t.Skip("the samples are not beside the project")
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n\n")
		if !IsReportMail(header(head + "\n")) {
			t.Errorf("%s is not known by its header", path)
		}
	}
}
