package filter_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/filter"
	"dmarcd/internal/memory"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// load reads settings with a policy file of this text; extra lines go into the
// daemon's.
func load(t testing.TB, policyYAML string, extra ...string) *settings.Settings {
	t.Helper()
	dir := t.TempDir()
	daemon := "authserv_id: mx.example.org\ntrusted_networks: []\n" + strings.Join(extra, "\n")
	for name, text := range map[string]string{"dmarcd.yaml": daemon, "policy.yaml": policyYAML} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, _, err := settings.Load(filepath.Join(dir, "dmarcd.yaml"), "host.example")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var received = time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)

// judge runs a message, with the fields of header ending in LF, through a filter.
func judge(t testing.TB, r filter.Resolver, s *settings.Settings, from, header string, rcpts ...string) *filter.Result {
	t.Helper()
	f := filter.New(r, nil)
	tx := f.Begin(t.Context(), s, message.Envelope{
		ClientIP: netip.MustParseAddr("203.0.113.9"), Helo: "client.example", MailFrom: message.ParseAddress("<" + from + ">"), Received: received,
	})
	for _, to := range rcpts {
		tx.Rcpt(filter.Recipient{Written: message.ParseAddress("<" + to + ">")}, false)
	}
	for _, line := range strings.Split(strings.ReplaceAll(header, "\n ", "\r\n "), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			tx.Header(name, []byte(value))
		}
	}
	tx.EndOfHeader()
	o := tx.EndOfMessage("4ABC")
	return &o
}

const zone = `
bank.example        TXT "v=spf1 include:_spf.bank.example a:%{l}.hosts.bank.example -all exp=why.bank.example"
_spf.bank.example   TXT "v=spf1 ip4:198.51.100.0/24 mx -all"
_spf.bank.example   MX 10 mx.bank.example.
mx.bank.example     A 198.51.100.1
why.bank.example    TXT "%{s} may not send from %{i}"
_dmarc.bank.example TXT "v=DMARC1; p=reject"
good.example        TXT "v=spf1 ip4:203.0.113.0/24 -all"
_dmarc.good.example TXT "v=DMARC1; p=reject"
slow.example        TXT "v=spf1 ip4:203.0.113.0/24 -all"
_dmarc.slow.example FAULT servfail
`

func TestRecord(t *testing.T) {
	const rules = `mixed_recipients: strictest
default:
  dmarc:
    reject_text: "5.7.1 no: {explanation}"
    actions: {reject: reject}
  spf: {enabled: true, x_header: true, actions: {fail: bypass}}
domains:
  held.example:
    dmarc:
      actions:
        reject: quarantine
`
	const header = "From: ann@bank.example\nMessage-ID: <x1@bank.example>\nX-TM-Quarantine: dmarc\nAuthentication-Results: mx.example.org; dmarc=pass\n"
	quiet, addresses := load(t, rules), load(t, rules, "log: {addresses: true}")
	o := judge(t, dnstest.MustZone(zone), quiet, "ann.smith@bank.example", header, "bob@example.org", "eve@held.example", "joe@example.net")
	r := o.Record(filter.Remember{Settings: quiet, MTA: "Postfix 3.7.11"})

	if r.At != received.Truncate(time.Microsecond) || r.QueueID != "4ABC" || r.MessageID != "x1@bank.example" || r.MTA != "Postfix 3.7.11" || r.Helo != "client.example" ||
		r.ClientIP.String() != "203.0.113.9" || r.NullSender || r.Sender != "bank.example" || r.EnvelopeFrom.String() != "bank.example" || r.Recipients != nil {
		t.Errorf("envelope: %+v", r)
	}
	if r.Chosen != 0 || len(r.Outcomes) != 2 || r.Decision != r.Outcomes[0].Decision || r.Decision.Action != policy.Reject || r.Forged != 2 || r.Hold != "" || r.CarriesReport || r.PSL {
		t.Fatalf("decision: %+v", r)
	}
	want := []memory.Outcome{
		{Domains: names("example.org", "example.net"), File: quiet.Path("policy.yaml"), Line: 5},
		{Domains: names("held.example"), File: quiet.Path("policy.yaml"), Line: 11},
	}
	for i, got := range r.Outcomes {
		if !slices.Equal(got.Domains, want[i].Domains) || got.File != want[i].File || got.Line != want[i].Line || got.Mode != policy.Enforce ||
			got.Quarantine != policy.QuarantineHold || !got.DailyReports {
			t.Errorf("outcome %d: %+v, want %+v", i, got, want[i])
		}
	}
	if r.Added != nil || r.Removed != nil {
		t.Errorf("refused mail was changed: %q, %q", r.Added, r.Removed)
	}
	if o.Decision.Reply.Text != "no: ann.smith@bank.example may not send from 203.0.113.9" || r.Decision.Reply.Text != "no: " {
		t.Errorf("replies %q and %q", o.Decision.Reply.Text, r.Decision.Reply.Text)
	}
	whole := o.Record(filter.Remember{Settings: addresses})
	if whole.Sender != "ann.smith@bank.example" || !slices.Equal(whole.Recipients, []string{"bob@example.org", "eve@held.example", "joe@example.net"}) ||
		whole.Decision.Reply.Text != o.Decision.Reply.Text {
		t.Errorf("with addresses: %+v", whole)
	}
	checkTrace(t, r.Trace, []string{
		"A %{l}.hosts.bank.example: nxdomain", "A mx.bank.example: 198.51.100.1", "MX _spf.bank.example: mx.bank.example",
		"TXT _dmarc.bank.example: v=DMARC1; p=reject", "TXT _spf.bank.example: v=spf1 ip4:198.51.100.0/24 mx -all",
		"TXT bank.example: v=spf1 include:_spf.bank.example a:%{l}.hosts.bank.example -all exp=why.bank.example", "TXT why.bank.example: %{s} may not send from %{i}",
	})
	for _, lookup := range whole.Trace.Answers {
		if strings.HasPrefix(lookup.Name, "%{l}") {
			t.Errorf("with addresses the trace has %q", lookup.Name)
		}
	}
	if text := fmt.Sprintf("%+v", r); strings.Contains(text, "smith") || strings.Contains(text, "bob") {
		t.Errorf("local parts in %s", text)
	}
}

func names(list ...string) (out []dns.Name) {
	for _, n := range list {
		out = append(out, dns.MustParse(n))
	}
	return out
}

// notAwaited is a lookup that affects no verdict here, so that it may be late.
const notAwaited = "TXT _dmarc.example: nxdomain"

// checkTrace compares a trace, whose order is that of chance.
func checkTrace(t *testing.T, got *memory.Trace, want []string) {
	t.Helper()
	if got == nil {
		t.Fatal("no trace")
	}
	var lines []string
	for _, a := range got.Answers {
		if line := a.Type + " " + a.Name + ": " + strings.Join(a.Texts, " | ") + a.Error; line != notAwaited {
			lines = append(lines, line)
		}
		if a.Took%time.Microsecond != 0 {
			t.Errorf("%s took %v", a.Name, a.Took)
		}
	}
	slices.Sort(lines)
	if !slices.Equal(lines, want) || got.Cut {
		t.Errorf("trace\n %s\nwant\n %s", strings.Join(lines, "\n "), strings.Join(want, "\n "))
	}
}

// TestRecordOfHeldMail has what is done to a message that goes on.
func TestRecordOfHeldMail(t *testing.T) {
	s := load(t, "default: {dmarc: {actions: {reject: quarantine}}, spf: {enabled: true, x_header: true, actions: {fail: bypass}}}")
	o := judge(t, dnstest.MustZone(zone), s, "ann.smith@bank.example",
		"From: ann@bank.example\nX-TM-Quarantine: dmarc\nX-TM-Quarantine: spf\nAuthentication-Results: mx.example.org; dmarc=pass\n", "bob@example.org")
	r := o.Record(filter.Remember{Settings: s})
	want := []string{
		"Authentication-Results: mx.example.org; spf=fail smtp.mailfrom=bank.example; dkim=none; dmarc=fail header.from=bank.example policy.dmarc=reject",
		"X-TM-Authentication-Results: spf=fail (sender IP address: 203.0.113.9) smtp.mailfrom=bank.example; dkim=none (no processed signatures) header.d=none; dmarc=fail action=quarantine header.from=bank.example;",
		"X-TM-Received-SPF: Fail (domain of @bank.example does not designates 203.0.113.9 as permitted sender) client-ip=203.0.113.9; envelope-from=@bank.example; helo=client.example",
	}
	if !slices.Equal(r.Added, want) {
		t.Errorf("added\n %s\nwant\n %s", strings.Join(r.Added, "\n "), strings.Join(want, "\n "))
	}
	if want := []string{"Authentication-Results[1]", "X-TM-Quarantine[2]", "X-TM-Quarantine[1]"}; !slices.Equal(r.Removed, want) {
		t.Errorf("removed %q, want %q", r.Removed, want)
	}
	if r.Hold != o.QuarantineReason() || r.Hold == "" || r.Outcomes[0].Quarantine != policy.QuarantineHold {
		t.Errorf("held as %q", r.Hold)
	}
	s.Log.Addresses = true
	if got := o.Record(filter.Remember{Settings: s}).Added[2]; !strings.Contains(got, "envelope-from=ann.smith@bank.example;") {
		t.Errorf("with addresses %q", got)
	}
	s = load(t, "default: {dmarc: {actions: {reject: quarantine}}, quarantine: {method: redirect, address: jail@example.org}}")
	o = judge(t, dnstest.MustZone(zone), s, "ann@bank.example", "From: ann@bank.example\n", "bob@example.org")
	if r := o.Record(filter.Remember{Settings: s}); r.Redirect != "jail@example.org" || r.Hold != "" {
		t.Errorf("redirected: %+v", r)
	}
}

// TestTraceOfWhat has which messages keep the answers of DNS.
func TestTraceOfWhat(t *testing.T) {
	const fail, pass, none, slow = "bank.example", "good.example", "none.example", "slow.example"
	for _, c := range []struct {
		name, domain, rules string
		want                bool
	}{
		{"a pass", pass, "{}", false},
		{"no record", none, "{}", false},
		{"no record, refused", none, "{default: {dmarc: {actions: {no_record: reject}}}}", true},
		{"no record, would be refused", none, "{mode: monitor, default: {dmarc: {actions: {no_record: reject}}}}", true},
		{"a failure", fail, "{}", true},
		{"a failure let through", fail, "{default: {dmarc: {actions: {reject: bypass}}}}", true},
		{"a failure by RFC alone", fail, "{default: {dmarc: {enabled: false}}}", true},
		{"a pass that is refused", pass, "{default: {sender_ip_match: [{domain: good.example, networks: [192.0.2.0/24], action: reject}]}}", true},
		{"a pass that fails as a peer", pass, "{default: {dmarc: {enforced_peers: [good.example]}}}", true},
		{"DNS trouble", slow, "{}", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := load(t, c.rules)
			o := judge(t, dnstest.MustZone(zone), s, "a@"+c.domain, "From: a@"+c.domain+"\n", "bob@example.org")
			r := o.Record(filter.Remember{Settings: s})
			if got := r.Trace != nil; got != c.want || o.Notable() != c.want {
				t.Errorf("traced: %v, want %v; %+v", got, c.want, r.Decision)
			}
			if r = o.Record(filter.Remember{Settings: s, Sampled: true}); r.Trace == nil || len(r.Trace.Answers) == 0 {
				t.Error("a sample has no trace")
			}
			if _, err := r.AppendBinary(nil); err != nil {
				t.Error(err)
			}
			if got := policy.Decide(&r.Verdict, r.Facts(), o.Rules); got != r.Decision {
				t.Errorf("replayed %+v, want %+v", got, r.Decision)
			}
		})
	}
}

func TestTroubleInTrace(t *testing.T) {
	s := load(t, "{}")
	o := judge(t, dnstest.MustZone(zone), s, "", "From: a@slow.example\n", "bob@example.org")
	r := o.Record(filter.Remember{Settings: s})
	checkTrace(t, r.Trace, []string{
		"TXT _dmarc.slow.example: temporary: servfail", "TXT client.example: nxdomain",
	})
	if !r.NullSender || r.Sender != "" || !r.EnvelopeFrom.IsZero() {
		t.Errorf("null sender: %+v", r)
	}
}

// TestTraceIsBounded has a message ask for more than is kept.
func TestTraceIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("big.example TXT \"v=spf1 exists:x.big.example ?all\"\n")
	for i := range 60 {
		fmt.Fprintf(&b, "x.big.example A 192.0.2.%d\n", i)
	}
	for i := range 12 {
		b.WriteString("_dmarc.big.example TXT")
		for range 40 {
			fmt.Fprintf(&b, " %q", strings.Repeat(fmt.Sprint(i%10), 250))
		}
		b.WriteByte('\n')
	}
	s := load(t, "{}")
	o := judge(t, dnstest.MustZone(b.String()), s, "a@big.example", "From: a@big.example\n", "bob@example.org")
	tr := o.Record(filter.Remember{Settings: s, Sampled: true}).Trace
	size, hosts := 0, 0
	for _, a := range tr.Answers {
		size += len(a.Name) + len(a.Error)
		for _, text := range a.Texts {
			size += len(text)
		}
		if a.Type == "A" {
			hosts = len(a.Texts)
		}
	}
	if !tr.Cut || size > memory.MaxTraceBytes || hosts > memory.MaxAnswerTexts {
		t.Errorf("%d octets, %d addresses, cut: %v", size, hosts, tr.Cut)
	}
}

func TestCarriesReport(t *testing.T) {
	const rules = "{}"
	reports := "reports: {enabled: true, org_name: x, email: Reports@example.org, contact: x}"
	analysis := "analysis: {addresses: [dmarc@example.org, {address: \"*@rua.example.org\", domains_by_local_part: {acme: [acme.example]}}]}"
	s := load(t, rules, reports, analysis)
	const report = "Subject: Report Domain: good.example Submitter: mx.example Report-ID: <1>\n"
	for _, c := range []struct {
		name, domain, header string
		rcpts                []string
		want                 bool
	}{
		{"an ordinary mail", "good.example", "", []string{"bob@example.org"}, false},
		{"a report", "good.example", report, []string{"bob@example.org"}, true},
		{"a report, encoded", "good.example", "Subject: =?utf-8?q?Report_Domain=3A_good.example_Submitter=3A_mx.example?=\n", []string{"bob@example.org"}, true},
		{"a failure report", "good.example", "Content-Type: Multipart/Report; Report-Type=Feedback-Report; boundary=x\n", []string{"bob@example.org"}, true},
		{"a bounce", "good.example", "Content-Type: multipart/report; report-type=delivery-status; boundary=x\n", []string{"bob@example.org"}, false},
		{"what pretends to be one", "bank.example", report, []string{"bob@example.org"}, false},
		{"to where reports come from", "bank.example", "", []string{"reports@EXAMPLE.org"}, true},
		{"with an extension", "bank.example", "", []string{"reports+1@example.org"}, true},
		{"to an address of analysis", "bank.example", "", []string{"dmarc@example.org", "any@rua.example.org"}, true},
		{"to others too", "bank.example", "", []string{"dmarc@example.org", "bob@example.org"}, false},
		{"nearly", "bank.example", "", []string{"dmarc@sub.example.org"}, false},
		{"without a local part", "bank.example", "", []string{"+@example.org"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := judge(t, dnstest.MustZone(zone), s, "a@"+c.domain, "From: a@"+c.domain+"\n"+c.header, c.rcpts...)
			if got := o.Record(filter.Remember{Settings: s}).CarriesReport; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSampled(t *testing.T) {
	sampled := 0
	for i := range 100_000 {
		o := filter.Result{Envelope: message.Envelope{QueueID: fmt.Sprintf("4%X", i*7919), Received: received.Add(time.Duration(i) * 12345 * time.Microsecond)}}
		picked, again := o.Sampled(), o
		if picked {
			sampled++
		}
		if again.Sampled() != picked {
			t.Fatal("picked by chance")
		}
	}
	if sampled < 850 || sampled > 1150 {
		t.Errorf("%d of 100,000, want one in a hundred", sampled)
	}
}

// TestDeferLapsed has an envelope deferred until it may not be any longer.
func TestDeferLapsed(t *testing.T) {
	s := load(t, "{defer_limit: 1h, default: {dmarc: {actions: {temperror: defer}}}}")
	now := received
	f := filter.New(dnstest.MustZone(zone), func() time.Time { return now })
	send := func() *memory.Record {
		tx := f.Begin(t.Context(), s, message.Envelope{ClientIP: netip.MustParseAddr("203.0.113.9"), Helo: "x", MailFrom: message.ParseAddress("a@slow.example")})
		tx.Rcpt(filter.Recipient{Written: message.ParseAddress("bob@example.org")}, false)
		tx.Header("From", []byte(" a@slow.example"))
		tx.EndOfHeader()
		o := tx.EndOfMessage("")
		return o.Record(filter.Remember{Settings: s})
	}
	if r := send(); r.DeferLapsed || r.Decision.Action != policy.Defer {
		t.Errorf("at first: %+v", r)
	}
	now = now.Add(2 * time.Hour)
	r := send()
	if !r.DeferLapsed || r.Decision.Action != policy.Bypass || r.Decision.Rule != "defer_limit" || r.Outcomes[0].Line != 1 {
		t.Errorf("later: %+v", r)
	}
	if got := policy.Decide(&r.Verdict, r.Facts(), s.Policy.Default); got != r.Decision {
		t.Errorf("replayed %+v", got)
	}
}

// TestConflictRecord has domains that disagree: nobody's decision is carried out.
func TestConflictRecord(t *testing.T) {
	s := load(t, "domains: {a.example: {dmarc: {}}, b.example: {dmarc: {actions: {reject: bypass}}}}")
	o := judge(t, dnstest.MustZone(zone), s, "a@bank.example", "From: a@bank.example\n", "x@a.example", "x@b.example")
	r := o.Record(filter.Remember{Settings: s})
	if r.Chosen != -1 || r.Decision.Reason != policy.ReasonConflict || len(r.Outcomes) != 2 || r.Trace == nil || r.Verdict.SPF.Status != spf.Fail {
		t.Errorf("%+v", r)
	}
}
