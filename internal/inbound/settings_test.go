package inbound_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/policy"
)

// settingsZone adds senders for the standalone checks.
const settingsZone = behaviourZone + `
soft.example. TXT "v=spf1 ip4:198.51.100.0/24 ~all"
neutral.example. TXT "v=spf1 ?all"
broken.example. TXT "v=spf1 nonsense -all"
dead.example. FAULT servfail
explained.example. TXT "v=spf1 -all exp=why.explained.example"
why.explained.example. TXT "see http://example.org/%{i}"
list.example. TXT "v=spf1 ip4:203.0.113.0/24 -all"
`

// TestStandaloneChecks walks sender IP match, SPF and DKIM, in their order.
func TestStandaloneChecks(t *testing.T) {
	own := newSigner("norecord.example", "s1")
	zone := settingsZone + own.record()
	signed := from("norecord.example")
	signed.raw = own.sign(t, signed.raw)
	broken := signed
	broken.raw = strings.Replace(signed.raw, "Subject: x", "Subject: y", 1)
	deadKey := signed
	deadKey.raw = strings.Replace(signed.raw, "s=s1;", "s=dead;", 1)
	zone += "dead._domainkey.norecord.example. FAULT servfail\n"

	const spfOn, dkimOn = "{default: {spf: {enabled: true%s}}}", "{default: {dkim: {enabled: true%s}}}"
	on := func(form, more string) string {
		if more != "" {
			more = ", " + more
		}
		return strings.Replace(form, "%s", more, 1)
	}
	cases := []struct {
		name, policy string
		mail         mail
		want         string
		reason       policy.Reason
		text         string // in the reply
	}{
		{"SPF fail", on(spfOn, ""), from("none.example").by("203.0.113.9"), "reject", policy.ReasonSPF, "5.7.23 SPF fail: none.example does not permit 203.0.113.9"},
		{"SPF fail with explanation", on(spfOn, ""), from("none.example").sender("a@explained.example").by("203.0.113.9"), "reject", policy.ReasonSPF, "see http://example.org/203.0.113.9"},
		{"SPF fail, off", "{}", from("none.example").by("203.0.113.9"), "accept", policy.ReasonPolicy, ""},
		{"SPF softfail by default", on(spfOn, ""), from("none.example").sender("a@soft.example").by("203.0.113.9"), "accept", policy.ReasonPolicy, ""},
		{"SPF softfail quarantined", on(spfOn, "actions: {softfail: quarantine}"), from("none.example").sender("a@soft.example").by("203.0.113.9"), "quarantine", policy.ReasonSPF, ""},
		{"SPF neutral discarded", on(spfOn, "actions: {neutral: discard}"), from("none.example").sender("a@neutral.example"), "discard", policy.ReasonSPF, ""},
		{"SPF none rejected", on(spfOn, "actions: {none: reject}"), from("none.example").sender("a@nospf.example"), "reject", policy.ReasonSPF, "5.7.23 SPF none: nospf.example does not say that 192.0.2.1 may"},
		{"SPF permerror rejected", on(spfOn, "actions: {permerror: reject}"), from("none.example").sender("a@broken.example"), "reject", policy.ReasonSPF, "5.7.23 SPF permerror: broken.example has an SPF record that cannot"},
		{"SPF temperror deferred", on(spfOn, "actions: {temperror: defer}"), from("none.example").sender("a@dead.example"), "defer", policy.ReasonSPF, "4.7.24 "},
		{"SPF ignored domain", on(spfOn, "ignored_peers: [none.example]"), from("none.example").by("203.0.113.9"), "accept", policy.ReasonPolicy, ""},
		{"SPF ignored address", on(spfOn, "ignored_peers: [203.0.113.0/24]"), from("none.example").by("203.0.113.9"), "accept", policy.ReasonPolicy, ""},
		{"ignored peers change nothing in DMARC's own SPF", on(spfOn, "ignored_peers: [reject.example, 203.0.113.9]"), from("reject.example").by("203.0.113.9"), "reject", policy.ReasonPolicy, "reject.example asks"},
		{"an SPF bypass does not disarm p=reject", on(spfOn, "actions: {fail: bypass}"), from("reject.example").by("203.0.113.9"), "reject", policy.ReasonPolicy, ""},
		{"SPF intercepts before DMARC passes", on(spfOn, ""), signed.sender("a@none.example"), "reject", policy.ReasonSPF, ""},

		{"DKIM verified", on(dkimOn, ""), signed, "accept", policy.ReasonNoRecord, ""},
		{"DKIM fails", on(dkimOn, ""), broken, "quarantine", policy.ReasonDKIM, ""},
		{"DKIM fails, rejected", on(dkimOn, "actions: {fail: reject}"), broken, "reject", policy.ReasonDKIM, "5.7.20 "},
		{"unsigned by default", on(dkimOn, ""), from("norecord.example"), "accept", policy.ReasonNoRecord, ""},
		{"unsigned quarantined", on(dkimOn, "actions: {none: quarantine}"), from("norecord.example"), "quarantine", policy.ReasonDKIM, ""},
		{"unsigned enforced peer", on(dkimOn, "enforced_peers: [norecord.example]"), from("norecord.example"), "quarantine", policy.ReasonDKIM, ""},
		{"signed enforced peer", on(dkimOn, "enforced_peers: [norecord.example]"), signed, "accept", policy.ReasonNoRecord, ""},
		{"DKIM temperror deferred", on(dkimOn, "actions: {temperror: defer}"), deadKey, "defer", policy.ReasonDKIM, "4.7.1 "},
		{"DKIM temperror by default", on(dkimOn, ""), deadKey, "accept", policy.ReasonNoRecord, ""},
		{"DKIM null sender skipped", on(dkimOn, "skip_null_sender: true"), broken.sender("").greeting("h.example"), "accept", policy.ReasonNoRecord, ""},
		{"SPF comes before DKIM", "{default: {spf: {enabled: true}, dkim: {enabled: true}}}", broken.sender("a@none.example"), "reject", policy.ReasonSPF, ""},

		{"sender IP match fails", "{default: {sender_ip_match: [{domain: norecord.example, networks: [198.51.100.0/24], action: quarantine}]}}", from("norecord.example"), "quarantine", policy.ReasonSenderIP, ""},
		{"sender IP match fails, rejected", "{default: {sender_ip_match: [{domain: norecord.example, networks: [198.51.100.0/24], action: reject}]}}", from("norecord.example"), "reject", policy.ReasonSenderIP, "norecord.example is not accepted from 192.0.2.1"},
		{"sender IP match comes before SPF", "{default: {spf: {enabled: true}, sender_ip_match: [{domain: none.example, networks: [198.51.100.0/24], action: quarantine}]}}", from("none.example"), "quarantine", policy.ReasonSenderIP, ""},
		{"sender IP match passes: no standalone SPF, DMARC passes", "{default: {spf: {enabled: true}, sender_ip_match: [{domain: reject.example, networks: [203.0.113.0/24], action: quarantine}]}}", from("reject.example").by("203.0.113.9"), "accept", policy.ReasonSenderIP, ""},
		{"sender IP match of another domain", "{default: {sender_ip_match: [{domain: \"*.reject.example\", networks: [203.0.113.0/24], action: quarantine}]}}", from("reject.example").by("203.0.113.9"), "reject", policy.ReasonPolicy, ""},
		{"two entries for one domain add up", "{default: {sender_ip_match: [{domain: norecord.example, networks: [198.51.100.0/24], action: reject}, {domain: norecord.example, networks: [192.0.2.0/24], action: reject}]}}", from("norecord.example"), "accept", policy.ReasonNoRecord, ""},
		{"sender IP match grants an enforced peer nothing", "{default: {dmarc: {enforced_peers: [none.example]}, sender_ip_match: [{domain: none.example, networks: [203.0.113.0/24], action: reject}]}}", from("none.example").by("203.0.113.9"), "quarantine", policy.ReasonEnforcedPeer, ""},

		{"trusted forwarder by SPF", "{default: {dmarc: {trusted_forwarders: [{spf: list.example}]}}}", from("reject.example").sender("x@list.example").by("203.0.113.9"), "accept", policy.ReasonForwarder, ""},
		{"trusted forwarder by SPF, not authenticated", "{default: {dmarc: {trusted_forwarders: [{spf: list.example}]}}}", from("reject.example").sender("x@list.example").by("192.0.2.9"), "reject", policy.ReasonPolicy, ""},
		{"trusted forwarder by address", "{default: {dmarc: {trusted_forwarders: [{ip: 203.0.113.0/24}]}}}", from("reject.example").by("203.0.113.9"), "accept", policy.ReasonForwarder, ""},
		{"trusted forwarder grants an enforced peer nothing", "{default: {dmarc: {enforced_peers: [reject.example], trusted_forwarders: [{ip: 203.0.113.0/24}]}}}", from("reject.example").by("203.0.113.9"), "reject", policy.ReasonEnforcedPeer, ""},

		{"no record, only unauthenticated mail, unsigned", "{default: {dmarc: {no_record_when: unauthenticated, actions: {no_record: reject}}}}", from("norecord.example"), "reject", policy.ReasonNoRecord, ""},
		{"no record, only unauthenticated mail, signed", "{default: {dmarc: {no_record_when: unauthenticated, actions: {no_record: reject}}}}", signed, "accept", policy.ReasonNoRecord, ""},
		{"monitor for one domain", "{domains: {example.org: {mode: monitor, dmarc: {}}}}", from("reject.example").by("203.0.113.9"), "accept", policy.ReasonPolicy, ""},
		{"enforce for one domain under monitor", "{mode: monitor, domains: {example.org: {mode: enforce, dmarc: {}}}}", from("reject.example").by("203.0.113.9"), "reject", policy.ReasonPolicy, ""},
		{"inherit", "{default: {dmarc: {exceptions: [203.0.113.9]}}, domains: {example.org: {inherit: default, dmarc: {criteria: rfc}}}}", from("reject.example").by("203.0.113.9"), "accept", policy.ReasonException, ""},
		{"monitor does not discard", "{mode: monitor, default: {spf: {enabled: true, actions: {neutral: discard}}}}", from("none.example").sender("a@neutral.example"), "accept", policy.ReasonSPF, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, zone, c.policy)
			res := r.send(c.mail)
			if got := outcomeWord(res); got != c.want {
				t.Errorf("got %s (%d %s), want %s", got, res.Code, res.Text, c.want)
			}
			if got := r.last().Decision.Reason; got != c.reason {
				t.Errorf("reason %s, want %s", got, c.reason)
			}
			if !strings.Contains(res.Text, c.text) {
				t.Errorf("reply %q, want %q in it", res.Text, c.text)
			}
		})
	}
}

// TestStandaloneHeaders holds the standalone forms of the vendor's fields to the letter.
func TestStandaloneHeaders(t *testing.T) {
	own := newSigner("test.com", "TM-DKIM_201603291435")
	r := newRig(t, "test.com. TXT \"v=spf1 ip4:10.64.72.206 -all\"\n"+own.record(),
		"{default: {spf: {enabled: true, x_header: true}, dkim: {enabled: true, x_header: true}}}")
	m := mail{client: "10.64.72.206", helo: "mailserver.example.com", mailFrom: "sender@test.com",
		raw: own.sign(t, "From: sender@test.com\nSubject: x\n\nbody\n")}
	res := r.send(m)
	want := " Pass (domain of sender@test.com designates 10.64.72.206 as permitted sender) client-ip=10.64.72.206; envelope-from=sender@test.com; helo=mailserver.example.com"
	if got := field(t, m, res, "X-TM-Received-SPF"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	all := fields(m, res, "X-TM-Authentication-Results")
	want = "dkim=pass; Contain verified signature, header.d=test.com, header.s=TM-DKIM_201603291435, header.i=@test.com"
	if len(all) != 2 || all[0] != want && all[1] != want {
		t.Errorf("got %q, want two fields, one of them %s", all, want)
	}

	unsigned := mail{client: "10.64.72.206", mailFrom: "sender@test.com", raw: "From: sender@test.com\n\nbody\n"}
	res = r.send(unsigned)
	want = "dkim=pass; No signatures and verification is not enforced"
	if all := fields(unsigned, res, "X-TM-Authentication-Results"); len(all) != 2 || all[0] != want && all[1] != want {
		t.Errorf("got %q, want two fields, one of them %s", all, want)
	}
}

// TestQuarantineMethods sets quarantined mail apart in each way.
func TestQuarantineMethods(t *testing.T) {
	spoof := from("quarantine.example").by("203.0.113.9").with("X-TM-Quarantine: forged\n")
	t.Run("hold", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{}")
		res := r.send(spoof)
		if got := res.Quarantine(); !strings.Contains(got, "quarantine.example") {
			t.Errorf("reason %q names no domain", got)
		}
		if got := fields(spoof, res, "X-TM-Quarantine"); len(got) != 0 {
			t.Errorf("X-TM-Quarantine: %q", got)
		}
	})
	t.Run("header", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{default: {quarantine: {method: header}}}")
		res := r.send(spoof)
		if res.Quarantine() != "" || !res.Accepts() {
			t.Errorf("held or refused: %+v", res)
		}
		if got := fields(spoof, res, "X-TM-Quarantine"); len(got) != 1 || got[0] != " dmarc" {
			t.Errorf("X-TM-Quarantine: %q", got)
		}
		if got := fields(spoof, res, "X-Spam-Flag"); len(got) != 1 || got[0] != " YES" {
			t.Errorf("X-Spam-Flag: %q", got)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{default: {quarantine: {method: redirect, address: quarantine@example.org}}}")
		res := r.send(spoof.to("a@example.org", "b@example.net"))
		var edits []string
		for _, m := range res.Mods {
			switch m.Op {
			case miltertest.RespAddRcpt:
				edits = append(edits, "+"+m.Name)
			case miltertest.RespDeleteRcpt:
				edits = append(edits, "-"+m.Name)
			}
		}
		want := "-<a@example.org> -<b@example.net> +<quarantine@example.org>"
		if got := strings.Join(edits, " "); got != want || res.Quarantine() != "" {
			t.Errorf("got %s (held: %q), want %s", got, res.Quarantine(), want)
		}
	})
}

// TestTagSubject puts the tag before the Subject of failing mail, once, where it
// breaks no signature.
func TestTagSubject(t *testing.T) {
	own := newSigner("unrelated.example", "s1")
	const tagged = "{default: {dmarc: {tag_subject: \"[SPOOF]\"%s, actions: {reject: bypass}}}}"
	form := func(more string) string { return strings.Replace(tagged, "%s", more, 1) }
	spoof := func(header string) mail {
		return mail{client: "203.0.113.9", mailFrom: "a@reject.example", raw: "From: a@reject.example\n" + header + "\nbody\n"}
	}
	signed := spoof("Subject: hello\n")
	signed.raw = own.sign(t, signed.raw)
	cases := []struct {
		name, policy string
		mail         mail
		want         string
	}{
		{"failing mail", form(""), spoof("Subject: hello\n"), " [SPOOF] hello"},
		{"once", form(""), spoof("Subject: [SPOOF] hello\n"), " [SPOOF] hello"},
		{"no Subject", form(""), spoof(""), " [SPOOF]"},
		{"folded Subject", form(""), spoof("Subject: hello\n world\n"), " [SPOOF] hello world"},
		{"passing mail", form(""), spoof("Subject: hello\n").by("198.51.100.1"), " hello"},
		{"signed mail keeps its Subject", form(""), signed, " hello"},
		{"signed mail if asked", form(", tag_signed: true"), signed, " [SPOOF] hello"},
		{"a signature that verifies nothing", form(""), spoof("DKIM-Signature: x\nSubject: hello\n"), " [SPOOF] hello"},
		{"padding behind the Subject", form(""), spoof("Subject: hello\n" + strings.Repeat("X-Pad: x\n", 2500)), " [SPOOF] hello"},
		{"S/MIME", form(""), spoof("Content-Type: multipart/signed; protocol=x\nSubject: hello\n"), " hello"},
		{"monitor", "{mode: monitor, default: {dmarc: {tag_subject: \"[SPOOF]\"}}}", spoof("Subject: hello\n"), " hello"},
		{"not ASCII", "{default: {dmarc: {tag_subject: \"[なりすまし]\", actions: {reject: bypass}}}}", spoof("Subject: =?UTF-8?B?44GC?=\n"),
			" =?UTF-8?b?W+OBquOCiuOBmeOBvuOBl10g?= =?UTF-8?B?44GC?="},
		{"not ASCII before plain text", "{default: {dmarc: {tag_subject: \"[偽装]\", actions: {reject: bypass}}}}", spoof("Subject: hello\n"), " =?UTF-8?b?W+WBveijhV0=?= hello"},
		{"once, encoded", "{default: {dmarc: {tag_subject: \"[偽装]\", actions: {reject: bypass}}}}", spoof("Subject: =?UTF-8?B?W+WBveijhV0=?= hello\n"), " =?UTF-8?B?W+WBveijhV0=?= hello"},
		{"once, encoded otherwise", "{default: {dmarc: {tag_subject: \"[偽装]\", actions: {reject: bypass}}}}", spoof("Subject: =?utf-8?Q?=5B=E5=81=BD=E8=A3=85=5D_hi?=\n"), " =?utf-8?Q?=5B=E5=81=BD=E8=A3=85=5D_hi?="},
		{"once, plain words encoded", form(""), spoof("Subject: =?utf-8?Q?=5BSPOOF=5D_hello?=\n"), " =?utf-8?Q?=5BSPOOF=5D_hello?="},
		{"an empty Subject", form(""), spoof("Subject:\n"), " [SPOOF]"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, settingsZone+own.record(), c.policy)
			res := r.send(c.mail)
			if got := field(t, c.mail, res, "Subject"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestTagEverySubject has a forger add Subject fields: each gets the tag once.
func TestTagEverySubject(t *testing.T) {
	r := newRig(t, settingsZone, "{default: {dmarc: {tag_subject: \"[SPOOF]\", actions: {reject: bypass}}}}")
	m := mail{client: "203.0.113.9", mailFrom: "a@reject.example", raw: "From: a@reject.example\nSubject: [SPOOF] one\nX: y\nsubject: two\nSUBJECT: three\n\nbody\n"}
	got := fields(m, r.send(m), "Subject")
	want := []string{" [SPOOF] one", " [SPOOF] two", " [SPOOF] three"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDeferLimit caps deferral of the same envelope.
func TestDeferLimit(t *testing.T) {
	cases := []struct {
		name, policy, after string
	}{
		{"let through", "{defer_limit: 4h, default: {dmarc: {actions: {temperror: defer}}}}", "accept"},
		{"an enforced peer fails", "{defer_limit: 4h, default: {dmarc: {enforced_peers: [reject.example]}}}", "reject"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			clock := newClock()
			r := newRigAt(t, clock.now, behaviourZone+"reject.example. FAULT servfail\n", c.policy)
			m := from("reject.example")
			for _, step := range []struct {
				after time.Duration
				want  string
			}{{0, "defer"}, {time.Hour, "defer"}, {2*time.Hour + 59*time.Minute, "defer"}, {time.Minute, c.after}, {0, c.after}} {
				clock.advance(step.after)
				if got := outcomeWord(r.send(m)); got != step.want {
					t.Errorf("after %s more: %s, want %s", step.after, got, step.want)
				}
			}
			if got := outcomeWord(r.send(m.sender("other@reject.example"))); got != "defer" {
				t.Errorf("another envelope: %s, want defer", got)
			}
			if c.after == "accept" {
				res := r.send(m)
				if got := field(t, m, res, "X-TM-Authentication-Results"); !strings.Contains(got, "dmarc=temperror action=none") {
					t.Errorf("stamped %s", got)
				}
			}
			clock.advance(7 * time.Hour)
			if got := outcomeWord(r.send(m)); got != "defer" {
				t.Errorf("hours later: %s, want to begin anew", got)
			}
		})
	}
}

// TestDeferLimitOfOneMessage runs out although other mail of the envelope passes,
// as that of a mailing does behind one bounce address.
func TestDeferLimitOfOneMessage(t *testing.T) {
	clock := newClock()
	r := newRigAt(t, clock.now, behaviourZone+"dead.example. FAULT servfail\n_dmarc.dead.example. FAULT servfail\n",
		"{defer_limit: 4h, default: {dmarc: {actions: {temperror: defer}}}}")
	dead, passing := from("dead.example").sender("bounce@reject.example").by("198.51.100.1"), from("reject.example").sender("bounce@reject.example").by("198.51.100.1")
	for hour := range 4 {
		if got := outcomeWord(r.send(dead)); got != "defer" {
			t.Errorf("hour %d: %s, want defer", hour, got)
		}
		if got := outcomeWord(r.send(passing)); got != "accept" {
			t.Errorf("hour %d, mail that passes: %s", hour, got)
		}
		clock.advance(time.Hour)
	}
	if got := outcomeWord(r.send(dead)); got != "accept" {
		t.Errorf("past the limit: %s, want accept", got)
	}
}

// TestTrueClient finds the client behind a trusted relay.
func TestTrueClient(t *testing.T) {
	const relays = "client_ip_from: {192.0.2.0/24: received, 198.18.0.1: \"header:X-Client\"}"
	received := func(text string) mail { return from("reject.example").with("Received: " + text + "\n") }
	cases := []struct {
		name string
		mail mail
		ip   string // "" for not recovered
		want string
	}{
		{"Postfix", received("from mail.reject.example (mail.reject.example [198.51.100.7])\n\tby relay.example (Postfix) with ESMTP"), "198.51.100.7", "accept"},
		{"Postfix, IPv6", received("from x (unknown [IPv6:2001:db8::7]) by relay.example (Postfix)"), "2001:db8::7", "reject"},
		{"Sendmail", received("from x (h.example [198.51.100.7] (may be forged)) by relay.example (8.17)"), "198.51.100.7", "accept"},
		{"a HELO that looks like an address", received("from [198.51.100.7] (unknown [203.0.113.9]) by relay.example"), "203.0.113.9", "reject"},
		{"a HELO that looks like a clause", received("from x([198.51.100.7]) (unknown [203.0.113.9]) by relay.example"), "203.0.113.9", "reject"},
		{"an address in ident", received("from x (a[198.51.100.7]@h [203.0.113.9]) by relay.example"), "203.0.113.9", "reject"},
		{"no comment", received("from x by relay.example"), "", "reject"},
		{"no Received", from("reject.example"), "", "reject"},
		{"only the topmost counts", received("from x (unknown [203.0.113.9]) by relay.example").with("").with("Received: from y (unknown [198.51.100.7]) by relay.example\n"), "198.51.100.7", "accept"},
		{"handed round within the relay", received("from localhost (localhost [127.0.0.1]) by relay.example"), "", "reject"},
		{"a named field", from("reject.example").with("X-Client: [198.51.100.7]\n").by("198.18.0.1"), "198.51.100.7", "accept"},
		{"a named field, unreadable", from("reject.example").with("X-Client: nonsense\n").by("198.18.0.1"), "", "reject"},
		{"not a relay", received("from x (unknown [198.51.100.7]) by relay.example").by("203.0.113.9"), "203.0.113.9", "reject"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, "{}", relays)
			res := r.send(c.mail)
			o := r.last()
			if got := outcomeWord(res); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			got := ""
			if o.Envelope.ClientIP.IsValid() {
				got = o.Envelope.ClientIP.String()
			}
			if got != c.ip || o.Unrecovered != (c.ip == "") {
				t.Errorf("client %q (unrecovered: %v), want %q", got, o.Unrecovered, c.ip)
			}
			if c.ip == "" && o.Verdict.SPF.Status != "none" {
				t.Errorf("spf=%s without an address, want none", o.Verdict.SPF.Status)
			}
		})
	}
}
