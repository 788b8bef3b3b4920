package memory

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
	"dmarcd/internal/report"
)

// failing is a message that failed under p=reject and was refused.
func failing(t *testing.T) *Record {
	t.Helper()
	rec, err := dmarc.ParseRecord("v=DMARC1; p=reject; rua=mailto:d@example.com")
	if err != nil {
		t.Fatal(err)
	}
	from := dns.MustParse("example.com")
	d := policy.Decision{Action: policy.Reject, Would: policy.Reject, Reason: policy.ReasonPolicy, Rule: "dmarc.actions.reject", Evaluated: true, Status: dmarc.Fail}
	return &Record{
		At: time.Date(2026, 11, 25, 23, 59, 59, 0, time.UTC), ClientIP: netip.MustParseAddr("192.0.2.1"), EnvelopeFrom: dns.MustParse("sender.example"),
		Verdict: policy.Verdict{
			SPF: spf.Result{Status: spf.Fail, Domain: dns.MustParse("sender.example"), Scope: spf.MailFrom},
			DMARC: dmarc.Result{
				Status: dmarc.Fail, Author: from, OrgDomain: from, PolicyDomain: from, Record: rec,
				Source: "p", Requested: dmarc.PolicyReject, Policy: dmarc.PolicyReject,
			},
			SPFAlignment: dmarc.Unaligned,
		},
		Decision: d, Outcomes: []Outcome{{Domains: []dns.Name{dns.MustParse("example.org")}, Decision: d, Mode: policy.Enforce, DailyReports: true}},
	}
}

// act sets what is done with the message.
func (r *Record) act(a policy.Action, why policy.Reason) {
	r.Decision.Action, r.Decision.Would, r.Decision.Reason = a, a, why
	r.Outcomes[0].Decision = r.Decision
}

func passes(r *Record) {
	r.Verdict.DMARC.Status, r.Verdict.DMARC.SPFAligned = dmarc.Pass, true
	r.act(policy.Bypass, policy.ReasonPass)
	r.Decision.Status, r.Outcomes[0].Decision.Status = dmarc.Pass, dmarc.Pass
}

func TestAggregateRow(t *testing.T) {
	type want struct {
		disposition report.Disposition
		reasons     []report.Reason
	}
	local := func(comment string) []report.Reason {
		return []report.Reason{{Type: report.ReasonLocalPolicy, Comment: comment}}
	}
	for name, c := range map[string]struct {
		change func(r *Record)
		want   want
	}{
		"rejected as asked":   {func(*Record) {}, want{"reject", nil}},
		"passes":              {passes, want{"pass", nil}},
		"passes under p=none": {func(r *Record) { passes(r); r.Verdict.DMARC.Policy, r.Verdict.DMARC.Requested = "none", "none" }, want{"none", nil}},
		"fails under p=none": {func(r *Record) {
			r.Verdict.DMARC.Policy, r.Verdict.DMARC.Requested = "none", "none"
			r.act(policy.Bypass, policy.ReasonPolicy)
		}, want{"none", nil}},
		"let through":       {func(r *Record) { r.act(policy.Bypass, policy.ReasonPolicy) }, want{"none", local("")}},
		"softened":          {func(r *Record) { r.act(policy.Quarantine, policy.ReasonPolicy) }, want{"quarantine", local("")}},
		"trusted forwarder": {func(r *Record) { r.act(policy.Bypass, policy.ReasonForwarder) }, want{"none", []report.Reason{{Type: report.ReasonTrustedForwarder}}}},
		"temperror": {func(r *Record) {
			r.Verdict.DMARC.Status = dmarc.TempError
			r.act(policy.Bypass, policy.ReasonTemperror)
		}, want{"none", local("temporary DNS failure left the result open")}},
		"known source":     {func(r *Record) { r.act(policy.Bypass, policy.ReasonSenderIP) }, want{"none", local("known sending network")}},
		"peer that passes": {func(r *Record) { passes(r); r.act(policy.Quarantine, policy.ReasonEnforcedPeer) }, want{"quarantine", local("stricter rules for this domain")}},
		"lenient criteria": {func(r *Record) { r.act(policy.Bypass, policy.ReasonPass) }, want{"none", local("local criteria")}},
		"monitored": {func(r *Record) {
			r.act(policy.Bypass, policy.ReasonPolicy)
			r.Outcomes[0].Mode, r.Outcomes[0].Decision.Would = policy.Monitor, policy.Reject
		}, want{"none", local("monitoring only")}},
		"test mode": {func(r *Record) {
			r.Verdict.DMARC.Policy = dmarc.PolicyQuarantine
			r.act(policy.Quarantine, policy.ReasonPolicy)
		}, want{"quarantine", []report.Reason{{Type: report.ReasonPolicyTestMode, Comment: "t=y: reject applied as quarantine"}}}},
		"sealed": {func(r *Record) {
			r.act(policy.Bypass, policy.ReasonARC)
			r.Outcomes[0].Decision.Comment = "arc=pass as[1].d=d1.example as[1].s=s1"
		}, want{"none", local("arc=pass as[1].d=d1.example as[1].s=s1")}},
		"recipients disagree": {func(r *Record) {
			r.act(policy.Bypass, policy.ReasonPolicy)
			r.Outcomes = append(r.Outcomes, Outcome{Decision: policy.Decision{Action: policy.Bypass}})
			r.Chosen = 1
		}, want{"none", local("recipients with different settings")}},
	} {
		t.Run(name, func(t *testing.T) {
			r := failing(t)
			c.change(r)
			aggregate, ok := r.Aggregate()
			if !ok {
				t.Fatal("not counted")
			}
			row, err := report.ParseKey([]byte(aggregate.Row))
			if err != nil {
				t.Fatal(err)
			}
			if row.Disposition != c.want.disposition || !reflect.DeepEqual(row.Reasons, c.want.reasons) {
				t.Errorf("got %s %+v, want %+v", row.Disposition, row.Reasons, c.want)
			}
			if row.HeaderFrom != "example.com" || row.SourceIP != r.ClientIP || row.EnvelopeFrom != "sender.example" || row.EnvelopeTo != "" {
				t.Errorf("row %+v", row)
			}
		})
	}
}

func TestNotCounted(t *testing.T) {
	for name, change := range map[string]func(r *Record){
		"deferred":         func(r *Record) { r.act(policy.Defer, policy.ReasonTemperror) },
		"not evaluated":    func(r *Record) { r.Outcomes[0].Decision.Evaluated = false },
		"not to be told":   func(r *Record) { r.Outcomes[0].DailyReports = false },
		"carries a report": func(r *Record) { r.CarriesReport = true },
		"no record":        func(r *Record) { r.Verdict.DMARC.Record = nil },
		"nobody asks":      func(r *Record) { r.Verdict.DMARC.Record = &dmarc.Record{Text: "v=DMARC1; p=reject"} },
		"client unknown":   func(r *Record) { r.ClientIP = netip.Addr{} },
	} {
		t.Run(name, func(t *testing.T) {
			r := failing(t)
			change(r)
			if aggregate, ok := r.Aggregate(); ok {
				t.Errorf("counted as %+v", aggregate)
			}
		})
	}
}

// TestAggregateDay counts a message for the day on which it came, in UTC.
func TestAggregateDay(t *testing.T) {
	r := failing(t)
	aggregate, _ := r.Aggregate()
	if got := aggregate.Day.Begin(); got != time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC) {
		t.Errorf("day begins %v", got)
	}
	r.At = r.At.Add(time.Second)
	if next, _ := r.Aggregate(); next.Day != aggregate.Day+1 {
		t.Errorf("a second later it is day %d, not %d", next.Day, aggregate.Day+1)
	}
}

func TestAggregateSurvives(t *testing.T) {
	aggregate, ok := failing(t).Aggregate()
	if !ok {
		t.Fatal("not counted")
	}
	got, err := DecodeAggregate(aggregate.AppendBinary(nil))
	if err != nil || got != aggregate {
		t.Errorf("got %+v, %v; want %+v", got, err, aggregate)
	}
}

// TestSignatures lists the best first, and of a failure only its kind.
func TestSignatures(t *testing.T) {
	r := failing(t)
	sign := func(domain string, s dkim.Status, err error, a dmarc.Alignment) {
		r.Verdict.DKIM = append(r.Verdict.DKIM, dkim.Result{Status: s, Domain: dns.MustParse(domain), Selector: "s", Err: err})
		r.Verdict.DKIMAlignments = append(r.Verdict.DKIMAlignments, a)
	}
	sign("list.example", dkim.Fail, dkim.ErrBodyHash, dmarc.Unaligned)
	sign("list.example", dkim.Pass, nil, dmarc.Unaligned)
	sign("mail.example.com", dkim.Pass, nil, dmarc.Aligned)
	sign("example.com", dkim.Pass, nil, dmarc.Aligned)
	r.Verdict.DKIM = append(r.Verdict.DKIM, dkim.Result{Status: dkim.PermError, Err: dkim.ErrSyntax})
	aggregate, _ := r.Aggregate()
	row, err := report.ParseKey([]byte(aggregate.Row))
	if err != nil {
		t.Fatal(err)
	}
	want := []report.DKIMResult{
		{Domain: "example.com", Selector: "s", Result: "pass"},
		{Domain: "mail.example.com", Selector: "s", Result: "pass"},
		{Domain: "list.example", Selector: "s", Result: "pass"},
		{Domain: "list.example", Selector: "s", Result: "fail", HumanResult: "body does not match its hash"},
	}
	if !reflect.DeepEqual(row.AuthDKIM, want) {
		t.Errorf("got %+v", row.AuthDKIM)
	}
}
