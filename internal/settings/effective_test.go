package settings

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/yamldoc"
)

func trace(t *testing.T, domain string) *EffectiveRules {
	t.Helper()
	p, _, err := ReadPolicy(filepath.Join("testdata", "trace", "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return p.EffectiveRules(dns.MustParse(domain))
}

func TestOrigins(t *testing.T) {
	cases := []struct {
		domain string
		want   map[string]string
	}{
		{"other.example", map[string]string{
			"mode": "policy.yaml:1", "dmarc.criteria": "policy.yaml:5", "dmarc.exceptions": "policy.yaml:6", "dmarc.actions.none": "policy.yaml:13",
			"dmarc.actions.reject": "default", "sender_ip_match": "policy.yaml:14", "spf.ignored_peers": "policy.yaml:18", "spf.x_header": "default",
			"quarantine.method": "default", "dmarc.trusted_forwarders": "policy.yaml:11", "defer_limit": "default",
		}},
		{"example.org", map[string]string{"mode": "policy.yaml:1", "dmarc.criteria": "default", "dmarc.exceptions": "default", "spf.enabled": "default"}},
		{"example.net", map[string]string{
			"mode": "policy.yaml:25", "dmarc.criteria": "policy.yaml:5, inherited from default", "dmarc.exceptions": "policy.yaml:28",
			"dmarc.actions.none": "policy.yaml:13, inherited from default", "dmarc.actions.reject": "policy.yaml:29", "dmarc.actions.quarantine": "default",
			"dmarc.enforced_peers": "policy.yaml:27", "dmarc.senders": "policy.yaml:10, inherited from default",
		}},
		{"example.edu", map[string]string{"dmarc.senders": "policy.yaml:31", "dmarc.tag_subject": "policy.yaml:31", "dmarc.criteria": "default"}},
		{"example.gov", map[string]string{"dmarc.senders": "policy.yaml:31", "dmarc.criteria": "default"}},
	}
	for _, c := range cases {
		tr := trace(t, c.domain)
		for key, want := range c.want {
			if got := tr.Origin(key).String(); got != want {
				t.Errorf("%s: %s comes from %q, want %q", c.domain, key, got, want)
			}
		}
	}
}

func TestTraceOfNoFile(t *testing.T) {
	tr := Default(testHost).Policy.EffectiveRules(dns.MustParse("example.org"))
	if !tr.Ours || tr.At != (Place{}) || tr.Origin("mode").String() != "default" || tr.Rules.Mode != "enforce" {
		t.Errorf("%+v", tr)
	}
	if tr := trace(t, "foreign.example"); tr.Ours {
		t.Error("foreign.example is ours")
	}
}

// TestTracedShow: what is shown with origins is the same YAML, and its entries of
// list files have their own places.
func TestTracedShow(t *testing.T) {
	for _, domain := range []string{"other.example", "example.org", "example.net", "example.edu"} {
		tr := trace(t, domain)
		var plain, traced bytes.Buffer
		if err := ShowRules(&plain, tr.Rules); err != nil {
			t.Fatal(err)
		}
		if err := tr.Show(&traced); err != nil {
			t.Fatal(err)
		}
		a, fault := yamldoc.Parse(plain.Bytes(), maxValues)
		if fault != nil {
			t.Fatal(fault)
		}
		b, fault := yamldoc.Parse(traced.Bytes(), maxValues)
		if fault != nil {
			t.Fatalf("%v\n%s", fault, &traced)
		}
		if !sameNodes(a, b) {
			t.Errorf("%s: with origins it reads otherwise:\n%s", domain, &traced)
		}
		for line := range strings.Lines(traced.String()) {
			key := strings.TrimSpace(line)
			if !strings.HasSuffix(key, ":") && !strings.HasPrefix(key, "- ") && !strings.Contains(line, " # ") {
				t.Errorf("%s: no origin in %q", domain, line)
			}
		}
	}
	var b bytes.Buffer
	if err := trace(t, "other.example").Show(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"mode: monitor # policy.yaml:1\n",
		"  criteria: hes # policy.yaml:5\n",
		"  exceptions: # policy.yaml:6\n    - 192.0.2.0/24 # exceptions.txt:2\n    - 198.51.100.7 # policy.yaml:8\n    - 2001:db8::/32 # exceptions.txt:4\n",
		"  senders: # policy.yaml:10\n    - '*.partner.example' # senders.txt:1\n    - partner.example # senders.txt:2\n",
		"    none: quarantine # policy.yaml:13\n",
		"    reject: reject # default\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &b)
		}
	}
}

func TestTracedSettings(t *testing.T) {
	got := map[string]Setting{}
	for _, s := range trace(t, "example.net").Settings() {
		got[s.Key] = s
	}
	for key, want := range map[string]string{
		"mode": "enforce", "dmarc.actions.reject": "bypass", "dmarc.enforced_peers": "[special.example]", "dmarc.exceptions": "[]",
		"dmarc.trusted_forwarders": "[{dkim: lists.example}, {ip: 203.0.113.0/24}]", "quarantine.address": "",
	} {
		if got[key].Value != want {
			t.Errorf("%s is %q, want %q", key, got[key].Value, want)
		}
	}
	leaves := 0
	for _, k := range policySchema().keys {
		if strings.HasPrefix(k, "default.") && !strings.Contains(k, "[]") {
			leaves++
		}
	}
	if len(got) < 40 || len(got) > leaves+1 {
		t.Errorf("%d settings of at most %d", len(got), leaves+1)
	}
}

func TestRuleMatches(t *testing.T) {
	type ruleMatch struct{ key, entry, origin, means string } // means: a part of it
	cases := []struct {
		name, domain, from, ip string
		want                   []ruleMatch
	}{
		{"an enforced peer by two entries", "other.example", "shop.bank.example", "203.0.113.1", []ruleMatch{
			{"sender_ip_match", "", "policy.yaml:14", "no entry"},
			{"spf.ignored_peers", "", "policy.yaml:18", "no entry for shop.bank.example or 203.0.113.1"},
			{"dkim.enforced_peers", "", "policy.yaml:19", "no entry"},
			{"dmarc.exceptions", "", "policy.yaml:6", "no entry for 203.0.113.1"},
			{"dmarc.enforced_peers", "*.bank.example", "policy.yaml:9", "both pass"},
		}},
		{"either", "other.example", "any.example", "", []ruleMatch{
			{"sender_ip_match", "", "policy.yaml:14", "no entry"},
			{"spf.ignored_peers", "", "policy.yaml:18", "no entry for any.example"},
			{"dkim.enforced_peers", "", "policy.yaml:19", "no entry"},
			{"dmarc.exceptions", "", "policy.yaml:6", "--ip"},
			{"dmarc.enforced_peers", "{domain: *, require: either}", "policy.yaml:9", "SPF or DKIM must pass and align"},
		}},
		{"an exception of a list file", "other.example", "signs.example", "192.0.2.77", []ruleMatch{
			{"sender_ip_match", "", "policy.yaml:14", "no entry"},
			{"spf.ignored_peers", "", "policy.yaml:18", "no entry"},
			{"dkim.enforced_peers", "signs.example", "policy.yaml:19", "must verify"},
			{"dmarc.exceptions", "192.0.2.0/24", "exceptions.txt:2", "does not run"},
		}},
		{"sender IP match", "example.net", "a.guarded.example", "198.51.100.9", []ruleMatch{
			{"sender_ip_match", "{domain: *.guarded.example, networks: [file:exceptions.txt], action: reject}", "policy.yaml:15, inherited from default", "not in its networks: reject"},
			{"sender_ip_match", "{domain: a.guarded.example, networks: [198.51.100.0/24]}", "policy.yaml:16, inherited from default", "may send"},
			{"spf.ignored_peers", "", "policy.yaml:18, inherited from default", "no entry"},
			{"dkim.enforced_peers", "", "policy.yaml:19, inherited from default", "no entry"},
			{"dmarc.enforced_peers", "", "policy.yaml:27", "no entry"},
			{"dmarc.senders", "", "policy.yaml:10, inherited from default", "no entry for a.guarded.example: DMARC does not run"},
		}},
		{"a listed sender by a trusted forwarder", "example.net", "x.partner.example", "203.0.113.9", []ruleMatch{
			{"sender_ip_match", "", "policy.yaml:14, inherited from default", "no entry"},
			{"spf.ignored_peers", "", "policy.yaml:18, inherited from default", "no entry"},
			{"dkim.enforced_peers", "", "policy.yaml:19, inherited from default", "no entry"},
			{"dmarc.enforced_peers", "", "policy.yaml:27", "no entry"},
			{"dmarc.senders", "*.partner.example", "senders.txt:1, inherited from default", "checked"},
			{"dmarc.trusted_forwarders", "{ip: 203.0.113.0/24}", "policy.yaml:11, inherited from default", "let through"},
		}},
		{"all by default", "example.org", "any.example", "", []ruleMatch{{"dmarc.senders", "all", "default", "checked"}}},
		{"no senders", "example.edu", "any.example", "", []ruleMatch{{"dmarc.senders", "", "policy.yaml:31", "empty"}}},
		{"off", "example.int", "any.example", "", []ruleMatch{{"dmarc.enabled", "", "policy.yaml:33", "off"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := Sender{From: dns.MustParse(c.from)}
			if c.ip != "" {
				s.IP = netip.MustParseAddr(c.ip)
			}
			got := trace(t, c.domain).RuleMatches(s)
			for i, f := range got {
				if i >= len(c.want) {
					t.Errorf("unexpected: %+v", f)
					continue
				}
				w := c.want[i]
				if f.Key != w.key || f.Entry != w.entry || f.Origin.String() != w.origin || !strings.Contains(f.Means, w.means) {
					t.Errorf("got  %q %q %q %q\nwant %q", f.Key, f.Entry, f.Origin, f.Means, w)
				}
			}
			for _, w := range c.want[min(len(got), len(c.want)):] {
				t.Errorf("missing: %q", w)
			}
		})
	}
}

func TestPredict(t *testing.T) {
	meet := func(domain, from, ip string) map[string]string {
		s := Sender{From: dns.MustParse(from)}
		if ip != "" {
			s.IP = netip.MustParseAddr(ip)
		}
		out := map[string]string{}
		for _, m := range trace(t, domain).Predict(s) {
			out[string(m.Published)+" "+m.Result] = string(m.Decision.Would) + " " + m.Decision.Rule + " " + m.Origin.String()
		}
		return out
	}
	cases := []struct {
		domain, from, ip string
		want             map[string]string
	}{
		{"example.org", "any.example", "", map[string]string{
			"none pass": "bypass  default", "none fail": "bypass dmarc.actions.none default", "none temperror": "bypass dmarc.actions.temperror default",
			"quarantine pass": "bypass  default", "quarantine fail": "quarantine dmarc.actions.quarantine default", "quarantine temperror": "defer dmarc.actions.temperror default",
			"reject pass": "bypass  default", "reject fail": "reject dmarc.actions.reject default", "reject temperror": "defer dmarc.actions.temperror default",
			"no_record pass": "bypass dmarc.actions.no_record default", "no_record fail": "bypass dmarc.actions.no_record default", "no_record temperror": "bypass dmarc.actions.no_record default",
		}},
	}
	for _, c := range cases {
		if got := meet(c.domain, c.from, c.ip); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.domain, got, c.want)
		}
	}
	some := meet("example.net", "special.example", "")
	for key, want := range map[string]string{
		"none pass":      "bypass  default",
		"none temperror": "defer dmarc.enforced_peers policy.yaml:27",
	} {
		if some[key] != want {
			t.Errorf("example.net, %s: %q, want %q", key, some[key], want)
		}
	}
	if got, want := meet("example.net", "partner.example", "")["reject fail"], "reject spf.actions.fail default"; got != want {
		t.Errorf("standalone SPF first: %q, want %q", got, want)
	}
	if got, want := meet("example.net", "ignored.example", "192.0.2.1")["reject fail"], "bypass dmarc.senders policy.yaml:10, inherited from default"; got != want {
		t.Errorf("not listed: %q, want %q", got, want)
	}
}
