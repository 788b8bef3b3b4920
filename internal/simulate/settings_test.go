package simulate

import (
	"fmt"
	"slices"
	"testing"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// settingCase is one key that is changed in the policy, and what a message makes of it.
type settingCase struct {
	old, next string // lines below `default`, or whole files that begin with "!"
	mail      mail
	want      string // "" where a replay does not show it
	rule      string // "" for the key itself
}

// entry is a policy file with lines below `default`.
func entry(text string) string {
	if text != "" && text[0] == '!' {
		return text[1:]
	}
	return fmt.Sprintf("default: {%s}\n", text)
}

// settingCases has every key of the policy file.
func settingCases() map[string]settingCase {
	fails := mail{published: dmarc.PolicyReject, spf: spf.Softfail, aligned: true}
	unsigned := mail{spf: spf.Pass, aligned: true, published: dmarc.PolicyReject}
	null := fails
	null.null = true
	to2 := fails
	to2.to = []string{"example.org", "example.net"}
	slot := func(name string, p dmarc.Policy) settingCase {
		return settingCase{
			old: "dmarc: {actions: {" + name + ": bypass}}", next: "dmarc: {actions: {" + name + ": reject}}",
			mail: mail{published: p}, want: "bypass → reject",
		}
	}
	spfAction := func(name string, s spf.Status, action string) settingCase {
		return settingCase{
			old: "spf: {enabled: true, actions: {" + name + ": bypass}}", next: "spf: {enabled: true, actions: {" + name + ": " + action + "}}",
			mail: mail{spf: s}, want: "bypass → " + action,
		}
	}
	dkimAction := func(name string, s dkim.Status, action string) settingCase {
		return settingCase{
			old: "dkim: {enabled: true, actions: {" + name + ": bypass}}", next: "dkim: {enabled: true, actions: {" + name + ": " + action + "}}",
			mail: mail{dkim: s}, want: "bypass → " + action,
		}
	}
	unseen := func(next string) settingCase { return settingCase{next: next, mail: fails} }
	const mixed = "default: {dmarc: {actions: {reject: bypass}}}\ndomains: {example.org: {}}\n"
	return map[string]settingCase{
		"mode":             {next: "!mode: monitor\n", mail: fails, want: "reject → bypass (monitor: reject)"},
		"managed":          {next: "!managed: [example.com]\n", mail: fails, want: "reject → bypass"},
		"mixed_recipients": {old: "!" + mixed, next: "!mixed_recipients: strictest\n" + mixed, mail: to2, want: "defer → reject", rule: "dmarc.actions.reject"},
		"defer_limit":      unseen("!defer_limit: 1h\n"),
		"default":          {next: "dmarc: {actions: {reject: quarantine}}", mail: fails, want: "reject → quarantine (hold)", rule: "dmarc.actions.reject"},
		"domains":          {next: "!domains: {example.org: {dmarc: {enabled: false}}}\n", mail: fails, want: "reject → bypass", rule: "dmarc.enabled"},
		"tests":            unseen("!tests: [{rcpt: a@example.org, from: b@bank.example, spf: pass, dkim: none, policy: reject, expect: bypass}]\n"),

		"dmarc.enabled":                {next: "dmarc: {enabled: false}", mail: fails, want: "reject → bypass"},
		"dmarc.criteria":               {next: "dmarc: {criteria: hes}", mail: fails, want: "reject → bypass", rule: "-"},
		"dmarc.senders":                {next: "dmarc: {senders: [partner.example]}", mail: fails, want: "reject → bypass"},
		"dmarc.exceptions":             {next: "dmarc: {exceptions: [203.0.113.0/24]}", mail: fails, want: "reject → bypass"},
		"dmarc.enforced_peers":         {next: "dmarc: {enforced_peers: [bank.example]}", mail: unsigned, want: "bypass → reject", rule: "dmarc.actions.reject"},
		"dmarc.enforced_peer_action":   {old: "dmarc: {enforced_peers: [bank.example]}", next: "dmarc: {enforced_peers: [bank.example], enforced_peer_action: reject}", mail: mail{published: dmarc.PolicyNone}, want: "quarantine (hold) → reject"},
		"dmarc.skip_null_sender":       {next: "dmarc: {skip_null_sender: true}", mail: null, want: "reject → bypass"},
		"dmarc.x_header":               unseen("dmarc: {x_header: false}"),
		"dmarc.authentication_results": unseen("dmarc: {authentication_results: false}"),
		"dmarc.daily_reports":          unseen("dmarc: {daily_reports: false}"),
		"dmarc.actions.none":           slot("none", dmarc.PolicyNone),
		"dmarc.actions.quarantine":     slot("quarantine", dmarc.PolicyQuarantine),
		"dmarc.actions.reject":         slot("reject", dmarc.PolicyReject),
		"dmarc.actions.no_record":      slot("no_record", ""),
		"dmarc.actions.temperror": {
			old: "dmarc: {actions: {temperror: bypass}}", next: "dmarc: {actions: {temperror: defer}}", mail: mail{published: dmarc.PolicyReject, spf: spf.TempError, aligned: true}, want: "bypass → defer",
		},
		"dmarc.no_record_when": {
			old: "dmarc: {actions: {no_record: reject}}", next: "dmarc: {actions: {no_record: reject}, no_record_when: unauthenticated}",
			mail: mail{spf: spf.Pass, aligned: true}, want: "reject → bypass",
		},
		"dmarc.multiple_from": {next: "dmarc: {multiple_from: bypass}", mail: mail{from: "-"}, want: "reject → bypass"},
		"dmarc.arc.enabled": {
			old: "dmarc: {arc: {enabled: false, trusted_sealers: [sealer.example]}}", next: "dmarc: {arc: {enabled: true, trusted_sealers: [sealer.example]}}",
			mail: mail{published: dmarc.PolicyReject, arc: "sealer.example"}, want: "reject → bypass", rule: "dmarc.arc.trusted_sealers",
		},
		"dmarc.arc.trusted_sealers": {
			old: "dmarc: {arc: {enabled: true}}", next: "dmarc: {arc: {enabled: true, trusted_sealers: [sealer.example]}}",
			mail: mail{published: dmarc.PolicyReject, arc: "sealer.example"}, want: "reject → bypass",
		},
		"dmarc.trusted_forwarders": {next: "dmarc: {trusted_forwarders: [{ip: 203.0.113.0/24}]}", mail: fails, want: "reject → bypass"},
		"dmarc.reject_text":        unseen("dmarc: {reject_text: no}"),
		"dmarc.tag_subject":        unseen("dmarc: {tag_subject: SPAM}"),
		"dmarc.tag_signed":         unseen("dmarc: {tag_signed: true}"),
		"dmarc.notify":             unseen("dmarc: {notify: [a@example.org]}"),

		"sender_ip_match": {next: "sender_ip_match: [{domain: bank.example, networks: [192.0.2.0/24], action: discard}]", mail: unsigned, want: "bypass → discard"},

		"spf.enabled":           {next: "spf: {enabled: true}", mail: mail{spf: spf.Fail}, want: "bypass → reject", rule: "spf.actions.fail"},
		"spf.ignored_peers":     {old: "spf: {enabled: true}", next: "spf: {enabled: true, ignored_peers: [bounce.example]}", mail: mail{spf: spf.Fail}, want: "reject → bypass", rule: "dmarc.actions.no_record"},
		"spf.x_header":          unseen("spf: {x_header: true}"),
		"spf.actions.fail":      spfAction("fail", spf.Fail, "reject"),
		"spf.actions.softfail":  spfAction("softfail", spf.Softfail, "reject"),
		"spf.actions.neutral":   spfAction("neutral", spf.Neutral, "discard"),
		"spf.actions.none":      spfAction("none", spf.None, "reject"),
		"spf.actions.permerror": spfAction("permerror", spf.PermError, "reject"),
		"spf.actions.temperror": spfAction("temperror", spf.TempError, "defer"),

		"dkim.enabled":           {next: "dkim: {enabled: true}", mail: mail{dkim: dkim.Fail}, want: "bypass → quarantine (hold)", rule: "dkim.actions.fail"},
		"dkim.enforced_peers":    {old: "dkim: {enabled: true}", next: "dkim: {enabled: true, enforced_peers: [bank.example]}", mail: unsigned, want: "bypass → quarantine (hold)"},
		"dkim.x_header":          unseen("dkim: {x_header: true}"),
		"dkim.skip_null_sender":  {old: "dkim: {enabled: true}", next: "dkim: {enabled: true, skip_null_sender: true}", mail: mail{dkim: dkim.Fail, null: true}, want: "quarantine (hold) → bypass", rule: "dmarc.actions.no_record"},
		"dkim.actions.fail":      dkimAction("fail", dkim.Fail, "reject"),
		"dkim.actions.none":      dkimAction("none", "", "discard"),
		"dkim.actions.temperror": dkimAction("temperror", dkim.TempError, "defer"),

		"quarantine.method": {next: "quarantine: {method: header}", mail: mail{published: dmarc.PolicyQuarantine}, want: "quarantine (hold) → quarantine (header)", rule: "dmarc.actions.quarantine"},
		"quarantine.address": {
			old: "quarantine: {method: redirect, address: a@example.org}", next: "quarantine: {method: redirect, address: b@example.org}",
			mail: mail{published: dmarc.PolicyQuarantine}, rule: "dmarc.actions.quarantine",
			want: "quarantine (redirect to a@example.org) → quarantine (redirect to b@example.org)",
		},
	}
}

// TestEverySetting changes every key of the policy file, one at a time.
func TestEverySetting(t *testing.T) {
	cases := settingCases()
	for key, c := range cases {
		t.Run(key, func(t *testing.T) {
			old, next := parse(t, entry(c.old)), parse(t, entry(c.next))
			replay := New(Options{New: next, Current: old, Examples: 1})
			replay.Add(c.mail.remember(t, old))
			got := replay.Result()
			if c.want == "" {
				if got.Changed+got.Watched != 0 {
					t.Errorf("changes %+v", got.Domains)
				}
				return
			}
			if got.Changed != 1 {
				t.Fatalf("changed %d messages", got.Changed)
			}
			change := got.Domains.Entries[0].Changes[0]
			rule := c.rule
			switch rule {
			case "":
				rule = key
			case "-":
				rule = ""
			}
			if s := arrow(change.Before, change.After); s != c.want || change.Cause.Rule != rule {
				t.Errorf("got %s by %q (%s), want %s by %q", s, change.Cause.Rule, change.Cause.Reason, c.want, rule)
			}
		})
	}
	for _, key := range keys(t) {
		if _, ok := cases[key]; !ok {
			t.Errorf("no case changes the key %q", key)
		}
	}
}

// keys are all keys of the policy file, those of a domain's entry relative to it.
func keys(t *testing.T) []string {
	p, _, err := settings.ReadTexts(nil)
	if err != nil {
		t.Fatal(err)
	}
	trace := p.EffectiveRules(dns.MustParse("example.org"))
	out := []string{"mode", "mixed_recipients", "managed", "defer_limit", "default", "domains", "tests"}
	for _, s := range trace.Settings() {
		out = append(out, s.Key)
	}
	if !slices.Contains(out, "dmarc.actions.reject") {
		t.Fatalf("keys are %v", out)
	}
	return out
}

// TestForgedFields: a monitoring domain takes what an enforcing one refuses.
func TestForgedFields(t *testing.T) {
	enforce, monitor := parse(t, ""), parse(t, "mode: monitor\n")
	rec := mail{published: dmarc.PolicyReject, spf: spf.Pass, aligned: true, forged: 3000, forgedKept: true}.remember(t, monitor)
	replay := New(Options{New: enforce})
	replay.Add(rec)
	got := replay.Result()
	if got.Changed != 1 || got.Domains.Entries[0].Changes[0].Cause.Reason != policy.ReasonForged {
		t.Errorf("got %+v", got.Domains)
	}
}

// TestEndsByTheDayOfTheMessage replays against entries that end: the day that counts is
// that of the message.
func TestEndsByTheDayOfTheMessage(t *testing.T) {
	fails := mail{published: dmarc.PolicyReject}
	old := parse(t, "")
	for until, want := range map[string]int64{"2026-11-25": 1, "2026-11-24": 0} {
		next := parse(t, entry("dmarc: {exceptions: [{ip: 203.0.113.7, until: "+until+"}]}"))
		replay := New(Options{New: next, Current: old})
		replay.Add(fails.remember(t, old)) // of 2026-11-25
		if got := replay.Result(); got.Changed != want {
			t.Errorf("an exception until %s changes %d messages, want %d", until, got.Changed, want)
		}
	}
}
