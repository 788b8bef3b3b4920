package analysis_test

import (
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/source"
)

const lastDay = memory.Day(20_000)

// readiness is a month of a domain with one service that is fine.
func readiness(t *testing.T) analysis.ReadinessFacts {
	t.Helper()
	m, err := source.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	f := analysis.ReadinessFacts{
		Domain: dns.MustParse("acme.example"), From: lastDay - 29, To: lastDay, Reporters: 6, Record: "v=DMARC1; p=none; rua=mailto:d@acme.example",
		Policy: report.PolicyNone, Services: m,
	}
	for d := f.From; d <= f.To; d++ {
		f.Days = append(f.Days, d)
	}
	fine(&f, "google.com", 9000)
	return f
}

func fine(f *analysis.ReadinessFacts, service string, messages int64) {
	f.Sources = append(f.Sources, analysis.SourceRow{Service: service, Counts: analysis.Counts{Messages: messages, Compliant: messages}})
}

// fails adds failing mail of a service beside compliant mail.
func fails(f *analysis.ReadinessFacts, service string, compliant, failing int64, row analysis.FailingRow) {
	f.Sources = append(f.Sources, analysis.SourceRow{Service: service, Counts: analysis.Counts{Messages: compliant + failing, Compliant: compliant}})
	row.Service, row.Messages = service, failing
	if row.Last == 0 {
		row.Last = f.To
	}
	if row.Reporter == "" {
		row.Reporter = "bigmail.example"
	}
	f.Failing = append(f.Failing, row)
}

func TestReadiness(t *testing.T) {
	for _, c := range []struct {
		name               string
		change             func(*analysis.ReadinessFacts)
		quarantine, reject bool
		because            string // of quarantine, else of reject; "" for nothing
		class              analysis.SourceClass
		advice             string
		lost, forged       int64
	}{
		{
			name: "nothing fails, one step at a time", change: func(*analysis.ReadinessFacts) {}, quarantine: true,
			because: "quarantine is not in force",
		},
		{
			name: "nothing fails, quarantine is in force", quarantine: true, reject: true,
			change: func(f *analysis.ReadinessFacts) { f.Policy = report.PolicyQuarantine },
		},
		{
			name: "13 whole days", because: "13 whole days",
			change: func(f *analysis.ReadinessFacts) { f.Policy, f.Days = report.PolicyQuarantine, f.Days[17:] },
		},
		{
			name: "14 whole days", quarantine: true, reject: true,
			change: func(f *analysis.ReadinessFacts) { f.Policy, f.Days = report.PolicyQuarantine, f.Days[16:] },
		},
		{name: "one reporter", because: "only 1 reporter", change: func(f *analysis.ReadinessFacts) { f.Reporters = 1 }},
		{name: "no record", because: "no DMARC record", change: func(f *analysis.ReadinessFacts) { f.Record, f.Policy = "", "" }},
		{
			name: "a service that never passes", because: "nobody has said whether SendGrid (sendgrid.net)", class: analysis.ClassUnclear,
			advice: "Find out whether SendGrid sends", lost: 500,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "sendgrid.net", 0, 500, analysis.FailingRow{Cause: analysis.CauseUnsigned})
			},
		},
		{
			name: "the same, authorised", because: "500 of 500 messages from SendGrid", class: analysis.ClassOwn,
			advice: "Set up DKIM for acme.example at SendGrid, which calls it: Domain Authentication.", lost: 500,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "sendgrid.net", 0, 500, analysis.FailingRow{Cause: analysis.CauseUnsigned, Label: analysis.LabelAuthorised})
			},
		},
		{
			name: "a key that is gone", because: "600 of 1600 messages", class: analysis.ClassOwn, advice: "s1._domainkey.acme.example", lost: 600,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "sendgrid.net", 1000, 600, analysis.FailingRow{Cause: analysis.CauseSignature, Selector: "s1"})
			},
		},
		{
			name: "the same, mended", quarantine: true, because: "quarantine is not in force", class: analysis.ClassMended, advice: "compliant since",
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "sendgrid.net", 1000, 600, analysis.FailingRow{Cause: analysis.CauseUnsigned, Last: f.To - 14})
			},
		},
		{
			name: "mended 13 days ago", because: "600 of 1600 messages", class: analysis.ClassOwn, lost: 600,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "sendgrid.net", 1000, 600, analysis.FailingRow{Cause: analysis.CauseUnsigned, Last: f.To - 13})
			},
		},
		{
			name: "a wave of forgeries", quarantine: true, because: "quarantine is not in force", class: analysis.ClassForged, advice: "a stricter policy stops it", forged: 50_000,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, analysis.ServiceUnknown, 0, 50_000, analysis.FailingRow{})
			},
		},
		{
			name: "an own server, unsigned", because: "40 of 400 messages from acme.example", class: analysis.ClassOwn, advice: "Sign the mail of your own servers", lost: 40,
			change: func(f *analysis.ReadinessFacts) { fails(f, "acme.example", 360, 40, analysis.FailingRow{}) },
		},
		{
			name: "forwarded mail, much", because: "of the mail that is no forgery would be lost", class: analysis.ClassForwarded, advice: "Never put a forwarder", lost: 400,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "uni.example", 0, 400, analysis.FailingRow{Forwarded: true})
			},
		},
		{
			name: "forwarded mail, little", quarantine: true, because: "quarantine is not in force", class: analysis.ClassForwarded, lost: 30,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "uni.example", 0, 30, analysis.FailingRow{Label: analysis.LabelForwarder})
			},
		},
		{
			name: "ignored", quarantine: true, because: "quarantine is not in force", class: analysis.ClassIgnored, forged: 5000,
			change: func(f *analysis.ReadinessFacts) {
				fails(f, "sendgrid.net", 0, 5000, analysis.FailingRow{Cause: analysis.CauseUnsigned, Label: analysis.LabelIgnore})
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := readiness(t)
			c.change(&f)
			got, err := analysis.AssessReadiness(&f)
			if err != nil {
				t.Fatal(err)
			}
			q, r := got.Steps[0], got.Steps[1]
			if q.Ready != c.quarantine || r.Ready != c.reject {
				t.Errorf("quarantine %v, reject %v; because %q, %q", q.Ready, r.Ready, q.Because, r.Because)
			}
			why := append(slices.Clone(q.Because), r.Because...)
			if c.because == "" && len(why) > 0 || !slices.ContainsFunc(why, func(s string) bool { return strings.Contains(s, c.because) }) && c.because != "" {
				t.Errorf("because %q, want %q", why, c.because)
			}
			if got.Lost != c.lost || got.Forged != c.forged {
				t.Errorf("lost %d, forged %d", got.Lost, got.Forged)
			}
			if c.class != "" && (len(got.Sources) != 1 || got.Sources[0].Class != c.class || !strings.Contains(got.Sources[0].Advice, c.advice)) {
				t.Errorf("sources %+v", got.Sources)
			}
			if q.Ready && !q.InForce && q.Record != "v=DMARC1; p=quarantine; rua=mailto:d@acme.example" {
				t.Errorf("the record to publish is %q", q.Record)
			}
		})
	}
}

// TestReadinessNever: no figures make readiness out of less than 14 days, and labels
// change no totals.
func TestReadinessNever(t *testing.T) {
	f := readiness(t)
	f.Policy = report.PolicyQuarantine
	fails(&f, "sendgrid.net", 5000, 0, analysis.FailingRow{})
	f.Failing = nil
	for n := range len(f.Days) + 1 {
		short := f
		short.Days = f.Days[:n]
		got, err := analysis.AssessReadiness(&short)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got.Steps {
			if s.Ready != (n >= 14) {
				t.Errorf("%d days: %s ready %v", n, s.Policy, s.Ready)
			}
		}
		if n < 14 && got.LookAgain != f.To+3+memory.Day(14-n) {
			t.Errorf("%d days: look again on %v", n, got.LookAgain)
		}
	}
	fails(&f, "uni.example", 10, 400, analysis.FailingRow{})
	for _, label := range []analysis.Label{analysis.LabelNone, analysis.LabelAuthorised, analysis.LabelForwarder, analysis.LabelIgnore} {
		f.Failing[0].Label = label
		got, err := analysis.AssessReadiness(&f)
		if err != nil {
			t.Fatal(err)
		}
		if sum := got.Lost + got.Forged; got.Messages != 14_410 || sum != 400 {
			t.Errorf("label %q: %d messages, %d of them lost or forged", label, got.Messages, sum)
		}
	}
}

// TestFailingSums: what reports say of a record becomes its cause.
func TestFailingSums(t *testing.T) {
	detail := func(messages, compliant int64, day memory.Day, auth analysis.AuthSet) *analysis.Detail {
		return &analysis.Detail{
			Domain: dns.MustParse("acme.example"), HeaderFrom: "news.acme.example", Service: "sendgrid.net", Reporter: "bigmail.example", Messages: messages,
			Compliant: compliant, Day: day, Auth: auth,
		}
	}
	spf := []analysis.SPFResult{{Domain: "em.sendgrid.net", Result: report.ResultPass}}
	gone := analysis.AuthSet{SPF: spf, DKIM: []analysis.DKIMResult{
		{Domain: "sendgrid.net", Selector: "smtpapi", Result: report.ResultPass}, {Domain: "acme.example", Selector: "s1", Result: report.ResultPermerror},
	}}
	var sums analysis.FailingSums
	sums.Add(detail(5, 0, 7, gone))
	sums.Add(detail(3, 0, 9, gone))
	sums.Add(detail(2, 0, 8, analysis.AuthSet{SPF: spf}))
	sums.Add(detail(1, 0, 8, analysis.AuthSet{Reasons: []analysis.Reason{{Type: report.ReasonForwarded}}}))
	sums.Add(detail(100, 100, 8, analysis.AuthSet{SPF: spf}))
	got := map[analysis.FailureCause]analysis.FailingRow{}
	for _, r := range sums.Rows() {
		got[r.Cause] = r
	}
	if len(got) != 3 {
		t.Fatalf("got %+v", got)
	}
	if r := got[analysis.CauseSignature]; r.Messages != 8 || r.Last != 9 || r.Selector != "s1" || r.Forwarded {
		t.Errorf("a signature that fails: %+v", r)
	}
	if r := got[analysis.CauseUnsigned]; r.Messages != 2 || r.Selector != "" {
		t.Errorf("no signature: %+v", r)
	}
	if r := got[analysis.CauseNothing]; r.Messages != 1 || !r.Forwarded {
		t.Errorf("forwarded: %+v", r)
	}
}
