//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// overviewLine is a line of "dmarcd analysis overview --json".
type overviewLine struct {
	Domain    string `json:"domain"`
	Messages  int64  `json:"messages"`
	Compliant int64  `json:"compliant"`
}

// received gives the messages that reports tell of a domain.
func (d *daemon) received(t *testing.T, domain string) int64 {
	t.Helper()
	for _, line := range lines[overviewLine](t, d, "analysis", "overview", "--json", "--period", "all", "--domain", domain) {
		if line.Domain == domain {
			return line.Messages
		}
	}
	return 0
}

// awaitReceived waits until reports tell of so many messages of a domain, and says how
// long that took.
func (d *daemon) awaitReceived(t *testing.T, domain string, messages int64, limit time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for ; ; time.Sleep(100 * time.Millisecond) {
		got := d.received(t, domain)
		if got == messages {
			return time.Since(began)
		}
		if got > messages || time.Since(began) > limit {
			t.Fatalf("reports tell of %d messages of %s after %v, want %d", got, domain, time.Since(began), messages)
		}
	}
}

// reportAbout is the body of a mail with a report of good.example about messages of a
// domain, and its header fields.
func reportAbout(domain, id string, messages int) (header, body string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	begin := time.Now().UTC().Truncate(24*time.Hour).Unix() - 86400
	fmt.Fprintf(z, `<?xml version="1.0" encoding="UTF-8"?><feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0"><version>1.0</version><report_metadata><org_name>Good</org_name><email>dmarc@good.example</email>`+
		`<report_id>%s</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata><policy_published><domain>%s</domain><p>none</p></policy_published>`+
		`<record><row><source_ip>192.0.2.7</source_ip><count>%d</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>`+
		`<identifiers><header_from>%s</header_from></identifiers><auth_results><dkim><domain>%s</domain><selector>s</selector><result>pass</result></dkim></auth_results></record></feedback>`,
		id, begin, begin+86399, domain, messages, domain, domain)
	_ = z.Close() // a buffer takes all
	digits := base64.StdEncoding.EncodeToString(b.Bytes())
	for len(digits) > 76 {
		body += digits[:76] + "\r\n"
		digits = digits[76:]
	}
	return "MIME-Version: 1.0\r\nContent-Type: application/gzip; name=\"good.example!" + domain + "!1!2.xml.gz\"\r\nContent-Transfer-Encoding: base64\r\n", body + digits + "\r\n"
}

// reportLetter is such a mail as good.example sends it.
func reportLetter(domain, id string, messages int, to string) string {
	header, body := reportAbout(domain, id, messages)
	return "From: <dmarc@good.example>\r\nTo: <" + to + ">\r\nSubject: Report Domain: " + domain + " Submitter: good.example Report-ID: <" + id + ">\r\n" +
		"Message-ID: <" + id + "@good.example>\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\n" + header + "\r\n" + body
}

// TestReportThroughMTA mails a report to an address of analysis.addresses: it is in the
// figures within five seconds, with the verdict on its mail, and is delivered too.
func TestReportThroughMTA(t *testing.T) {
	for i, domain := range []string{"tagged.example", "marked.example"} {
		m := here.mtas[i]
		t.Run(m.name(), func(t *testing.T) {
			to := "dmarc-" + m.name() + "@example.org"
			answer := dial(t, m.addr(), goodClient, "mail.good.example").send("dmarc@good.example", reportLetter(domain, "by-"+m.name(), 41+i, to), to)
			if answer.code != 250 {
				t.Fatalf("the MTA answers %+v", answer)
			}
			took := here.dmarcd.awaitReceived(t, domain, int64(41+i), 5*time.Second)
			t.Logf("in the figures after %v", took)
			list := here.dmarcd.run(t, 0, "analysis", "reports", "--json", "--domain", domain, "--period", "all")
			if !strings.Contains(list, `"trust":"authenticated"`) {
				t.Errorf("the report is not authenticated: %s", list)
			}
		})
	}
}

// TestReportByLMTP has Postfix hand a report to dmarcd by LMTP.
func TestReportByLMTP(t *testing.T) {
	m := here.mtas[0]
	const domain, to = "moved.example", "acme@rua.example.org"
	c := dial(t, m.addr(), goodClient, "mail.good.example")
	for i, messages := range []int{17, 25} {
		if answer := c.send("dmarc@good.example", reportLetter(domain, fmt.Sprintf("by-lmtp-%d", i), messages, to), to); answer.code != 250 {
			t.Fatalf("the MTA answers %+v", answer)
		}
	}
	// What is broken is taken too, and never bounced.
	if answer := c.send("dmarc@good.example", strings.Replace(reportLetter(domain, "broken", 1, to), "H4sI", "AAAA", 1), to); answer.code != 250 {
		t.Fatalf("the MTA answers %+v", answer)
	}
	here.dmarcd.awaitReceived(t, domain, 42, 10*time.Second)
	feeds := here.dmarcd.run(t, 0, "analysis", "feeds", "--json")
	if !strings.Contains(feeds, `"name":"lmtp"`) {
		t.Errorf("the feeds are %s", feeds)
	}
}

// TestReportsFromDovecot fetches reports by IMAP: with and without MOVE, and where a
// copy is refused once and the connection is lost between the next and the removal. Each
// is counted once, and ends up in the done folder once.
func TestReportsFromDovecot(t *testing.T) {
	server := newDovecot(t)
	refused := newProxy(t, "127.0.0.1:3143", "127.0.0.1:1143")
	d, err := newDaemon("intake", "intake.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"ca.pem": string(server.ca), "imap.pass": "secret\n"} {
		if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	users := []string{"moving", "copying", "refused"}
	for _, user := range users {
		for i := range 3 {
			server.deliver(t, user, fmt.Sprintf("%d.first", i), reportLetter("example.org", fmt.Sprintf("%s-%d", user, i), 1, user+"@example.org"))
		}
	}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	d.awaitReceived(t, "example.org", 9, 30*time.Second)
	for _, user := range users { // what comes later, by IDLE
		server.deliver(t, user, "later", reportLetter("example.org", user+"-later", 10, user+"@example.org"))
	}
	d.awaitReceived(t, "example.org", 39, 40*time.Second)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var left []string
		for _, user := range users {
			if in, done := server.count(user), server.count(user+"/.Done"); in != 0 || done != 4 {
				left = append(left, fmt.Sprintf("%s: %d in INBOX, %d in Done", user, in, done))
			}
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal(strings.Join(left, "; "))
		}
	}
	if copies, removals := refused.copies.Load(), refused.removals.Load(); copies < 2 || removals < 2 {
		t.Errorf("%d copies and %d removals were asked for where one of each fails", copies, removals)
	}
	if got := d.received(t, "example.org"); got != 39 {
		t.Errorf("reports tell of %d messages, want 39", got)
	}
}
