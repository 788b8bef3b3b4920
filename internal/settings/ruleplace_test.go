package settings

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/dns"
)

// TestRulePlace holds the places noted at load to those that a trace finds.
func TestRulePlace(t *testing.T) {
	path := filepath.Join("testdata", "trace", "policy.yaml")
	p, _, err := ReadPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	compared, found := 0, 0
	for _, domain := range []string{"other.example", "example.org", "example.net", "example.edu", "example.gov"} {
		tr := trace(t, domain)
		for _, key := range append(topRules, entrySchema(nil).keys...) {
			if strings.Contains(key, "[]") || key == "inherit" {
				continue
			}
			got, want := p.RulePlace(dns.MustParse(domain), key), tr.Origin(key).At
			if got != want {
				t.Errorf("%s: %s stands at %q, want %q", domain, key, got, want)
			}
			compared++
			if got != (Place{}) {
				found++
			}
		}
	}
	if compared < 200 || found < 40 {
		t.Errorf("%d places compared, %d of them in the file", compared, found)
	}
}

func TestRulePlaceOf(t *testing.T) {
	p, _, err := ParsePolicy("policy.yaml", "", []byte(`mixed_recipients: strictest
default: &all
  dmarc:
    actions: {reject: quarantine,
      none: quarantine}
    exceptions:
      - 192.0.2.0/24
domains:
  own.example:
    sender_ip_match:
      - {domain: bank.example, networks: [192.0.2.0/24], action: reject}
    dmarc: {trusted_forwarders: [{dkim: lists.example}]}
  heir.example:
    inherit: default
    spf: {enabled: true}
  empty.example:
  alias.example: *all
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		domain, rule string
		line         int // 0: built in
	}{
		{"", "dmarc.actions.reject", 4},
		{"any.example", "dmarc.actions.none", 5},
		{"any.example", "dmarc.exceptions", 6},
		{"any.example", "spf.actions.fail", 0},
		{"any.example", "mixed_recipients", 1},
		{"any.example", "defer_limit", 0},
		{"own.example", "mixed_recipients", 1},
		{"own.example", "sender_ip_match", 10},
		{"own.example", "dmarc.trusted_forwarders", 12},
		{"own.example", "dmarc.actions.reject", 0},
		{"heir.example", "dmarc.actions.reject", 4},
		{"heir.example", "spf.enabled", 15},
		{"heir.example", "spf.actions.fail", 0},
		{"empty.example", "dmarc.actions.reject", 0},
		{"alias.example", "dmarc.actions.reject", 4},
		{"heir.example", "no.such.rule", 13},
		{"any.example", "no.such.rule", 2},
	} {
		domain, _ := dns.Parse(c.domain)
		want := Place{}
		if c.line > 0 {
			want = Place{File: "policy.yaml", Line: c.line}
		}
		if got := p.RulePlace(domain, c.rule); got != want {
			t.Errorf("%s of %q stands at %q, want %q", c.rule, c.domain, got, want)
		}
	}
	if got := Default("host.example").Policy.RulePlace(dns.MustParse("any.example"), "dmarc.actions.reject"); got != (Place{}) {
		t.Errorf("without a file: %q", got)
	}
}

func BenchmarkRulePlace(b *testing.B) {
	var text strings.Builder
	text.WriteString("domains:\n")
	for i := range 10000 {
		fmt.Fprintf(&text, "  d%d.example:\n    dmarc:\n      criteria: hes\n      actions: {none: quarantine, quarantine: quarantine, reject: reject}\n      exceptions: [192.0.2.%d]\n    spf: {enabled: true}\n", i, i%250)
	}
	p, _, err := ParsePolicy("policy.yaml", "", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	domain := dns.MustParse("d7777.example")
	b.ReportAllocs()
	for b.Loop() {
		if p.RulePlace(domain, "dmarc.actions.reject").Line == 0 {
			b.Fatal("not found")
		}
	}
}
