package settings

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

func TestRulesFor(t *testing.T) {
	const entries = "domains: {entry.example: {dmarc: {criteria: hes}}}\n"
	cases := []struct {
		name, text string
		domain     string // "" for an address without a domain
		entry      bool   // the entry's rules, else the default's
		ours       bool
	}{
		{"nothing managed", entries, "any.example", false, true},
		{"nothing managed, entry", entries, "entry.example", true, true},
		{"nothing managed, below an entry", entries, "a.entry.example", false, true},
		{"nothing managed, no domain", entries, "", false, true},
		{"managed", "managed: [ours.example]\n" + entries, "ours.example", false, true},
		{"managed, another", "managed: [ours.example]\n" + entries, "other.example", false, false},
		{"managed, below", "managed: [ours.example]\n" + entries, "a.ours.example", false, false},
		{"managed, entry", "managed: [ours.example]\n" + entries, "entry.example", true, true},
		{"managed, no domain", "managed: [ours.example]\n" + entries, "", false, false},
		{"wildcard, below", "managed: ['*.ours.example']\n" + entries, "a.b.ours.example", false, true},
		{"wildcard, itself", "managed: ['*.ours.example']\n" + entries, "ours.example", false, false},
		{"all", "managed: ['*']\n" + entries, "any.example", false, true},
		{"U-label", "managed: [bücher.example]\n", "xn--bcher-kva.example", false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := mustPolicy(t, c.text)
			var n dns.Name
			if c.domain != "" {
				n = dns.MustParse(c.domain)
			}
			rules, ours := p.RulesFor(n)
			if ours != c.ours || (rules.DMARC.Criteria == policy.CriteriaHES) != c.entry {
				t.Errorf("RulesFor(%q) = criteria %s, ours %v", c.domain, rules.DMARC.Criteria, ours)
			}
		})
	}
}

func TestDistinct(t *testing.T) {
	const strict = "{dmarc: {actions: {none: quarantine}}}"
	cases := []struct {
		name, text string
		want       bool
	}{
		{"no entries", "", false},
		{"no entries, managed", "managed: [a.example, b.example]", false},
		{"an entry like the default", "domains: {a.example: {dmarc: {criteria: rfc}}}", false},
		{"an entry unlike the default", "domains: {a.example: " + strict + "}", true},
		{"only entries, alike", "managed: [a.example]\ndomains: {a.example: " + strict + ", b.example: " + strict + "}", false},
		{"only entries, unlike", "managed: [a.example]\ndomains: {a.example: " + strict + ", b.example: {}}", true},
		{"one without an entry", "managed: [a.example, c.example]\ndomains: {a.example: " + strict + "}", true},
		{"a wildcard", "managed: ['*.example']\ndomains: {a.example: " + strict + "}", true},
		{"modes", "domains: {a.example: {mode: monitor}}", true},
		{"the same mode", "mode: monitor\ndomains: {a.example: {mode: monitor}}", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := mustPolicy(t, c.text).Distinct(); got != c.want {
				t.Errorf("Distinct = %v, want %v", got, c.want)
			}
		})
	}
}

// TestEntriesReplaceTheDefault is the rule of product.md 3: an entry takes nothing
// of `default`, unless it inherits.
func TestEntriesReplaceTheDefault(t *testing.T) {
	p := mustPolicy(t, `
mode: monitor
default:
  dmarc: {criteria: hes, exceptions: [192.0.2.1], actions: {none: quarantine, reject: quarantine}}
  quarantine: {method: header}
domains:
  replaces.example: {dmarc: {daily_reports: false}}
  nothing.example:
  inherits.example: {dmarc: {actions: {none: reject}, exceptions: []}, inherit: default, mode: enforce}
`)
	rules := func(name string) *policy.Rules { return p.Domains[dns.MustParse(name)] }
	builtin := defaultRules(policy.Monitor)

	r := rules("replaces.example")
	if r.DMARC.Criteria != policy.CriteriaRFC || !r.DMARC.Exceptions.Empty() || r.DMARC.Actions != builtin.DMARC.Actions ||
		r.Quarantine != builtin.Quarantine || r.DMARC.DailyReports || r.Mode != policy.Monitor {
		t.Errorf("replaces.example: %+v", r)
	}
	if r := rules("nothing.example"); r.DMARC.Criteria != policy.CriteriaRFC || r.Mode != policy.Monitor {
		t.Errorf("nothing.example: %+v", r)
	}
	r = rules("inherits.example")
	want := policy.Slots{None: policy.Reject, Quarantine: policy.Quarantine, Reject: policy.Quarantine, NoRecord: policy.Bypass, Temperror: policy.TemperrorByPolicy}
	if r.DMARC.Criteria != policy.CriteriaHES || !r.DMARC.Exceptions.Empty() || r.DMARC.Actions != want ||
		r.Quarantine.Method != policy.QuarantineHeader || r.Mode != policy.Enforce {
		t.Errorf("inherits.example: %+v", r)
	}
	if p.Default.DMARC.Exceptions.Empty() || p.Default.DMARC.Actions.None != policy.Quarantine {
		t.Error("an entry that inherits changed the default")
	}
}

func TestEqualRulesShareAPointer(t *testing.T) {
	p := mustPolicy(t, `
default: {dmarc: {senders: [a.example, b.example], exceptions: [192.0.2.0/24]}}
domains:
  one.example: {dmarc: {senders: [b.example, A.example., a.example], exceptions: [192.0.2.9/24]}}
  two.example: {dmarc: {senders: [a.example]}}
  three.example: &three {dmarc: {senders: [a.example, a.example]}}
  four.example: *three
  five.example: {dmarc: {enforced_peers: [{domain: x.example, require: either}]}}
  six.example: {dmarc: {enforced_peers: [x.example]}}
`)
	rules := func(name string) *policy.Rules { return p.Domains[dns.MustParse(name)] }
	if rules("one.example") != p.Default {
		t.Error("one.example wants the same as the default")
	}
	if rules("two.example") != rules("three.example") || rules("three.example") != rules("four.example") {
		t.Error("two, three and four want the same")
	}
	if rules("two.example") == p.Default || rules("five.example") == rules("six.example") {
		t.Error("different wishes share a pointer")
	}
}

func TestPlaces(t *testing.T) {
	p := mustPolicy(t, "mode: enforce\ndomains:\n  a.example: {}\n  # comment\n  b.example:\n    mode: enforce\ndefault:\n  dmarc: {}\n")
	for name, want := range map[string]int{"a.example": 3, "b.example": 5, "c.example": 7} {
		if got := p.PlaceOf(dns.MustParse(name)); got.Line != want || got.File != "policy.yaml" {
			t.Errorf("PlaceOf(%s) = %+v, want line %d", name, got, want)
		}
	}
	if got := mustPolicy(t, "").PlaceOf(dns.MustParse("a.example")); got != (Place{}) {
		t.Errorf("the built-in rules stand at %+v", got)
	}
}

func TestTestEntries(t *testing.T) {
	p := mustPolicy(t, `tests:
  - {rcpt: a@b.example, from: c@d.example, policy: none, expect: bypass}
  - {rcpt: a@b.example, from: c@d.example, mailfrom: e.example, policy: none, expect: bypass}
  - {rcpt: a@b.example, from: c@d.example, mailfrom: "<>", policy: none, expect: bypass}
`)
	for i, want := range []string{"c@d.example", "@e.example", ""} {
		if got := p.Tests[i].MailFrom.String(); got != want {
			t.Errorf("test %d: mailfrom %q, want %q", i, got, want)
		}
	}
	if p.Tests[1].MailFrom.Domain != dns.MustParse("e.example") || p.Tests[0].SPF.Result != "none" || p.Tests[0].DKIM.Result != "none" {
		t.Errorf("%+v", p.Tests)
	}
}

// entries is a policy of n domain entries, most of them different.
func entries(n int) string {
	var b strings.Builder
	b.WriteString("default: {dmarc: {exceptions: [192.0.2.1]}}\ndomains:\n")
	for i := range n {
		fmt.Fprintf(&b, `  customer%d.example:
    dmarc:
      criteria: rfc
      senders: all
      exceptions: [198.51.100.%d, 10.%d.0.0/16]
      enforced_peers: [bank%d.example, "*.bank%d.example"]
      actions: {none: bypass, quarantine: quarantine, reject: reject, no_record: quarantine}
    quarantine: {method: hold}
`, i, i%256, i%200, i, i)
	}
	return b.String()
}

// cpuTime is what the process has used of the processors, which on a busy machine
// says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkParsePolicy(b *testing.B) {
	for _, n := range []int{0, 1000, 10_000} {
		data := []byte(entries(n))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, _, err := ParsePolicy("policy.yaml", "", data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-before)/1e6/float64(b.N), "cpu-ms/op")
		})
	}
}

func BenchmarkRulesFor(b *testing.B) {
	p := mustPolicy(b, "managed: ['*.example']\n"+entries(10_000))
	known, other := dns.MustParse("customer77.example"), dns.MustParse("mail.other.example")
	b.ReportAllocs()
	for b.Loop() {
		p.RulesFor(known)
		p.RulesFor(other)
	}
}

// TestEnded reads entries that end in every form, shows them, and warns of those that
// are over.
func TestEnded(t *testing.T) {
	p, _, err := ReadPolicy(filepath.Join("testdata", "policy", "ends.good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := List(ListExceptions, p.Default), []string{
		"192.0.2.1 until 2027-01-31", "192.0.2.77 until 2026-12-31", "192.0.2.78", "198.51.100.0/24", "203.0.113.9 until 2027-02-28",
	}; !slices.Equal(got, want) {
		t.Errorf("exceptions %q, want %q", got, want)
	}
	if got, want := List(ListPeers, p.Default), []string{
		"bank.example until 2027-01-31", "*.bank.example either until 2027-01-31", "pay.example either until 2027-01-31",
	}; !slices.Equal(got, want) {
		t.Errorf("peers %q, want %q", got, want)
	}
	var shown bytes.Buffer
	if err := p.Show(&shown); err != nil {
		t.Fatal(err)
	}
	again, _, err := ParsePolicy("shown", "", shown.Bytes())
	if err != nil || !reflect.DeepEqual(p.Default, again.Default) {
		t.Errorf("shown and read again: %v\n%s", err, shown.String())
	}

	for day, want := range map[string]int{"2026-12-31": 0, "2027-01-01": 1, "2027-02-01": 9, "2027-03-01": 10} {
		at, err := policy.ParseDay(day)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Ended(at.Begin()); len(got) != want {
			t.Errorf("%s: %d entries are over, want %d: %v", day, len(got), want, got)
		}
	}
	at, _ := policy.ParseDay("2027-01-01")
	ended := p.Ended(at.Begin())[0]
	if file := filepath.Base(ended.File); file != "ends.txt" || ended.Line != 1 || !strings.Contains(ended.Problem, "192.0.2.77 ended on 2026-12-31") {
		t.Errorf("the entry of a list that is over: %v", ended)
	}
}
