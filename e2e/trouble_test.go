//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// troubled is a daemon that has reports to send about yesterday, to a mail server
// that is the test's.
type troubled struct {
	*daemon
	server *sink
}

// newTroubled starts one. It and its server have addresses by a number of their own;
// without a script the server does not listen.
func newTroubled(t *testing.T, number int, answer script, domains ...string) troubled {
	t.Helper()
	smtp := troubledServer(number)
	d, err := newDaemon(fmt.Sprintf("trouble%d", number), "trouble.yaml", "@PORT@", fmt.Sprint(9000+number), "@SMTP@", smtp)
	if err != nil {
		t.Fatal(err)
	}
	x := troubled{daemon: d, server: newSink(takeAll)}
	if answer != nil {
		x.server.script = answer
		if err := x.server.listen(smtp); err != nil {
			t.Fatal(err)
		}
	}
	_, begin, _ := yesterday()
	var aggregates []memory.Aggregate
	for _, domain := range domains {
		row := report.Row{
			SourceIP: netip.MustParseAddr(stranger), HeaderFrom: domain, EnvelopeFrom: domain,
			Disposition: report.DispositionNone, DKIM: report.DMARCFail, SPF: report.DMARCFail,
		}
		aggregates = append(aggregates, memory.Aggregate{
			Day: memory.DayOf(time.Unix(begin, 0)), PolicyDomain: dns.MustParse(domain), Record: "v=DMARC1; p=none; rua=mailto:" + reportsTo(domain),
			Row: string(row.AppendKey(nil)), Failed: true, Count: 3, Last: begin + 1,
		})
	}
	seed(t, d, memory.Batch{Aggregates: aggregates})
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	for _, domain := range domains {
		awaitReport(t, d, domain)
	}
	return x
}

func troubledServer(number int) string { return fmt.Sprintf("127.0.0.%d:25", 100+number) }

func reportsTo(domain string) string { return "dmarc@" + domain }

// listed wants a report in the text of "dmarcd report list" with these words, and the
// address to be suppressed or not.
func (x troubled) listed(t *testing.T, domain string, suppressed bool, words ...string) {
	t.Helper()
	text := x.run(t, 0, "report", "list", "--domain", domain)
	for _, word := range append(words, reportsTo(domain)) {
		if !strings.Contains(text, word) {
			t.Errorf("dmarcd report list does not say %q:\n%s", word, text)
		}
	}
	if suppressed {
		x.checkSuppressed(t, reportsTo(domain))
		return
	}
	// Where nothing is suppressed the list ends with status 1.
	out, _ := x.command("report", "suppress", "--json").Output()
	if strings.Contains(string(out), reportsTo(domain)) {
		t.Errorf("%s is suppressed: %s", domain, out)
	}
}

// TestReportsInTrouble has the mail server refuse reports in every way: what is the
// destination's fault is told from what is the server's, or the mail's.
func TestReportsInTrouble(t *testing.T) {
	passMidnight(t)
	for name, trouble := range map[string]func(*testing.T){
		"refused": refusedReports, "too large": tooLargeReport, "server down": serverDown, "stopped halfway": stoppedHalfway,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trouble(t)
		})
	}
}

// refusedReports meets every answer of a server that works.
func refusedReports(t *testing.T) {
	answers := map[string]struct {
		step, answer string
		state, cause string
		suppressed   bool
	}{
		"taken.example":   {state: "sent"},
		"later.example":   {step: "RCPT", answer: "451 4.2.1 not now", state: "queued", cause: "temporary"},
		"unknown.example": {step: "RCPT", answer: "550 5.1.1 nobody of that name", state: "failed", cause: "refused", suppressed: true},
		"full.example":    {step: "RCPT", answer: "552 5.2.2 mailbox full", state: "failed", cause: "refused", suppressed: true},
		"relay.example":   {step: "RCPT", answer: "554 5.7.1 relaying denied", state: "queued", cause: "policy"},
		"large.example":   {step: "DATA", answer: "552 5.3.4 message too big", state: "failed", cause: "too_large"},
		"content.example": {step: "DATA", answer: "554 5.6.0 no such mail here", state: "failed", cause: "content"},
		// Last, as its time-out of a minute is waited for.
		"zzz-silent.example": {step: "RCPT", answer: hang, state: "queued", cause: "timeout"},
	}
	script := func(step, rcpt string) string {
		_, domain, _ := strings.Cut(rcpt, "@")
		if a := answers[domain]; a.step == step {
			return a.answer
		}
		return ""
	}
	domains := slices.Sorted(maps.Keys(answers))
	x := newTroubled(t, 1, script, domains...)
	for _, domain := range domains {
		t.Run(domain, func(t *testing.T) {
			a := answers[domain]
			limit := deliveryLimit
			if a.answer == hang {
				limit *= 2
			}
			got := x.awaitDelivery(t, domain, reportsTo(domain), a.state, a.cause, limit)
			if a.answer != "" && a.answer != hang && !strings.Contains(got.Error, a.answer[len("550 5.1.1 "):]) {
				t.Errorf("the error does not say why: %+v", got)
			}
			if a.state == "queued" && time.Until(got.Due) < time.Minute {
				t.Errorf("it is tried again too soon: %+v", got)
			}
			x.listed(t, domain, a.suppressed, a.state, a.cause)
		})
	}
	if n := len(x.server.has(reportsTo("taken.example"))); n != 1 {
		t.Errorf("%d mails to the only one who takes them", n)
	}
	text := x.run(t, 0, "report", "list")
	if strings.Contains(text, "paused") {
		t.Errorf("the queue is paused for trouble that is not the server's:\n%s", text)
	}
}

// tooLargeReport meets a server that says beforehand what it takes (RFC 1870).
func tooLargeReport(t *testing.T) {
	const domain = "sized.example"
	x := newTroubled(t, 2, func(step, _ string) string { return map[string]string{"EHLO": "SIZE 600"}[step] }, domain)
	x.awaitDelivery(t, domain, reportsTo(domain), "failed", "too_large", deliveryLimit)
	x.listed(t, domain, false, "failed", "too_large")
	if n := len(x.server.has(reportsTo(domain))); n != 0 {
		t.Errorf("%d mails all the same", n)
	}
}

// serverDown has nobody listen at reports.smtp, and then somebody.
func serverDown(t *testing.T) {
	const domain = "patient.example"
	x := newTroubled(t, 3, nil, domain)
	x.awaitDelivery(t, domain, reportsTo(domain), "queued", "server", deliveryLimit)
	x.listed(t, domain, false, "queued", "connection refused", "The queue is paused")
	if err := x.server.listen(troubledServer(3)); err != nil {
		t.Fatal(err)
	}
	x.run(t, 0, "report", "retry", fmt.Sprint(x.report(t, domain).ID))
	x.awaitDelivery(t, domain, reportsTo(domain), "sent", "", deliveryLimit)
	x.listed(t, domain, false, "sent")
}

// stoppedHalfway stops dmarcd while the server keeps it waiting for the answer to a
// whole report. The next dmarcd sends the same report.
func stoppedHalfway(t *testing.T) {
	const domain = "slow.example"
	var recovered atomic.Bool
	asked := make(chan struct{}, 1)
	x := newTroubled(t, 4, func(step, _ string) string {
		if step != "DATA" || recovered.Load() {
			return ""
		}
		asked <- struct{}{}
		return hang
	}, domain)
	select {
	case <-asked:
	case <-time.After(deliveryLimit):
		t.Fatal("the report was not offered")
	}
	before := x.report(t, domain)
	if err := x.stop(); err != nil {
		t.Fatal(err)
	}
	// Without a daemon the command opens the store itself.
	x.listed(t, domain, false, "queued")
	recovered.Store(true)
	if err := x.start(); err != nil {
		t.Fatal(err)
	}
	x.awaitDelivery(t, domain, reportsTo(domain), "sent", "", deliveryLimit)
	got, arrived := x.server.await(reportsTo(domain), deliveryLimit)
	if !arrived {
		t.Fatal("the report was not sent")
	}
	if name, _ := attachment(t, got); name != before.FileName || !strings.Contains(got.value("Subject"), before.ReportID) ||
		got.value("Message-ID") != "<"+before.Deliveries[0].MessageID+">" {
		t.Errorf("got %s, %s, %s; want those of %+v", name, got.value("Subject"), got.value("Message-ID"), before)
	}
}
