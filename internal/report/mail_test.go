package report

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/text"
)

func sampleMail(t testing.TB) *Mail {
	t.Helper()
	r := fullReport()
	var z bytes.Buffer
	if err := r.WriteGzip(&z); err != nil {
		t.Fatal(err)
	}
	id := r.Metadata.ReportID
	return &Mail{
		From: "dmarc-reports@receiver.example", FromName: "Receiver Example", To: "rua@example.com", MessageID: id + "@receiver.example",
		Date: time.Date(2026, 6, 2, 0, 30, 7, 0, time.UTC), Receiver: receiver, Domain: domain, Metadata: r.Metadata, Messages: 43,
		FileName: FileName(receiver, domain, r.Metadata.Begin, r.Metadata.End, id), Gzip: z.Bytes(),
	}
}

func bytesOf(t testing.TB, m *Mail) []byte {
	t.Helper()
	b, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMailGolden shows the mail; the file in it is made short, as compressors may change.
func TestMailGolden(t *testing.T) {
	m := sampleMail(t)
	m.Gzip = bytes.Repeat([]byte("not gzip "), 10)
	golden(t, "aggregate.eml", bytesOf(t, m))
}

// part is one part of a mail, read by the standard library.
type part struct {
	kind   string
	params map[string]string
	name   string
	body   []byte
}

// open takes a mail apart and checks that it is 7-bit and in short lines.
func open(t *testing.T, raw []byte, longest int) (*mail.Message, []part) {
	t.Helper()
	for i, line := range strings.Split(strings.TrimSuffix(string(raw), "\r\n"), "\r\n") {
		if len(line) > longest {
			t.Errorf("line %d has %d octets: %s", i+1, len(line), line)
		}
		for j := 0; j < len(line); j++ {
			if line[j] >= 0x80 || line[j] < ' ' && line[j] != '\t' {
				t.Fatalf("line %d has octet %#02x", i+1, line[j])
			}
		}
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var parts []part
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return msg, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			body = decodeBase64(body)
		}
		parts = append(parts, part{kind: kind, params: params, name: p.FileName(), body: body})
	}
}

func TestMailReadsBack(t *testing.T) {
	m := sampleMail(t)
	m.FromName = "R\u00e9ceiver \"\U0001F600\"\r\nBcc: x@example.net " + strings.Repeat("\u00e4", 60)
	m.Metadata.OrgName = "\u53d7\u4fe1\u8005"
	msg, parts := open(t, bytesOf(t, m), 120)
	from, err := msg.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Address != m.From || from[0].Name != text.XML(m.FromName, maxName) {
		t.Errorf("From is %v, %v", from, err)
	}
	want := "Report Domain: example.com Submitter: mx.receiver.example Report-ID: <20260601a7f3c2>"
	if got := msg.Header.Get("Subject"); got != want {
		t.Errorf("Subject is %q", got)
	}
	if len(msg.Header["Bcc"]) > 0 || msg.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("the header is %v", msg.Header)
	}
	if len(parts) != 2 || parts[0].kind != "text/plain" || parts[1].kind != "application/gzip" || parts[1].name != m.FileName {
		t.Fatalf("the parts are %+v", parts)
	}
	if !strings.Contains(string(parts[0].body), "\u53d7\u4fe1\u8005") {
		t.Errorf("the text is %s", parts[0].body)
	}
	z, err := gzip.NewReader(bytes.NewReader(parts[1].body))
	if err != nil {
		t.Fatal(err)
	}
	file, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(file, xmlOf(t, fullReport())) {
		t.Errorf("the file differs: %v", err)
	}
}

// TestMailLongNames has the longest names there are.
func TestMailLongNames(t *testing.T) {
	m := sampleMail(t)
	label := strings.Repeat("a", 63)
	long := dns.MustParse(label + "." + label + "." + label + "." + strings.Repeat("b", 61))
	m.Domain, m.Receiver = long, long
	m.FileName = FileName(long, long, begin, end, m.Metadata.ReportID)
	_, parts := open(t, bytesOf(t, m), 998)
	if parts[1].name != m.FileName {
		t.Errorf("the name is %s", parts[1].name)
	}
}

func TestMailRefuses(t *testing.T) {
	for name, change := range map[string]func(*Mail){
		"From":          func(m *Mail) { m.From = "x@example.com\r\nBcc: y@example.net" },
		"To a list":     func(m *Mail) { m.To = "a@example.com, b@example.com" },
		"To 0":          func(m *Mail) { m.To = "0" },
		"To a literal":  func(m *Mail) { m.To = "x@[192.0.2.1]" },
		"To not ASCII":  func(m *Mail) { m.To = "\u00e4@example.com" },
		"To dots":       func(m *Mail) { m.To = "a..b@example.com" },
		"Message-ID":    func(m *Mail) { m.MessageID = "<x@example.com>" },
		"no date":       func(m *Mail) { m.Date = time.Time{} },
		"no file":       func(m *Mail) { m.Gzip = nil },
		"path":          func(m *Mail) { m.FileName = "../x.xml.gz" },
		"quote in name": func(m *Mail) { m.FileName = "a\".xml.gz" },
		"no receiver":   func(m *Mail) { m.Receiver = dns.Name{} },
	} {
		t.Run(name, func(t *testing.T) {
			m := sampleMail(t)
			change(m)
			if _, err := m.Bytes(); !errors.Is(err, ErrBadMail) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func header(text string) *message.Header {
	var h message.Header
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n") + "\r\n"
		if n := len(h.Fields); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			h.Fields[n-1].Raw = append(h.Fields[n-1].Raw, line...)
			continue
		}
		name, _, _ := strings.Cut(line, ":")
		h.Fields = append(h.Fields, message.Field{Name: name, Raw: []byte(line)})
	}
	return &h
}

const failedHeader = `Return-Path: <news+joe=customer.example@example.com>
Received: from client.example (client.example [192.0.2.2])
	(Authenticated sender: joe) by mx.receiver.example (Postfix) with ESMTP id 4Ln7Qw4fnv
	for <jane.doe@customer.example>; Tue, 19 Jul 2022 07:57:44 +0200
Authentication-Results: mx.receiver.example; spf=fail smtp.mailfrom=news@example.com;
	dkim=fail header.i=joe@example.com header.s=s1
DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1; i=joe@example.com;
	z=From:joe=40example.com|To:jane=40customer.example; h=From:To; bh=abc=;
	b=def/+ghi=
From: "Joe Smith, private" <joe@example.com> (his comment)
To: Jane Doe <jane.doe@customer.example>, "odd one"@customer.example,
	friends: a@customer.example, b@customer.example;
Bcc: secret@customer.example
Subject: the launch is on Friday
Date: Tue, 19 Jul 2022 00:57:48 -0500
Message-ID: <opaque.id@example.com>
Content-Type: application/pdf; name="salaries.pdf"
List-Unsubscribe: <https://example.com/u?who=jane.doe>
List-Id: see http://lists.example.com/x and HTTPS://lists.example.com/y
X-Secret: secret
`

func sampleFailure() *Failure {
	return &Failure{
		From: "dmarc-reports@receiver.example", FromName: "Receiver Example", To: "ruf@example.com", MessageID: "f1@receiver.example",
		Date: time.Date(2026, 6, 2, 0, 30, 7, 0, time.UTC), UserAgent: "dmarcd/1.0",
		AuthenticationResults: "mx.receiver.example;\r\n\tdmarc=fail header.from=example.com;\r\n\tspf=fail smtp.mailfrom=news@example.com;\r\n\tdkim=fail header.i=joe@example.com header.s=s1",
		ReportedDomain:        domain, Failed: []Mechanism{MechanismSPF, MechanismDKIM, MechanismSPF}, MailFrom: "news@example.com",
		SourceIP: netip.MustParseAddr("192.0.2.2"), SourcePort: 12345, Arrival: time.Date(2026, 6, 2, 0, 29, 0, 0, time.UTC),
		Delivery: DeliveryReject, EnvelopeID: "4Ln7Qw4fnv", Incidents: 3,
		DKIM:   &DKIMFailure{Domain: domain, Identity: "joe@example.com", Selector: "s1"},
		SPF:    []SPFRecord{{Domain: domain, Record: `v=spf1 ip4:192.0.2.0/28 exp="x\y" -all`}},
		Header: header(failedHeader),
	}
}

func TestFailureGolden(t *testing.T) {
	raw, err := sampleFailure().Bytes(Redactor{Key: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "failure.eml", raw)
	msg, parts := open(t, raw, 120)
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "feedback-report" {
		t.Errorf("it is %s %v, %v", kind, params, err)
	}
	var kinds []string
	for _, p := range parts {
		kinds = append(kinds, p.kind)
	}
	if got := strings.Join(kinds, " "); got != "text/plain message/feedback-report text/rfc822-headers" {
		t.Errorf("the parts are %s", got)
	}
	for _, secret := range []string{"jane", "joe", "Joe", "Jane", "launch", "salaries", "secret", "odd", "news", "his comment", "http:", "unsubscribe"} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the report tells of %q", secret)
		}
	}
}

func TestFailureLeast(t *testing.T) {
	f := &Failure{
		From: "a@receiver.example", To: "ruf@example.com", MessageID: "f2@receiver.example", Date: begin,
		UserAgent: "dmarcd/1.0", AuthenticationResults: "mx.receiver.example; dmarc=pass", ReportedDomain: domain,
	}
	raw, err := f.Bytes(Redactor{})
	if err != nil {
		t.Fatal(err)
	}
	_, parts := open(t, raw, 120)
	for _, want := range []string{"Identity-Alignment: none\r\n", "Original-Mail-From: <>\r\n"} {
		if !strings.Contains(string(parts[1].body), want) {
			t.Errorf("no %q in %s", want, parts[1].body)
		}
	}
	f.ReportedDomain = dns.Name{}
	if _, err := f.Bytes(Redactor{}); !errors.Is(err, ErrBadMail) {
		t.Errorf("without a domain: %v", err)
	}
}

func TestRedactText(t *testing.T) {
	r := Redactor{}
	for _, c := range []struct{ in, want string }{
		{"no address", "no address"},
		{"a joe@example.com b", "a redacted@example.com b"},
		{`"a b"@example.com`, "redacted@example.com"},
		{"smtp.mailfrom=joe@example.com", "smtp.mailfrom=redacted@example.com"},
		{"header.i=@example.com", "header.i=@example.com"},
		{"i=joe@example.com;", "i=redacted@example.com;"},
		{"bounce+joe=example.net@list.example", "redacted@list.example"},
		{"prvs=12ab=joe@example.com", "redacted@example.com"},
		{"a@b@c", "redacted@redacted@c"},
		{"@", "@"},
		{"http://joe@x.example/ HttpS://y", "hxxp:redacted@x.example/ hxxpS://y"},
	} {
		if got := r.Text(c.in); got != c.want {
			t.Errorf("Text(%q) is %q, want %q", c.in, got, c.want)
		}
	}
	keyed := Redactor{Key: []byte("k")}
	a, b := keyed.Address("joe@example.com"), keyed.Address("joe@example.net")
	if a == "joe@example.com" || strings.TrimSuffix(a, ".com") != strings.TrimSuffix(b, ".net") {
		t.Errorf("%s and %s", a, b)
	}
	if other := (Redactor{Key: []byte("l")}).Address("joe@example.com"); other == a {
		t.Error("the key makes no difference")
	}
}

func TestRedactTrace(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"from a by b with ESMTP id c for <x@y.example>; Tue, 1 Jan", "from a by b with ESMTP id c ; Tue, 1 Jan"},
		{"by b id c for x; Tue", "by b id c ; Tue"},
		{"by b id c For\tx@y ; Tue", "by b id c ; Tue"},
		{"from a (Authenticated sender: joe) by b", "from a by b"},
		{"from a (authenticated bits=0", "from a"},
		{"by b for", "by b for"},
	} {
		if got := trace(c.in); got != c.want {
			t.Errorf("trace(%q) is %q, want %q", c.in, got, c.want)
		}
	}
}

func TestRedactIsBounded(t *testing.T) {
	var h message.Header
	for range 500 {
		h.Fields = append(h.Fields, message.Field{Name: "To", Raw: []byte("To: " + strings.Repeat("a@example.com, ", 5000))})
		h.Fields = append(h.Fields, message.Field{Name: "Received", Raw: []byte("Received: " + strings.Repeat("x", 50000) + "\r\n")})
	}
	if n := len(Redactor{Key: []byte("k")}.Header(&h)); n > maxRedacted+2*maxRedactedField {
		t.Errorf("it has %d octets", n)
	}
}

// FuzzFailure puts hostile text everywhere and looks for fields and parts that
// are not ours.
func FuzzFailure(f *testing.F) {
	for i := range hostile {
		f.Add(hostile[i], hostile[len(hostile)-1-i], failedHeader)
	}
	f.Add("Received", "a@b", "Received: from x\n for <a@b>;\n\nbody\n--=_\nTo: x")
	f.Fuzz(func(t *testing.T, a, b, head string) {
		s := sampleFailure()
		s.FromName, s.AuthenticationResults, s.MailFrom, s.EnvelopeID = a, "mx; "+b, b, "e"+a
		s.UserAgent, s.DKIM.Identity, s.DKIM.Selector, s.SPF[0].Record = "u"+a, b, a, b
		s.Header = &message.Header{}
		for line := range strings.SplitSeq(head, "\n") {
			name, _, _ := strings.Cut(line, ":")
			s.Header.Fields = append(s.Header.Fields, message.Field{Name: name, Raw: []byte(line)})
		}
		raw, err := s.Bytes(Redactor{Key: []byte("key")})
		if err != nil {
			t.Fatal(err)
		}
		msg, parts := open(t, raw, 998)
		if len(msg.Header) != 8 || len(parts) != 3 {
			t.Fatalf("%d fields, %d parts:\n%s", len(msg.Header), len(parts), raw)
		}
		fields, err := mail.ReadMessage(strings.NewReader(string(parts[1].body) + "\r\n\r\n"))
		if err != nil || len(fields.Header) != 18 {
			t.Errorf("%v:\n%s", err, parts[1].body)
		}
	})
}

// FuzzMail puts hostile text into the mail of a report.
func FuzzMail(f *testing.F) {
	for i := range hostile {
		f.Add(hostile[i], hostile[len(hostile)-1-i])
	}
	m := sampleMail(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		m := *m
		m.FromName, m.Metadata.OrgName, m.Metadata.Email, m.Metadata.ReportID = a, b, b, a
		msg, parts := open(t, bytesOf(t, &m), 998)
		if len(msg.Header) != 8 || len(parts) != 2 {
			t.Fatalf("%d fields, %d parts", len(msg.Header), len(parts))
		}
		from, err := msg.Header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Address != m.From {
			t.Errorf("From is %v, %v", from, err)
		}
	})
}

func decodeBase64(b []byte) []byte {
	out, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(b)))
	if err != nil {
		panic(err)
	}
	return out
}
