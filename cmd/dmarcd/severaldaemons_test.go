package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/store"
)

// severalDomains is how many policy domains have mail of yesterday.
const severalDomains = 12

// TestSeveralDaemons runs three daemons on one PostgreSQL: their counts add up, one
// of them sends the reports, another does within a minute after that one was killed,
// and each policy domain gets one report.
func TestSeveralDaemons(t *testing.T) {
	server := os.Getenv("DMARCD_TEST_POSTGRES")
	if server == "" {
		t.Skip("without PostgreSQL: DMARCD_TEST_POSTGRES names none (scripts/with-postgres starts one)")
	}
	url := postgresDatabase(t, server)
	rememberYesterday(t, url)
	mails, smtpAddr := reportSink(t)
	reports := fmt.Sprintf("reports: {enabled: true, org_name: Example, email: reports@mx.example.org, at: \"00:00\", smtp: %q}\n", smtpAddr)

	var sites []*soakSite
	for range 3 {
		s := newSoakSite(t, url, reports)
		s.start()
		sites = append(sites, s)
	}
	var sending sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, s := range sites {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		sending.Go(func() { s.send(ctx, pace.C, nil) })
	}

	seen := newReportsSeen()
	seen.take(t, mails, severalDomains/3)
	db := sites[0].openStore()
	first := leader(t, db, sites)
	first.kill()
	killed := time.Now()
	for {
		if next := leader(t, db, sites); next != first {
			break
		}
		if time.Since(killed) > time.Minute {
			t.Fatal("a minute after the leader was killed nobody else leads")
		}
		<-time.After(200 * time.Millisecond)
	}
	t.Logf("another daemon leads %v after the first was killed", time.Since(killed).Round(time.Second))
	seen.take(t, mails, severalDomains)
	seen.quiet(t, mails)

	cancel()
	sending.Wait()
	first.start() // loads what it had not
	answered := 0
	for _, s := range sites {
		s.stop()
		answered += len(s.answered)
	}
	remembered := 0
	if err := db.Records(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour), func(*memory.Record) error {
		remembered++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// Of what was under way when the first was killed, one message may be
	// remembered that was not answered.
	if remembered < answered || remembered > answered+1 {
		t.Errorf("%d messages were answered, %d are remembered", answered, remembered)
	}
}

// leader is the site whose daemon leads, or led last.
func leader(t *testing.T, db *store.Store, sites []*soakSite) *soakSite {
	t.Helper()
	l, err := db.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, pid, _ := strings.Cut(l.Holder, "/")
	for _, s := range sites {
		if strconv.Itoa(s.daemon.Process.Pid) == pid {
			return s
		}
	}
	t.Fatalf("the leader %s is none of ours", l.Holder)
	return nil
}

// rememberYesterday puts mail of yesterday into the store, ten messages for each of
// severalDomains.
func rememberYesterday(t *testing.T, url string) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: url, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	at := memory.DayOf(time.Now()).Begin().Add(-time.Hour)
	b := memory.Batch{Journal: "yesterday", To: memory.Position{Segment: 1, Offset: 1}}
	for i := range severalDomains {
		from := dns.MustParse(fmt.Sprintf("d%d.example", i))
		rec, err := dmarc.ParseRecord("v=DMARC1; p=none; rua=mailto:dmarc@" + from.String())
		if err != nil {
			t.Fatal(err)
		}
		d := policy.Decision{Action: policy.Bypass, Would: policy.Bypass, Reason: policy.ReasonPass, Evaluated: true, Status: dmarc.Pass}
		for n := range 10 {
			b.Records = append(b.Records, memory.Record{
				At: at.Add(time.Duration(n) * time.Second), QueueID: fmt.Sprintf("Y%d.%d", i, n), ClientIP: netip.MustParseAddr("192.0.2.1"), EnvelopeFrom: from,
				Verdict: policy.Verdict{
					SPF: spf.Result{Status: spf.Pass, Domain: from, Scope: spf.MailFrom},
					DMARC: dmarc.Result{
						Status: dmarc.Pass, Author: from, PolicyDomain: from, Record: rec, Source: "p",
						Requested: dmarc.PolicyNone, Policy: dmarc.PolicyNone, SPFAligned: true,
					},
				},
				Decision: d, Outcomes: []memory.Outcome{{Decision: d, Mode: policy.Enforce, DailyReports: true}},
			})
		}
	}
	if err := db.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// reportSink is a mail server that takes reports and hands them to the test.
func reportSink(t *testing.T) (mails chan string, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mails = make(chan string, 100)
	server := smtp.NewServer(sink{mails: mails})
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	return mails, ln.Addr().String()
}

// reportsSeen is what came of reports: by destination, the Report-ID and the mail's
// content.
type reportsSeen map[string][2]string

func newReportsSeen() reportsSeen { return reportsSeen{} }

var (
	rcptLine   = regexp.MustCompile(`(?m)^RCPT TO:<(.*)>$`)
	reportID   = regexp.MustCompile(`Report-ID:\s*<([^>]*)>`)
	attachment = regexp.MustCompile(`(?s)filename=.*`)
)

// take waits until reports have gone to so many destinations. The same report may
// come twice, after a crash between sending and noting it; a second, different one
// may not.
func (r reportsSeen) take(t *testing.T, mails chan string, n int) {
	t.Helper()
	late := time.After(3 * time.Minute)
	for len(r) < n {
		select {
		case mail := <-mails:
			r.add(t, mail)
		case <-late:
			t.Fatalf("%d of %d reports came", len(r), n)
		}
	}
}

func (r reportsSeen) add(t *testing.T, mail string) {
	t.Helper()
	rcpt, id := rcptLine.FindStringSubmatch(mail), reportID.FindStringSubmatch(mail)
	if rcpt == nil || id == nil {
		t.Fatalf("this is no report:\n%s", mail)
	}
	file := sha256.Sum256([]byte(attachment.FindString(mail)))
	now := [2]string{id[1], string(file[:])}
	if before, again := r[rcpt[1]]; again && before != now {
		t.Errorf("%s got two different reports", rcpt[1])
	}
	r[rcpt[1]] = now
}

// quiet looks at what else has come: nothing new may.
func (r reportsSeen) quiet(t *testing.T, mails chan string) {
	t.Helper()
	n := len(r)
	for {
		select {
		case mail := <-mails:
			r.add(t, mail)
			continue
		case <-time.After(3 * time.Second):
		}
		break
	}
	if len(r) != n {
		t.Errorf("reports went to %d destinations, not %d", len(r), n)
	}
}
