package settings

import (
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

// TestTrials tries one test each under settings of its own. The numbers are the rows of
// the criteria table in the contract, as far as a test entry can express them.
func TestTrials(t *testing.T) {
	const (
		rfc  = "{criteria: rfc}"
		hes  = "{criteria: hes}"
		peer = "{enforced_peers: [example.com], enforced_peer_action: reject}"
	)
	rows := []struct {
		name, entry    string // spf, dkim and what else the message has
		rfc, hes, peer string // peer "" where the table says nothing
	}{
		{"1", "spf: pass", "bypass", "bypass", "reject"},
		{"2", "spf: pass, dkim: fail", "bypass", "reject", "reject"},
		{"3", "spf: fail, dkim: pass", "bypass", "reject", "reject"},
		{"4", "spf: softfail", "reject", "bypass", "reject"},
		{"5 none", "spf: none", "reject", "bypass", "reject"},
		{"5 neutral", "spf: neutral", "reject", "bypass", "reject"},
		{"6", "spf: fail", "reject", "reject", "reject"},
		{"7", "spf: {result: pass, d: other.example}, dkim: pass", "bypass", "bypass", "bypass"},
		{"8", "spf: {result: pass, d: other.example}", "reject", "reject", "reject"},
		{"9", "spf: permerror", "reject", "bypass", "reject"},
		{"9t", "spf: temperror", "defer", "bypass", "defer"},
		{"10", "spf: pass, dkim: pass", "bypass", "bypass", "bypass"},
		{"11", "spf: softfail, dkim: pass", "bypass", "bypass", "reject"},
		{"unaligned signature", "spf: pass, dkim: {result: pass, d: other.example}", "bypass", "bypass", "bypass"},
		{"key temperror", "spf: fail, dkim: temperror", "defer", "reject", ""},
		{"unaligned key temperror", "spf: fail, dkim: {result: temperror, d: other.example}", "reject", "reject", ""},
		{"mail from of another domain", "mailfrom: b@other.example, spf: pass", "reject", "reject", "reject"},
		{"mail from below", "mailfrom: b.example.com, spf: pass", "bypass", "bypass", "reject"},
		{"null sender", "mailfrom: '<>', helo: mx.example.com, spf: pass", "bypass", "bypass", "reject"},
		{"null sender, literal", "mailfrom: '<>', helo: '[192.0.2.1]', spf: pass", "reject", "reject", "reject"},
	}
	try := func(t *testing.T, rules, entry, expect string) {
		t.Helper()
		text := fmt.Sprintf("default: {dmarc: %s}\ntests:\n  - {rcpt: u@ours.example, from: a@example.com, %s, policy: reject, expect: %s}\n", rules, entry, expect)
		if _, _, err := ParsePolicy("policy.yaml", "", []byte(text)); err != nil {
			t.Error(err)
		}
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			try(t, rfc, r.entry, r.rfc)
			try(t, hes, r.entry, r.hes)
			if r.peer != "" {
				try(t, peer, r.entry, r.peer)
			}
		})
	}
}

func TestTrialSlots(t *testing.T) {
	const text = `
default:
  dmarc:
    actions: {none: quarantine, quarantine: bypass, reject: reject, no_record: quarantine, temperror: defer}
    no_record_when: unauthenticated
    trusted_forwarders: [{dkim: lists.example}, {ip: 198.51.100.0/24}]
  sender_ip_match: [{domain: guarded.example, networks: [192.0.2.0/24], action: discard}]
  spf: {enabled: true, actions: {fail: bypass, permerror: quarantine}}
  dkim: {enabled: true, actions: {fail: bypass}}
tests:
  - {rcpt: u@ours.example, from: a@b.example, policy: none, expect: quarantine}
  - {rcpt: u@ours.example, from: a@b.example, policy: quarantine, expect: bypass}
  - {rcpt: u@ours.example, from: a@b.example, policy: reject, expect: reject}
  - {rcpt: u@ours.example, from: a@b.example, policy: no_record, expect: quarantine}
  - {rcpt: u@ours.example, from: a@b.example, spf: pass, policy: no_record, expect: bypass}
  - {rcpt: u@ours.example, from: a@b.example, spf: temperror, policy: none, expect: defer}
  - {rcpt: u@ours.example, from: a@b.example, dkim: {result: pass, d: lists.example}, policy: reject, expect: bypass}
  - {rcpt: u@ours.example, from: a@b.example, ip: 198.51.100.7, policy: reject, expect: bypass}
  - {rcpt: u@ours.example, from: a@guarded.example, ip: 198.51.100.7, policy: reject, expect: discard}
  - {rcpt: u@ours.example, from: a@guarded.example, ip: 192.0.2.7, policy: reject, expect: bypass}
  - {rcpt: u@ours.example, from: a@guarded.example, policy: reject, expect: reject}
  - {rcpt: u@ours.example, from: a@b.example, spf: permerror, dkim: pass, policy: reject, expect: quarantine}
`
	p, _, err := ParsePolicy("policy.yaml", "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(p.Try()); got != 12 {
		t.Errorf("%d tests were tried", got)
	}
}

func TestAlignmentWithoutDNS(t *testing.T) {
	cases := []struct {
		a, b string
		want dmarc.Alignment
	}{
		{"example.com", "example.com", dmarc.Aligned},
		{"a.example.com", "b.example.com", dmarc.Aligned},
		{"a.example.co.uk", "example.co.uk", dmarc.Aligned},
		{"example.co.uk", "other.co.uk", dmarc.Unaligned},
		{"co.uk", "example.co.uk", dmarc.Unaligned},
		{"example.com", "notexample.com", dmarc.Unaligned},
		{"one.github.io", "two.github.io", dmarc.Unaligned},
		{"one.github.io", "github.io", dmarc.Aligned},
		{"corp", "mail.corp", dmarc.Aligned},
		{"", "example.com", dmarc.Unaligned},
	}
	for _, c := range cases {
		var a dns.Name
		if c.a != "" {
			a = dns.MustParse(c.a)
		}
		b := dns.MustParse(c.b)
		if got := alignment(a, b); got != c.want {
			t.Errorf("%s and %s are %s, want %s", c.a, c.b, got, c.want)
		}
		if !a.IsZero() && alignment(b, a) != c.want {
			t.Errorf("%s and %s are %s, but not the other way round", c.a, c.b, c.want)
		}
	}
}

// TestReadSkipsTests: a policy whose tests fail is refused, but can be
// looked at.
func TestReadSkipsTests(t *testing.T) {
	const path = "testdata/policy/failing-tests.bad.yaml"
	if p, _, err := LoadPolicy(path); p != nil || err == nil || !strings.Contains(err.Error(), "too hopeful") {
		t.Errorf("LoadPolicy: %v", err)
	}
	p, _, err := ReadPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, trial := range p.Try() {
		if !trial.Passed() {
			failed++
		}
	}
	if failed != 6 {
		t.Errorf("%d tests fail, want 6", failed)
	}
}
