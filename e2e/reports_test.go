//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"dmarcd/internal/memory"
	"dmarcd/internal/store"
)

const reportsFrom = "dmarc-reports@example.org" // reports.email

// reportLine is a line of "dmarcd report list --json", as far as it is looked at here.
type reportLine struct {
	ID         int64      `json:"id"`
	Domain     string     `json:"domain"`
	Day        string     `json:"day"`
	ReportID   string     `json:"report_id"`
	FileName   string     `json:"file_name"`
	Subject    string     `json:"subject"`
	Messages   int        `json:"messages"`
	Rows       int        `json:"rows"`
	Deliveries []delivery `json:"deliveries"`
}

type delivery struct {
	To        string    `json:"to"`
	State     string    `json:"state"`
	Cause     string    `json:"cause"`
	Error     string    `json:"error"`
	Attempts  int       `json:"attempts"`
	Due       time.Time `json:"due"`
	MessageID string    `json:"message_id"`
}

// lines reads what a command of dmarcd prints with --json: an object a line.
func lines[T any](t *testing.T, d *daemon, args ...string) []T {
	t.Helper()
	var out []T
	text := d.run(t, 0, args...)
	for line := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("dmarcd %s: %v in %q", strings.Join(args, " "), err, line)
		}
		out = append(out, v)
	}
	return out
}

// report is the one report on a domain.
func (d *daemon) report(t *testing.T, domain string) reportLine {
	t.Helper()
	list := lines[reportLine](t, d, "report", "list", "--json", "--domain", domain)
	if len(list) != 1 {
		t.Fatalf("%d reports on %s, want 1", len(list), domain)
	}
	return list[0]
}

// awaitDelivery waits until the delivery to an address is in a state, for a cause
// ("" for none).
func (d *daemon) awaitDelivery(t *testing.T, domain, to, state, cause string, limit time.Duration) delivery {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(250 * time.Millisecond) {
		r := d.report(t, domain)
		i := slices.IndexFunc(r.Deliveries, func(x delivery) bool { return x.To == to })
		if i >= 0 && r.Deliveries[i].State == state && r.Deliveries[i].Cause == cause {
			return r.Deliveries[i]
		}
		if time.Now().After(end) {
			t.Fatalf("the delivery to %s is not %s (%s) within %v: %+v", to, state, cause, limit, r.Deliveries)
		}
	}
}

// suppression is a line of "dmarcd report suppress --json".
type suppression struct {
	Target string    `json:"target"`
	Reason string    `json:"reason"`
	ByHand bool      `json:"by_hand"`
	Until  time.Time `json:"until"`
	Active bool      `json:"active"`
}

// checkSuppressed wants an address to be suppressed for a week, as "dmarcd report
// suppress" lists it, and sure enough in its text.
func (d *daemon) checkSuppressed(t *testing.T, to string) {
	t.Helper()
	list := lines[suppression](t, d, "report", "suppress", "--json")
	i := slices.IndexFunc(list, func(s suppression) bool { return s.Target == to })
	if i < 0 {
		t.Fatalf("%s is not suppressed: %+v", to, list)
	}
	const week = 7 * 24 * time.Hour
	if left := time.Until(list[i].Until); !list[i].Active || list[i].ByHand || left < week-time.Hour || left > week+time.Hour {
		t.Errorf("want %s suppressed for a week, by itself; got %+v", to, list[i])
	}
	if text := d.run(t, 0, "report", "suppress"); !strings.Contains(text, to) {
		t.Errorf("dmarcd report suppress does not tell of %s:\n%s", to, text)
	}
}

// yesterday is the day that ended last, and its first and last second.
func yesterday() (name string, begin, end int64) {
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	return start.Format(time.DateOnly), start.Unix(), start.Unix() + 24*60*60 - 1
}

// TestReports has mail of several domains judged, lets the day end, and follows the
// reports: by Postfix to the domains' mail server, and back, where they bounce.
func TestReports(t *testing.T) {
	reported := []string{"plain.example", "outside.example", "unasked.example", "gone.example", "down.example", "late.example"}
	passMidnight(t)
	sendReported(t, reported)
	endDay(t, here.dmarcd, reported)
	for _, domain := range reported {
		awaitReport(t, here.dmarcd, domain)
	}
	t.Run("delivered", checkDelivered)
	t.Run("outside", func(t *testing.T) {
		const to = "outside@collector.example"
		here.dmarcd.awaitDelivery(t, "outside.example", to, "sent", "", deliveryLimit)
		if _, arrived := here.sink.await(to, deliveryLimit); !arrived {
			t.Errorf("nothing came to %s", to)
		}
	})
	t.Run("unasked", func(t *testing.T) {
		const to = "unasked@bystander.example"
		here.unwanted.add(to)
		here.dmarcd.awaitDelivery(t, "unasked.example", to, "unverified", "unverified", deliveryLimit)
	})
	t.Run("bounce of Postfix", func(t *testing.T) {
		const to = "gone@gone.example"
		got := here.dmarcd.awaitDelivery(t, "gone.example", to, "failed", "bounced", deliveryLimit)
		if !strings.Contains(got.Error, "nobody of that name") {
			t.Errorf("the error does not say why: %+v", got)
		}
		here.dmarcd.checkSuppressed(t, to)
		if text := here.dmarcd.run(t, 0, "report", "list", "--state", "failed"); !strings.Contains(text, to) || !strings.Contains(text, "bounced") {
			t.Errorf("dmarcd report list does not tell of it:\n%s", text)
		}
		bounce := func(m mail) bool { return strings.Contains(m.body, "nobody of that name") }
		if _, arrived := here.sink.awaitWhere(reportsFrom, deliveryLimit, bounce); !arrived {
			t.Errorf("the bounce itself did not come to %s", reportsFrom)
		}
	})
	t.Run("host down", func(t *testing.T) { // Postfix gives it up after days, with a status of class 4
		const to = "dmarc@down.example"
		got := here.dmarcd.awaitDelivery(t, "down.example", to, "failed", "bounced", deliveryLimit)
		if !strings.Contains(got.Error, "Connection refused") {
			t.Errorf("the error does not say why: %+v", got)
		}
		here.dmarcd.checkSuppressed(t, to)
	})
	t.Run("bounce from outside", func(t *testing.T) { eachMTA(t, checkLateBounce) })
	t.Run("by hand", checkByHand)
}

// passMidnight waits for midnight (UTC), if it is near: yesterday must stay yesterday.
func passMidnight(t *testing.T) {
	const near = 2 * time.Minute
	if left := time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)); left < near {
		t.Logf("waiting %v for midnight", left)
		time.Sleep(left + time.Second)
	}
}

// sendReported sends by each MTA a genuine message of each domain, and of the first
// one more, and a forgery.
func sendReported(t *testing.T, domains []string) {
	for _, m := range here.mtas {
		for i, domain := range domains {
			s := scenario{client: mxClient, from: "someone@" + domain, want: delivered, letter: letter{from: domain}}
			if i == 0 {
				s.letter.signer = domain
			}
			to := m.name() + "-" + domain + "@example.org"
			s.check(t, m, to, dial(t, m.addr(), s.client, "mail.plain.example").send(s.from, s.letter.text(to), to))
		}
		for i, s := range []scenario{
			{client: mxClient, from: "someone@plain.example", want: delivered, letter: letter{from: "plain.example", signer: "plain.example"}},
			{client: stranger, from: "ceo@plain.example", want: held, letter: letter{from: "plain.example"}},
		} {
			to := fmt.Sprintf("%s-more-%d@example.org", m.name(), i)
			s.check(t, m, to, dial(t, m.addr(), s.client, "client.example").send(s.from, s.letter.text(to), to))
		}
	}
}

// endDay makes today's mail of some From domains yesterday's: it stops the daemon,
// puts what it remembers of them into a new store, a day back, and starts it on that.
// What it does with a day that ended while it was down is the daemon's own work.
func endDay(t *testing.T, d *daemon, domains []string) {
	t.Helper()
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	var records []memory.Record
	withStore(t, d, func(ctx context.Context, s *store.Store) error {
		return s.Records(ctx, time.Time{}, time.Time{}, func(r *memory.Record) error {
			if slices.Contains(domains, r.Verdict.DMARC.Author.String()) {
				aged := *r
				aged.At = r.At.AddDate(0, 0, -1)
				records = append(records, aged)
			}
			return nil
		})
	})
	seed(t, d, memory.Batch{Records: records})
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
}

// seed gives a daemon that does not run a new store.
func seed(t *testing.T, d *daemon, b memory.Batch) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(d.state()), os.MkdirAll(d.state(), 0o750)); err != nil {
		t.Fatal(err)
	}
	b.Journal, b.To = "the test", memory.Position{Segment: 1, Offset: 1}
	withStore(t, d, func(ctx context.Context, s *store.Store) error { return s.Load(ctx, b) })
}

func withStore(t *testing.T, d *daemon, do func(context.Context, *store.Store) error) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:dmarcd.db", Dir: d.state()})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(t.Context(), s), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// awaitReport waits until the report on a domain is made.
func awaitReport(t *testing.T, d *daemon, domain string) {
	t.Helper()
	for end := time.Now().Add(deliveryLimit); ; time.Sleep(250 * time.Millisecond) {
		cmd := d.command("report", "list", "--json", "--domain", domain)
		if cmd.Run() == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no report on %s was made", domain)
		}
	}
}

// checkDelivered reads the report on plain.example as its receiver would.
func checkDelivered(t *testing.T) {
	const to = "dmarc@plain.example"
	here.dmarcd.awaitDelivery(t, "plain.example", to, "sent", "", deliveryLimit)
	listed := here.dmarcd.report(t, "plain.example")
	got, arrived := here.sink.await(to, deliveryLimit)
	if !arrived {
		t.Fatalf("nothing came to %s", to)
	}
	day, begin, end := yesterday()
	if listed.Day != day || listed.Messages != 6 || listed.Rows != 2 {
		t.Errorf("dmarcd report list: got %+v, want the 6 messages of %s in 2 rows", listed, day)
	}
	checkReportHeader(t, got, to, listed)
	checkSignature(t, got)

	name, file := attachment(t, got)
	// RFC 9990 section 3.5.1.
	if want := fmt.Sprintf("example.org!plain.example!%d!%d", begin, end); !strings.HasPrefix(name, want) || !strings.HasSuffix(name, ".xml.gz") || name != listed.FileName {
		t.Errorf("the file is called %q, want %s….xml.gz, as listed (%q)", name, want, listed.FileName)
	}
	var r feedback
	if err := xml.Unmarshal(gunzip(t, file), &r); err != nil {
		t.Fatal(err)
	}
	r.XMLName = xml.Name{}
	slices.SortFunc(r.Records, func(a, b feedbackRecord) int { return strings.Compare(a.IP, b.IP) })
	want := feedback{
		Org: "Example Gateway", Email: reportsFrom, ReportID: listed.ReportID, Begin: begin, End: end,
		Domain: "plain.example", Policy: "quarantine",
		Records: []feedbackRecord{
			{IP: mxClient, Count: 4, Disposition: "pass", DKIM: "pass", SPF: "pass", From: "plain.example"},
			{IP: stranger, Count: 2, Disposition: "quarantine", DKIM: "fail", SPF: "fail", From: "plain.example"},
		},
	}
	if fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", want) {
		t.Errorf("the report says\n%+v\nwant\n%+v", r, want)
	}
}

// feedback is a report, as far as it is looked at here (RFC 9990 appendix A).
type feedback struct {
	XMLName  xml.Name         `xml:"feedback"`
	Org      string           `xml:"report_metadata>org_name"`
	Email    string           `xml:"report_metadata>email"`
	ReportID string           `xml:"report_metadata>report_id"`
	Begin    int64            `xml:"report_metadata>date_range>begin"`
	End      int64            `xml:"report_metadata>date_range>end"`
	Domain   string           `xml:"policy_published>domain"`
	Policy   string           `xml:"policy_published>p"`
	Records  []feedbackRecord `xml:"record"`
}

type feedbackRecord struct {
	IP          string `xml:"row>source_ip"`
	Count       int    `xml:"row>count"`
	Disposition string `xml:"row>policy_evaluated>disposition"`
	DKIM        string `xml:"row>policy_evaluated>dkim"`
	SPF         string `xml:"row>policy_evaluated>spf"`
	From        string `xml:"identifiers>header_from"`
}

func checkReportHeader(t *testing.T, m mail, to string, listed reportLine) {
	t.Helper()
	for name, want := range map[string]string{
		"To": "<" + to + ">", "From": "<" + reportsFrom + ">", "Auto-Submitted": "auto-generated",
		"Message-ID": "<" + listed.Deliveries[0].MessageID + ">",
		"Subject":    "Report Domain: plain.example Submitter: example.org Report-ID: <" + listed.ReportID + ">", // RFC 9990 section 3.5.2
	} {
		if got := m.unfolded(name); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: got %q, want %s", name, got, want)
		}
	}
	for _, name := range []string{"Authentication-Results", "X-TM-Authentication-Results"} {
		if got := m.unfolded(name); got != nil {
			t.Errorf("mail that leaves us was stamped: %q", got)
		}
	}
}

// checkSignature verifies the DKIM signature of a mail, with go-msgauth.
func checkSignature(t *testing.T, m mail) {
	t.Helper()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addrDNS)
	}}
	text := strings.Join(m.fields, "\r\n") + "\r\n\r\n" + m.body
	found, err := dkim.VerifyWithOptions(strings.NewReader(text), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return resolver.LookupTXT(t.Context(), name+".") },
	})
	if err != nil || len(found) != 1 || found[0].Err != nil || found[0].Domain != "example.org" {
		for _, v := range found {
			t.Errorf("signature: %+v", v)
		}
		t.Errorf("want one signature of example.org that verifies (%v)", err)
	}
}

// attachment is the one file that a mail brings, in a part of its own or as its body.
func attachment(t *testing.T, m mail) (name string, content []byte) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.value("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "multipart/mixed" {
		t.Fatalf("Content-Type: %s", m.value("Content-Type"))
	}
	for parts := multipart.NewReader(strings.NewReader(m.body), params["boundary"]); ; {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind != "application/gzip" {
			continue
		}
		if name != "" {
			t.Fatalf("a second file, %s", part.FileName())
		}
		name = part.FileName()
		if content, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\r\n", "")); err != nil {
			t.Fatal(err)
		}
	}
	return name, content
}

// value is that of the first field of a name.
func (m mail) value(name string) string {
	for _, f := range m.unfolded(name) {
		_, v, _ := strings.Cut(f, ":")
		return textproto.TrimString(v)
	}
	return ""
}

func gunzip(t *testing.T, file []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkLateBounce lets the host that took a report return it, an hour later as it
// were, by SMTP.
func checkLateBounce(t *testing.T, m mta) {
	to := m.name() + "@late.example"
	got, arrived := here.sink.await(to, deliveryLimit)
	if !arrived {
		t.Fatalf("nothing came to %s", to)
	}
	here.dmarcd.awaitDelivery(t, "late.example", to, "sent", "", deliveryLimit)
	bounce := strings.ReplaceAll(fmt.Sprintf(`From: Mail Delivery System <MAILER-DAEMON@late.example>
To: <%s>
Subject: Undelivered Mail Returned to Sender
Date: Sat, 22 Nov 2025 10:00:00 +0000
Message-ID: <bounce.%s@late.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.late.example

Final-Recipient: rfc822; %s
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 moved away

--b
Content-Type: text/rfc822-headers

Subject: %s
Message-ID: %s

--b--
`, reportsFrom, m.name(), to, got.value("Subject"), got.value("Message-ID")), "\n", "\r\n")
	c := dial(t, m.addr(), mxClient, "mail.late.example")
	c.must(c.send("", bounce, reportsFrom), 250)
	failed := here.dmarcd.awaitDelivery(t, "late.example", to, "failed", "bounced", deliveryLimit)
	if !strings.Contains(failed.Error, "moved away") {
		t.Errorf("the error does not say why: %+v", failed)
	}
	here.dmarcd.checkSuppressed(t, to)
}

// checkByHand sends a report once more: the same file under the same Report-ID. A day
// that is not over has none.
func checkByHand(t *testing.T) {
	const to = "dmarc@plain.example"
	day, _, _ := yesterday()
	here.dmarcd.run(t, 0, "report", "send", "plain.example", day)
	first := here.sink.has(to)[0]
	again := func(m mail) bool { return m.value("DKIM-Signature") != first.value("DKIM-Signature") }
	second, arrived := here.sink.awaitWhere(to, deliveryLimit, again)
	if !arrived {
		t.Fatal("it was not sent again")
	}
	oldName, oldFile := attachment(t, first)
	newName, newFile := attachment(t, second)
	if newName != oldName || !bytes.Equal(newFile, oldFile) || second.value("Subject") != first.value("Subject") {
		t.Errorf("it changed: %s, %q; first %s, %q", newName, second.value("Subject"), oldName, first.value("Subject"))
	}
	here.dmarcd.run(t, 2, "report", "send", "plain.example", "today")
}
