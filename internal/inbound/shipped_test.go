package inbound_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// shipped is a policy file of configs/. It has no fault, and no warnings but those
// of these keys.
func shipped(t *testing.T, name string, warned ...string) string {
	t.Helper()
	path := filepath.Join("..", "..", "configs", name)
	_, warnings, err := settings.LoadPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, w := range warnings {
		keys = append(keys, w.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(keys, warned) {
		t.Errorf("warnings %v, want those of %v", warnings, warned)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edited is a text with one place changed, as its comments say to.
func edited(t *testing.T, text, old, now string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%q stands there %d times, want 1", old, n)
	}
	return strings.Replace(text, old, now, 1)
}

// TestHESCompatible sends the vectors of the table of criteria under the shipped
// file: to a domain that has the default, and as an enforced peer to one with an
// entry of its own.
func TestHESCompatible(t *testing.T) {
	text := shipped(t, "hes-compatible.yaml", "default.dmarc.criteria", "domains.example.org.dmarc.criteria",
		"domains.example.org.dmarc.enforced_peer_action")
	outcomes := map[dmarc.Status]string{dmarc.Pass: "accept", dmarc.Fail: "reject", dmarc.TempError: "defer"}
	try := func(domain, rcpt string, status func(vector) dmarc.Status) {
		zone, table := vectors(t, domain)
		r := newRig(t, zone, text)
		for _, v := range table {
			t.Run(rcpt+"/"+v.name, func(t *testing.T) {
				if got, want := outcomeWord(r.send(v.mail.to(rcpt))), outcomes[status(v)]; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
	try("example.com", "a@example.net", func(v vector) dmarc.Status { return v.hes })
	try("example.com", "a@example.org", func(v vector) dmarc.Status { return v.hes })
	try("bank.example", "a@example.net", func(v vector) dmarc.Status { return v.hes })
	try("bank.example", "a@example.org", func(v vector) dmarc.Status { return v.enforced })
	try("mail.bank.example", "a@example.org", func(v vector) dmarc.Status { return v.enforced })

	r := newRig(t, behaviourZone, text)
	for _, c := range []struct{ name, domain, rcpt, want string }{
		{"p=quarantine", "quarantine.example", "a@example.net", "quarantine"},
		{"p=none", "none.example", "a@example.net", "accept"},
		{"no record", "norecord.example", "a@example.net", "accept"},
		{"no record, the entry's slot", "norecord.example", "a@example.org", "quarantine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := from(c.domain).by("203.0.113.9").to(c.rcpt)
			res := r.send(m)
			if got := outcomeWord(res); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := field(t, m, res, "X-TM-Authentication-Results"); !strings.Contains(got, "; dkim=pass (no processed signatures) header.d=none; ") {
				t.Errorf("not in the product's words: %s", got)
			}
		})
	}
}

// imsvaZone has the senders that the shipped file names, and one that it does not.
const imsvaZone = behaviourZone + `
bank.example. TXT "v=spf1 ip4:203.0.113.128/25 -all"
_dmarc.bank.example. TXT "v=DMARC1; p=reject; sp=quarantine"
mail.bank.example. TXT "v=spf1 -all"
_dmarc.parcels.example. TXT "v=DMARC1; p=none"
`

// TestIMSVACompatible takes the shipped file as it is, then enabled, then with the
// strict reading, each as its comments say to.
func TestIMSVACompatible(t *testing.T) {
	own := newSigner("bank.example", "s1")
	off := shipped(t, "imsva-compatible.yaml", "default.dmarc")
	on := edited(t, off, "\n    enabled: false\n", "\n    enabled: true\n")
	on = strings.ReplaceAll(on, "\n  # - {name:", "\n  - {name:")
	strict := edited(t, on, "\n    # enforced_peers: [\"*\"]\n", "\n    enforced_peers: [\"*\"]\n")
	strict = edited(t, strict, "from: b@shop.example, spf: fail, dkim: none, policy: reject, expect: bypass", "from: b@shop.example, spf: fail, dkim: none, policy: reject, expect: reject")

	spoof := func(domain string) mail { return from(domain).by("203.0.113.9") }
	both := from("bank.example").by("203.0.113.200")
	both.raw = own.sign(t, both.raw)
	cases := []struct {
		name, policy string
		mail         mail
		want         string
		reason       policy.Reason
	}{
		{"off: spoof of a listed sender", off, spoof("bank.example"), "accept", policy.ReasonDisabled},
		{"on: spoof of a listed sender", on, spoof("bank.example"), "reject", policy.ReasonPolicy},
		{"on: genuine, SPF alone", on, from("bank.example").by("203.0.113.200"), "accept", policy.ReasonPass},
		{"on: below a listed sender", on, spoof("mail.bank.example"), "quarantine", policy.ReasonPolicy},
		{"on: listed, p=none", on, spoof("parcels.example"), "accept", policy.ReasonPolicy},
		{"on: not listed", on, spoof("reject.example"), "accept", policy.ReasonNotListed},
		{"on: an exception", on, spoof("bank.example").by("192.0.2.25"), "accept", policy.ReasonException},
		{"on: an exception's network", on, spoof("bank.example").by("198.51.100.200"), "accept", policy.ReasonException},
		{"on: another recipient domain, the same rule", on, spoof("bank.example").to("a@any.example"), "reject", policy.ReasonPolicy},
		{"strict: SPF alone is not enough", strict, from("bank.example").by("203.0.113.200"), "reject", policy.ReasonEnforcedPeer},
		{"strict: both", strict, both, "accept", policy.ReasonPass},
		{"strict: everybody", strict, spoof("reject.example"), "reject", policy.ReasonEnforcedPeer},
		{"strict: no record, the action alone", strict, spoof("norecord.example"), "accept", policy.ReasonEnforcedPeer},
		{"strict: an exception", strict, spoof("bank.example").by("192.0.2.25"), "accept", policy.ReasonException},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, imsvaZone+own.record(), c.policy)
			if got := outcomeWord(r.send(c.mail)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := r.last().Decision.Reason; got != c.reason {
				t.Errorf("reason %s, want %s", got, c.reason)
			}
		})
	}
}

// hostingZone has the senders that the customers of the shipped file name.
const hostingZone = behaviourZone + `
bank.example. TXT "v=spf1 ip4:203.0.113.128/25 ip4:198.51.100.0/24 -all"
_dmarc.bank.example. TXT "v=DMARC1; p=none"
_dmarc.parcels.example. TXT "v=DMARC1; p=reject"
_dmarc.trouble.example. TXT "v=DMARC1; p=reject"
trouble.example. FAULT servfail
`

// TestHostingProvider sends mail to each customer of the shipped file.
func TestHostingProvider(t *testing.T) {
	text := shipped(t, "hosting-provider.yaml", "domains.lab.example")
	bank, parcels, list := newSigner("bank.example", "s1"), newSigner("parcels.example", "s1"), newSigner("lists.example.net", "s1")
	r := newRig(t, hostingZone+bank.record()+parcels.record()+list.record(), text)
	spoof := func(domain, rcpt string) mail { return from(domain).by("203.0.113.9").to(rcpt) }
	signed := func(s signer, m mail) mail { m.raw = s.sign(t, m.raw); return m }
	cases := []struct {
		name   string
		mail   mail
		want   string
		reason policy.Reason
	}{
		{"the default rejects", spoof("reject.example", "a@alpha.example"), "reject", policy.ReasonPolicy},
		{"a managed wildcard", spoof("reject.example", "a@mail.alpha.example"), "reject", policy.ReasonPolicy},
		{"not ours", spoof("reject.example", "a@elsewhere.example"), "accept", policy.ReasonNotOurs},
		{"DNS trouble defers", spoof("trouble.example", "a@beta.example"), "defer", policy.ReasonTemperror},
		{"a trusted forwarder", signed(list, spoof("reject.example", "a@beta.example")), "accept", policy.ReasonForwarder},
		{"a peer that is unsigned", from("bank.example").by("203.0.113.200").to("a@beta.example"), "accept", policy.ReasonEnforcedPeer},
		{"a peer that passes both", signed(bank, from("bank.example").by("203.0.113.200").to("a@beta.example")), "accept", policy.ReasonPass},
		{"a peer of whom one is asked", signed(parcels, spoof("parcels.example", "a@beta.example")), "accept", policy.ReasonPass},
		{"a peer of whom one is asked, spoofed", spoof("parcels.example", "a@beta.example"), "reject", policy.ReasonEnforcedPeer},
		{"the newcomer only watches", spoof("reject.example", "a@newcomer.example"), "accept", policy.ReasonPolicy},
		{"gamma's backup MX", spoof("reject.example", "a@gamma.example").by("192.0.2.25"), "accept", policy.ReasonException},
		{"gamma, others", spoof("reject.example", "a@gamma.example"), "reject", policy.ReasonPolicy},
		{"gamma keeps the default's peers", spoof("parcels.example", "a@gamma.example"), "reject", policy.ReasonEnforcedPeer},
		{"the bank's own name from elsewhere", signed(bank, from("bank.example").by("203.0.113.200").to("a@bank.example")), "reject", policy.ReasonSenderIP},
		{"the bank's own name from its network", signed(bank, from("bank.example").by("198.51.100.9").to("a@bank.example")), "accept", policy.ReasonPass},
		{"press refuses nothing", spoof("reject.example", "a@press.example"), "accept", policy.ReasonPolicy},
		{"lab has no peers", from("bank.example").by("203.0.113.200").to("a@lab.example"), "accept", policy.ReasonPass},
		{"lab holds", spoof("reject.example", "a@lab.example"), "quarantine", policy.ReasonPolicy},
		{"own-filter is left to itself", spoof("reject.example", "a@own-filter.example"), "accept", policy.ReasonDisabled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := outcomeWord(r.send(c.mail)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := r.last().Decision.Reason; got != c.reason {
				t.Errorf("reason %s, want %s", got, c.reason)
			}
		})
	}

	t.Run("quarantine marks", func(t *testing.T) {
		m := spoof("quarantine.example", "a@alpha.example")
		if got := fields(m, r.send(m), "X-TM-Quarantine"); !slices.Equal(got, []string{" dmarc"}) {
			t.Errorf("X-TM-Quarantine: %q", got)
		}
	})
	t.Run("the bank's quarantine is another address", func(t *testing.T) {
		res := r.send(spoof("norecord.example", "a@bank.example"))
		redirected := slices.ContainsFunc(res.Mods, func(m miltertest.Mod) bool {
			return m.Op == miltertest.RespAddRcpt && m.Name == "<security@bank.example>"
		})
		if !redirected {
			t.Errorf("not redirected: %+v", res.Mods)
		}
	})
	t.Run("press is warned in the subject", func(t *testing.T) {
		m := spoof("reject.example", "a@press.example")
		if got := field(t, m, r.send(m), "Subject"); got != " [UNVERIFIED] x" {
			t.Errorf("Subject:%s", got)
		}
	})
	t.Run("own-filter is told of SPF and nothing else", func(t *testing.T) {
		m := spoof("reject.example", "a@own-filter.example")
		res := r.send(m)
		if got := field(t, m, res, "X-TM-Received-SPF"); !strings.HasPrefix(got, " Fail ") {
			t.Errorf("X-TM-Received-SPF:%s", got)
		}
		if got := fields(m, res, "X-TM-Authentication-Results"); len(got) != 0 {
			t.Errorf("X-TM-Authentication-Results: %q", got)
		}
	})
	t.Run("mail to two customers is split only if they differ", func(t *testing.T) {
		two := []string{"a@alpha.example", "a@newcomer.example"}
		if res := r.send(from("reject.example").by("198.51.100.1").to(two...)); outcomeWord(res) != "accept" {
			t.Errorf("genuine mail: %s", outcomeWord(res))
		}
		if res := r.send(spoof("reject.example", "").to(two...)); res.Code != 451 {
			t.Errorf("a spoof: %d %s, want 451", res.Code, res.Text)
		}
		if res := r.send(spoof("reject.example", "").to(two...)); codes(res) != "0 452" || outcomeWord(res) != "reject" {
			t.Errorf("the retry: %s at RCPT, then %s", codes(res), outcomeWord(res))
		}
	})
}
