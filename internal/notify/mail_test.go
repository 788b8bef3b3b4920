package notify

import (
	"bytes"
	"maps"
	"mime"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

var written = time.Date(2026, 3, 4, 5, 6, 8, 0, time.FixedZone("", 3600))

func TestMail(t *testing.T) {
	t.Parallel()
	whole := event()
	e := whole.bounded()
	raw := write(Config{From: "dmarcd@example.org"}, &job{to: admin, event: &e}, written)
	p := parse(t, raw)
	id := p.header.Get("Message-Id")
	if !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@example.org>") || len(id) < 30 {
		t.Errorf("Message-ID %q", id)
	}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	const wantHead = `From: dmarcd <dmarcd@example.org>
To: <admin@example.org>
Subject: DMARC reject: mail from bank.example
Date: Wed, 04 Mar 2026 04:06:08 +0000
Message-ID: ID
Auto-Submitted: auto-generated
X-dmarcd-Notification: message
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable`
	if got := strings.ReplaceAll(strings.ReplaceAll(head, id, "ID"), "\r\n", "\n"); got != wantHead {
		t.Errorf("header:\n%s\nwant:\n%s", got, wantHead)
	}
	const wantBody = `A message met a rule that asks for a notification.

Action:      reject
Rule:        dmarc.actions.reject
Also done:   notify

Date:        Wed, 04 Mar 2026 05:06:07 +0000
From domain: bank.example
Sender:      bounce@mail.example
Recipients:  anna@example.org, bert@example.org
Subject:     Prüfung of your account
Client:      192.0.2.1
Mail ID:     4Q1x

SPF:         fail
DKIM:        none
DMARC:       fail

Header of the message:

From: <a@bank.example>
Subject: a
 folded
`
	if p.body != wantBody {
		t.Errorf("body:\n%s\nwant:\n%s", p.body, wantBody)
	}
}

// TestTokens fills in each token alone.
func TestTokens(t *testing.T) {
	t.Parallel()
	full := event()
	var empty Event
	for _, tc := range []struct{ token, full, empty string }{
		{"SENDER", "bounce@mail.example", "-"},
		{"RCPTS", "anna@example.org, bert@example.org", "-"},
		{"SUBJECT", "Prüfung of your account", "-"},
		{"DATE&TIME", "Wed, 04 Mar 2026 05:06:07 +0000", "Mon, 01 Jan 0001 00:00:00 +0000"},
		{"HEADERS", "From: <a@bank.example>\nSubject: a\n folded", ""},
		{"MAILID", "4Q1x", "-"},
		{"RULENAME", "dmarc.actions.reject", "-"},
		{"TACTION", "reject", "-"},
		{"ACTION", "notify", "-"},
		{"SPFRESULT", "fail", "-"},
		{"DKIMRESULT", "none", "-"},
		{"DMARCRESULT", "fail", "-"},
		{"HEADERFROM", "bank.example", "-"},
		{"CLIENTIP", "192.0.2.1", "local"},
	} {
		tmpl := mustTemplate(t, "%"+tc.token+"%")
		for e, want := range map[*Event]string{&full: tc.full, &empty: tc.empty} {
			subject, body := expand(tmpl, e)
			if body = strings.TrimSpace(body); body != want {
				t.Errorf("%s: %q, want %q", tc.token, body, want)
			}
			if !strings.HasPrefix(subject, "DMARC failure ") {
				t.Errorf("%s: subject %q", tc.token, subject)
			}
		}
	}
	if n := len(policy.NotificationTokens()); n != 14 {
		t.Errorf("there are %d tokens; test the new ones here", n)
	}
	full.QueueID = ""
	if _, body := expand(mustTemplate(t, "%MAILID%"), &full); body != "1@bank.example" {
		t.Errorf("without a queue id: %q", body)
	}
}

func TestBuiltInText(t *testing.T) {
	t.Parallel()
	tmpl := mustTemplate(t, builtIn)
	used := map[string]bool{}
	note := func(token string) string { used[token] = true; return "" }
	tmpl.Subject(note)
	tmpl.Body(note)
	for _, token := range policy.NotificationTokens() {
		if !used[token] {
			t.Errorf("%%%s%% does not occur", token)
		}
	}
}

func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, template string
		change         func(e *Event)
		subject, body  string
	}{
		{"line ends in a subject", "Subject: %SUBJECT%\n%SUBJECT%", func(e *Event) { e.Subject = "a\r\nBcc: x@y\nz" },
			"aBcc: x@yz", "aBcc: x@yz\n"},
		{"encoded line ends", "Subject: %SUBJECT%\n%SUBJECT%", func(e *Event) { e.Subject = "=?utf-8?Q?a=0D=0ABcc:_x@y?=" },
			"a  Bcc: x@y", "a  Bcc: x@y\n"},
		{"line ends elsewhere", "Subject: %SENDER%\n%RULENAME%", func(e *Event) { e.Sender, e.Rule = "a\r\nX: y\r\n\r\nbody", "r\nX: y" },
			"a  X: y    body", "r X: y\n"},
		{"encoded words within", "Subject: %HEADERFROM%\n", func(e *Event) { e.HeaderFrom = "=?utf-8?Q?a=0AX:_y?=" },
			"=?utf-8?Q?a=0AX:_y?=", "\n"},
		{"unknown charset", "%SUBJECT%", func(e *Event) { e.Subject = "=?x-none?Q?a?=" },
			"DMARC failure rejected: bank.example", "=?x-none?Q?a?=\n"},
		{"text that runs backwards", "%SUBJECT%", func(e *Event) { e.Subject = "=?utf-8?Q?a=E2=80=AEb?=" },
			"DMARC failure rejected: bank.example", "a?b\n"},
		{"not UTF-8", "%SENDER%", func(e *Event) { e.Sender = "a\xff\x00\x1b@b" },
			"DMARC failure rejected: bank.example", "a???@b\n"},
		{"tokens in values", "%SENDER%", func(e *Event) { e.Sender = "%HEADERS%" },
			"DMARC failure rejected: bank.example", "%HEADERS%\n"},
		{"zone of an address", "%CLIENTIP%", func(e *Event) { e.ClientIP = netip.MustParseAddr("fe80::1").WithZone("a\nb") },
			"DMARC failure rejected: bank.example", "fe80::1%a b\n"},
		{"many recipients", "%RCPTS%", func(e *Event) { e.Rcpts = slices.Repeat([]string{"a"}, 5000) },
			"DMARC failure rejected: bank.example", strings.Repeat("a, ", 20) + "and 4980 more\n"},
		{"header", "%HEADERS%", func(e *Event) { e.Headers = []byte("A: b\rC: d\n.\r\n\r\nE:\xfc\x00\n\tf") },
			"DMARC failure rejected: bank.example", "A: b C: d\n.\nE:??\n f\n"},
		{"large header", "%HEADERS%", func(e *Event) { e.Headers = bytes.Repeat([]byte("A: b\r\n"), MaxHeaders) },
			"DMARC failure rejected: bank.example", strings.Repeat("A: b\n", MaxHeaders/6) + "A:\n[cut here]\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := event()
			tc.change(&e)
			if tc.name != "large header" {
				e = e.bounded()
			}
			c := Config{From: "dmarcd@example.org", Template: mustTemplate(t, tc.template)}
			p := parse(t, write(c, &job{to: admin, event: &e}, written))
			if p.subject != tc.subject {
				t.Errorf("subject %q, want %q", p.subject, tc.subject)
			}
			if p.body != tc.body {
				t.Errorf("body %q, want %q", p.body, tc.body)
			}
		})
	}
}

func TestLargeEvent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 1<<20)
	h := &message.Header{Cut: true, CutNames: map[string]int{"x": 3}}
	for range 200 {
		h.Fields = append(h.Fields, message.Field{Name: "A", Raw: []byte("A: " + strings.Repeat("a", 995) + "\r\n")})
	}
	h.Fields = append(h.Fields, message.Field{Name: "Subject", Raw: []byte("Subject: " + long + "\r\n")})
	e := Event{Sender: long, HeaderFrom: long, MessageID: long, QueueID: long, Rcpts: []string{long, long}, Rule: long, Action: long, Tags: long, SPF: long}
	e.SetHeader(h)
	if n := len(e.Headers); n > MaxHeaders+64 || !bytes.HasSuffix(e.Headers, []byte("[172 more fields]\r\n")) {
		t.Errorf("%d octets of headers, ending in %q", n, e.Headers[n-30:])
	}
	b := e.bounded()
	if n := len(write(Config{}, &job{to: admin, event: &b}, written)); n > 256<<10 {
		t.Errorf("%d octets of mail", n)
	}
}

func TestNoSender(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"", "dmarcd", "a@b>\r\nX: y"} {
		e := event()
		p := parse(t, write(Config{From: from}, &job{to: admin, event: &e}, written))
		if got := p.header.Get("From"); got != "dmarcd <dmarcd@localhost>" {
			t.Errorf("From %q for %q", got, from)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "a", strings.Repeat("a", 60), strings.Repeat("a", 61), strings.Repeat("é", 200), "x" + strings.Repeat("𝄞", 100), "=?a?=", "a\tb",
	} {
		got := encode(s)
		for line := range strings.SplitSeq("Subject: "+got, "\r\n") {
			if len(line) > 76 {
				t.Errorf("a line of %d octets: %q", len(line), line)
			}
		}
		for word := range strings.SplitSeq(got, "\r\n ") {
			if text, err := new(mime.WordDecoder).Decode(word); err == nil && !utf8.ValidString(text) {
				t.Errorf("a character is cut in %q", word)
			}
		}
		p := parse(t, []byte("Subject: "+got+"\r\n\r\n"))
		if p.subject != s {
			t.Errorf("%q came back as %q", s, p.subject)
		}
	}
}

// wantFields are the fields of every mail.
var wantFields = []string{
	"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To", "X-Dmarcd-Notification",
}

// checkMail holds whatever mail to what every mail must be.
func checkMail(t *testing.T, raw []byte, to string) {
	t.Helper()
	for i, c := range raw {
		if c > '~' || c < ' ' && c != '\r' && c != '\n' && c != '\t' || c == '\n' && raw[i-1] != '\r' || c == '\r' && raw[i+1] != '\n' {
			t.Fatalf("octet %#02x at %d of %q", c, i, raw)
		}
	}
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		t.Error("the last line has no end")
	}
	p := parse(t, raw)
	if got := slices.Sorted(maps.Keys(p.header)); !slices.Equal(got, wantFields) {
		t.Errorf("fields %q", got)
	}
	for name, values := range p.header {
		if len(values) != 1 {
			t.Errorf("%d fields %s", len(values), name)
		}
	}
	for name, want := range map[string]string{
		"From": "dmarcd@example.org", "To": to,
	} {
		list, err := p.header.AddressList(name)
		if err != nil || len(list) != 1 || list[0].Address != want {
			t.Errorf("%s: %v %v, want %s", name, list, err, want)
		}
	}
	if d, err := p.header.Date(); err != nil || !d.Equal(written) {
		t.Errorf("date %v %v", d, err)
	}
	for name, want := range map[string]string{
		"Auto-Submitted": "auto-generated", "Mime-Version": "1.0",
		"Content-Type": "text/plain; charset=utf-8", "Content-Transfer-Encoding": "quoted-printable",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.ContainsAny(p.subject, "\r\n\x00") || !utf8.ValidString(p.subject) || !utf8.ValidString(p.body) {
		t.Errorf("subject %q, body %q", p.subject, p.body)
	}
}

// FuzzMail makes mails of whatever a message may hold, for whatever template and
// address, and reads them back.
func FuzzMail(f *testing.F) {
	f.Add("", admin, "a@b", "bank.example", "hello", "a@example.org", "From: a\r\n b\r\n", "dmarc.actions.reject")
	f.Add("Subject: %SUBJECT% %HEADERS%\n\n%HEADERS%%RCPTS%", "a@b\r\nX: y", "\r\n\r\n", "=?utf-8?Q?=0A?=", "=?utf-8?B?DQo=?=", "\x00\xff", "\r\r\n\n.", "\u202e")
	f.Add("Subject: \n.\nFrom %SENDER%\n", "\"a b\"@c", "", "%SENDER%", strings.Repeat("é ", 300), "", "Auto-Submitted: x", "=?")
	f.Fuzz(func(t *testing.T, template, to, sender, from, subject, rcpt, header, rule string) {
		tmpl, err := policy.ParseNotification(template)
		if err != nil {
			tmpl = policy.NotificationTemplate{}
		}
		if isAddress(to) {
			if a, err := mail.ParseAddress("<" + to + ">"); err != nil || a.Address != to {
				t.Fatalf("%q is taken for an address: %v", to, err)
			}
		} else {
			to = admin
		}
		e := Event{
			At: written, Sender: sender, HeaderFrom: from, Subject: subject, MessageID: subject, QueueID: sender,
			Rcpts: []string{rcpt, sender}, Headers: []byte(header), Rule: rule, Action: rule, Tags: subject,
			SPF: rule, DKIM: from, DMARC: rule, Domain: from,
		}
		c := Config{From: "dmarcd@example.org", Template: tmpl, PerHour: 1}
		b := e.bounded()
		checkMail(t, write(c, &job{to: to, event: &b}, written), to)
		d := &digest{to: to}
		d.add(&e)
		d.add(&b)
		checkMail(t, write(c, &job{to: to, digest: d}, written), to)
		automaticHeader([]byte(header))
	})
}
