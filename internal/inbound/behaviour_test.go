package inbound_test

import (
	"fmt"
	"strings"
	"testing"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/policy"
)

// behaviourZone has one sender for each published policy.
const behaviourZone = `
reject.example. TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.reject.example. TXT "v=DMARC1; p=reject"
quarantine.example. TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.quarantine.example. TXT "v=DMARC1; p=quarantine"
none.example. TXT "v=spf1 -all"
_dmarc.none.example. TXT "v=DMARC1; p=none"
norecord.example. TXT "v=spf1 -all"
mx.reject.example. TXT "v=spf1 ip4:198.51.100.0/24 -all"
`

func from(domain string) mail {
	return mail{mailFrom: "a@" + domain, raw: "From: a@" + domain + "\nSubject: x\n\nbody\n"}
}

func (m mail) to(rcpts ...string) mail   { m.rcpts = rcpts; return m }
func (m mail) by(client string) mail     { m.client = client; return m }
func (m mail) with(header string) mail   { m.raw = header + m.raw; return m }
func (m mail) sender(addr string) mail   { m.mailFrom = addr; return m }
func (m mail) greeting(helo string) mail { m.helo = helo; return m }

// outcomeWord is what the MTA would do.
func outcomeWord(res *miltertest.Result) string {
	switch {
	case res.Code >= 500:
		return "reject"
	case res.Code >= 400:
		return "defer"
	case res.Action == miltertest.RespDiscard:
		return "discard"
	case res.Quarantine() != "":
		return "quarantine"
	case res.Accepts():
		return "accept"
	}
	return fmt.Sprintf("%+v", res.Answer)
}

// TestDecisionsOnTheWire walks the settings of the policy file through the socket.
func TestDecisionsOnTheWire(t *testing.T) {
	spoof := func(domain string) mail { return from(domain).by("203.0.113.9") }
	genuine := func(domain string) mail { return from(domain).by("198.51.100.1") }
	cases := []struct {
		name, policy string
		mail         mail
		want         string
		reason       policy.Reason
	}{
		{"genuine", "{}", genuine("reject.example"), "accept", policy.ReasonPass},
		{"spoof of p=reject", "{}", spoof("reject.example"), "reject", policy.ReasonPolicy},
		{"spoof of p=quarantine", "{}", spoof("quarantine.example"), "quarantine", policy.ReasonPolicy},
		{"spoof of p=none", "{}", spoof("none.example"), "accept", policy.ReasonPolicy},
		{"no record", "{}", spoof("norecord.example"), "accept", policy.ReasonNoRecord},
		{"no record, reject", "{default: {dmarc: {actions: {no_record: reject}}}}", spoof("norecord.example"), "reject", policy.ReasonNoRecord},
		{"no record, quarantine", "{default: {dmarc: {actions: {no_record: quarantine}}}}", spoof("norecord.example"), "quarantine", policy.ReasonNoRecord},
		{"a map that rejects p=quarantine", "{default: {dmarc: {actions: {quarantine: reject}}}}", spoof("quarantine.example"), "reject", policy.ReasonPolicy},
		{"monitor", "{mode: monitor}", spoof("reject.example"), "accept", policy.ReasonPolicy},
		{"disabled", "{default: {dmarc: {enabled: false}}}", spoof("reject.example"), "accept", policy.ReasonDisabled},
		{"exception address", "{default: {dmarc: {exceptions: [203.0.113.0/24]}}}", spoof("reject.example"), "accept", policy.ReasonException},
		{"exception of another address", "{default: {dmarc: {exceptions: [203.0.113.8]}}}", spoof("reject.example"), "reject", policy.ReasonPolicy},
		{"sender not listed", "{default: {dmarc: {senders: [bank.example]}}}", spoof("reject.example"), "accept", policy.ReasonNotListed},
		{"sender listed", "{default: {dmarc: {senders: [\"*.bank.example\", reject.example]}}}", spoof("reject.example"), "reject", policy.ReasonPolicy},
		{"enforced peer, unsigned", "{default: {dmarc: {enforced_peers: [reject.example]}}}", genuine("reject.example"), "reject", policy.ReasonEnforcedPeer},
		{"enforced peer, either", "{default: {dmarc: {enforced_peers: [{domain: reject.example, require: either}]}}}", genuine("reject.example"), "accept", policy.ReasonPass},
		{"enforced peer, p=none", "{default: {dmarc: {enforced_peers: [none.example]}}}", spoof("none.example"), "quarantine", policy.ReasonEnforcedPeer},
		{"enforced peer, slot", "{default: {dmarc: {enforced_peers: [none.example], enforced_peer_action: slot}}}", spoof("none.example"), "accept", policy.ReasonEnforcedPeer},
		{"enforced peer without record", "{default: {dmarc: {enforced_peers: [norecord.example]}}}", spoof("norecord.example"), "quarantine", policy.ReasonEnforcedPeer},
		{"null sender judged by HELO", "{}", from("reject.example").sender("").greeting("mx.reject.example").by("198.51.100.1"), "accept", policy.ReasonPass},
		{"null sender, forged", "{}", from("reject.example").sender("").greeting("mx.reject.example").by("203.0.113.9"), "reject", policy.ReasonPolicy},
		{"null sender skipped", "{default: {dmarc: {skip_null_sender: true}}}", from("reject.example").sender("").by("203.0.113.9"), "accept", policy.ReasonNullSender},
		{"two From domains", "{}", spoof("none.example").with("From: b@reject.example\n"), "reject", policy.ReasonMultipleFrom},
		{"two From domains, quarantine", "{default: {dmarc: {multiple_from: quarantine}}}", spoof("none.example").with("From: b@reject.example\n"), "quarantine", policy.ReasonMultipleFrom},
		{"entry replaces the default wholly", "{default: {dmarc: {exceptions: [203.0.113.9]}}, domains: {example.org: {dmarc: {criteria: rfc}}}}", spoof("reject.example"), "reject", policy.ReasonPolicy},
		{"another domain keeps the default", "{default: {dmarc: {exceptions: [203.0.113.9]}}, domains: {example.net: {dmarc: {}}}}", spoof("reject.example"), "accept", policy.ReasonException},
		{"hes lets softfail's kin by", "{default: {dmarc: {criteria: hes}}}", from("none.example").sender("a@neutral.none.example").by("203.0.113.9"), "accept", policy.ReasonPass},
		{"not ours", "{managed: [example.net]}", spoof("reject.example"), "accept", policy.ReasonNotOurs},
		{"ours by managed", "{managed: [example.org]}", spoof("reject.example"), "reject", policy.ReasonPolicy},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, c.policy)
			res := r.send(c.mail)
			if got := outcomeWord(res); got != c.want {
				t.Errorf("got %s, want %s\n%s", got, c.want, r.log)
			}
			if got := r.last().Decision.Reason; got != c.reason {
				t.Errorf("reason %s, want %s", got, c.reason)
			}
			if c.want == "reject" && c.reason == policy.ReasonPolicy && !strings.Contains(res.Text, ".example") {
				t.Errorf("the reply names no domain: %d %s", res.Code, res.Text)
			}
		})
	}
}

// TestBypassed sees mail that is not inbound pass without a change, and mail for none
// of ours without a forged field.
func TestBypassed(t *testing.T) {
	forged := from("reject.example").with("Authentication-Results: mx.example.org; dmarc=pass\n").by("203.0.113.9")
	login := forged
	login.macros = map[byte][]string{miltertest.CmdMail: {"{auth_authen}", "ann"}}
	cases := []struct {
		name   string
		mail   mail
		extra  string
		policy string
		reason policy.Reason
	}{
		{"trusted network", forged, "", "{}", policy.ReasonTrusted},
		{"login", login, "", "{}", policy.ReasonLogin},
		{"none of ours", forged.to("a@elsewhere.example"), "", "{managed: [example.org]}", policy.ReasonNotOurs},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, behaviourZone, c.policy)
			if c.reason == policy.ReasonTrusted {
				s := *r.settings.Load()
				s.TrustedNetworks.Add(mustPrefix("203.0.113.0/24"))
				r.settings.Store(&s)
			}
			res := r.send(c.mail)
			kept := 1
			if c.reason == policy.ReasonNotOurs {
				kept = 0
			}
			if got := outcomeWord(res); got != "accept" || len(res.Mods) != 1-kept || len(fields(c.mail, res, "Authentication-Results")) != kept {
				t.Errorf("%s with %+v, want accepted, with %d forged fields", got, res.Mods, kept)
			}
			if !res.Skipped {
				t.Error("the body was taken although nobody needs it")
			}
			if got := r.last().Bypassed; got != c.reason {
				t.Errorf("bypassed for %q, want %q", got, c.reason)
			}
		})
	}

	t.Run("a client that logged in is judged if asked", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{}", "skip_authenticated: false")
		if got := outcomeWord(r.send(login)); got != "reject" {
			t.Errorf("got %s, want reject", got)
		}
	})
}

// TestConnectionFacts sends three mails over one connection, the first refused:
// each is judged by its own facts, and by those of the connection.
func TestConnectionFacts(t *testing.T) {
	r := newRig(t, behaviourZone, "{}")
	for _, offer := range []struct {
		name  string
		offer miltertest.Offer
	}{{"Postfix", miltertest.Postfix()}, {"Sendmail", miltertest.Sendmail()}} {
		t.Run(offer.name, func(t *testing.T) {
			mta := r.open(miltertest.Peer{Addr: "198.51.100.1", Helo: "mail.reject.example"}, offer.offer)
			for i, c := range []struct {
				mail mail
				want string
			}{
				{from("none.example").with("From: x@reject.example\n"), "reject"},
				{from("reject.example"), "accept"},
				{from("quarantine.example").sender("a@none.example"), "quarantine"},
				{from("reject.example").sender("").greeting(""), "reject"},
				{from("reject.example"), "accept"},
			} {
				res := r.sendOn(mta, c.mail)
				if got := outcomeWord(res); got != c.want {
					t.Errorf("message %d: %s, want %s", i+1, got, c.want)
				}
				if got := r.last().Envelope.ClientIP.String(); got != "198.51.100.1" {
					t.Errorf("message %d: client %s", i+1, got)
				}
			}
		})
	}
}

// TestParting sends mail to two tenants with different settings.
func TestParting(t *testing.T) {
	const domains = "domains: {strict.example: {dmarc: {}}, lax.example: {dmarc: {actions: {reject: bypass}}}}"
	both := from("reject.example").by("203.0.113.9").to("a@strict.example", "b@lax.example", "c@strict.example")
	genuine := from("reject.example").by("198.51.100.1").to("a@strict.example", "b@lax.example")

	t.Run("separate", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{mixed_recipients: separate, "+domains+"}")
		res := r.send(genuine)
		if got := codes(res); got != "0 452" {
			t.Errorf("answers at RCPT: %s, want the second sent away", got)
		}
		if got := outcomeWord(res); got != "accept" {
			t.Errorf("the first recipient's copy: %s", got)
		}
		if got := r.split.Load(); got != 1 {
			t.Errorf("%d recipients counted as split, want 1", got)
		}
		if got := outcomeWord(r.send(both)); got != "reject" {
			t.Errorf("the strict tenant's copy: %s", got)
		}
	})
	t.Run("separate parts nobody who wants the same", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{mixed_recipients: separate, domains: {one.example: {dmarc: {}}, two.example: {dmarc: {}}, lax.example: {dmarc: {enabled: false}}}}")
		if got := codes(r.send(genuine.to("a@one.example", "b@two.example"))); got != "0 0" {
			t.Errorf("answers at RCPT: %s", got)
		}
	})
	t.Run("a recipient that the MTA refused does not count", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{mixed_recipients: separate, "+domains+"}")
		m := genuine
		m.macros = map[byte][]string{miltertest.CmdRcpt: {"{rcpt_mailer}", "error"}}
		if got := codes(r.send(m)); got != "0 0" {
			t.Errorf("answers at RCPT: %s", got)
		}
	})
	t.Run("on_conflict", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{"+domains+"}")
		if res := r.send(genuine); outcomeWord(res) != "accept" || codes(res) != "0 0" {
			t.Errorf("mail that both let through: %s, %s", codes(res), outcomeWord(res))
		}
		if res := r.send(both); res.Code != 451 || !strings.HasPrefix(res.Text, "4.5.3 ") {
			t.Errorf("decisions differ: %d %s, want 451 4.5.3", res.Code, res.Text)
		}
		res := r.send(both)
		if got := codes(res); got != "0 452 0" {
			t.Errorf("the retry's answers at RCPT: %s, want the other tenant sent away", got)
		}
		if got := outcomeWord(res); got != "reject" {
			t.Errorf("the strict tenant's copy: %s", got)
		}
		if got := outcomeWord(r.send(both.to("b@lax.example"))); got != "accept" {
			t.Errorf("the lax tenant's copy: %s", got)
		}
	})
	t.Run("strictest", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{mixed_recipients: strictest, "+domains+"}")
		if res := r.send(both); outcomeWord(res) != "reject" || codes(res) != "0 0 0" {
			t.Errorf("%s, %s", codes(res), outcomeWord(res))
		}
	})
	t.Run("mildest", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{mixed_recipients: mildest, "+domains+"}")
		if res := r.send(both); outcomeWord(res) != "accept" || codes(res) != "0 0 0" {
			t.Errorf("%s, %s", codes(res), outcomeWord(res))
		}
	})
	t.Run("not ours neither separates nor decides", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{mixed_recipients: separate, managed: [none.invalid], "+domains+"}")
		res := r.send(both.to("x@elsewhere.example", "a@strict.example"))
		if codes(res) != "0 0" || outcomeWord(res) != "reject" {
			t.Errorf("%s, %s", codes(res), outcomeWord(res))
		}
	})
}

// TestRecipientSpelling spells a recipient of ours in every way that an MTA reads
// as ours: none switches the filter off.
func TestRecipientSpelling(t *testing.T) {
	spoof := from("reject.example").by("203.0.113.9")
	cases := []struct{ name, rcpt, addr, want string }{
		{"plain", "bob@example.org", "", "reject"},
		{"no domain, to the MTA one of this host", "nobody", "nobody@gw.example.net", "reject"},
		{"this host", "nobody@gw.example.net", "nobody@gw.example.net", "reject"},
		{"this host in upper case", "nobody@GW.Example.NET", "", "reject"},
		{"this host by its authserv-id", "nobody@mx.example.org", "", "reject"},
		{"localhost", "nobody@localhost", "nobody@localhost", "reject"},
		{"localhost with a domain", "nobody@localhost.localdomain", "", "reject"},
		{"an alias that ends up on this host", "x@elsewhere.example", "x@gw.example.net", "reject"},
		{"a name below this host's", "nobody@sub.gw.example.net", "nobody@sub.gw.example.net", "accept"},
		{"upper case", "Bob@EXAMPLE.org", "", "reject"},
		{"trailing dot", "bob@example.org.", "", "reject"},
		{"percent", "bob%example.org", "", "reject"},
		{"percent, by way of another", "bob%example.org@mx.elsewhere.example", "", "reject"},
		{"quoted", "\"bob@example.org\"", "", "reject"},
		{"bang path", "example.org!bob", "", "reject"},
		{"source route", "@elsewhere.example:bob@example.org", "", "reject"},
		{"no domain", "bob", "", "reject"},
		{"postmaster", "postmaster", "", "reject"},
		{"address literal", "bob@[192.0.2.25]", "", "reject"},
		{"what the MTA makes of it", "alias@elsewhere.example", "bob@example.org", "reject"},
		{"a local user to the MTA", "bob@example.org", "bob", "reject"},
		{"elsewhere", "bob@elsewhere.example", "bob@elsewhere.example", "accept"},
		{"elsewhere, plus and equals", "bounce+bob=example.org@elsewhere.example", "", "accept"},
	}
	r := newRig(t, behaviourZone, "{managed: [example.org]}")
	gateway := miltertest.Peer{Addr: spoof.client, Macros: map[byte][]string{miltertest.CmdConnect: {"j", "gw.example.net"}}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := spoof.to(c.rcpt)
			if c.addr != "" {
				m.macros = map[byte][]string{miltertest.CmdRcpt: {"{rcpt_addr}", c.addr}}
			}
			mta := r.open(gateway, miltertest.Postfix())
			if got := outcomeWord(r.sendOn(mta, m)); got != c.want {
				t.Errorf("got %s, want %s (%s)", got, c.want, r.last().Decision.Reason)
			}
		})
	}
	t.Run("delivered on this host, whatever its name", func(t *testing.T) {
		for mailer, want := range map[string]string{"local": "reject", "smtp": "accept", "": "accept"} {
			m := spoof.to("bob@elsewhere.example")
			m.macros = map[byte][]string{miltertest.CmdRcpt: {"{rcpt_mailer}", mailer, "{rcpt_addr}", "bob@elsewhere.example"}}
			if got := outcomeWord(r.send(m)); got != want {
				t.Errorf("mailer %q: %s, want %s", mailer, got, want)
			}
		}
	})
	t.Run("local recipients have the rules of all, or the default", func(t *testing.T) {
		for yaml, want := range map[string]string{
			"{managed: [example.org], domains: {example.org: {mode: monitor}}}":                                          "accept",
			"{managed: [none.invalid], domains: {example.org: {mode: monitor}, example.net: {dmarc: {enabled: false}}}}": "reject",
		} {
			if got := outcomeWord(newRig(t, behaviourZone, yaml).send(spoof.to("nobody"))); got != want {
				t.Errorf("%s: %s, want %s", yaml, got, want)
			}
		}
	})
	t.Run("an entry decides behind a percent sign", func(t *testing.T) {
		r := newRig(t, behaviourZone, "{domains: {example.org: {dmarc: {actions: {reject: bypass}}}}}")
		if got := outcomeWord(r.send(spoof.to("bob%example.org"))); got != "accept" {
			t.Errorf("got %s, want the entry of example.org to decide", got)
		}
	})
}

// codes are the answers at RCPT.
func codes(res *miltertest.Result) string {
	var words []string
	for _, a := range res.Rcpts {
		words = append(words, fmt.Sprint(a.Code))
	}
	return strings.Join(words, " ")
}

// TestPadding pads a spoof in every way a message can be padded: none turns the
// reject into an accept.
func TestPadding(t *testing.T) {
	good := newSigner("unrelated.example", "s1")
	zone := behaviourZone + good.record()
	spoof := from("reject.example").by("203.0.113.9")
	junk := func(n int, line string) string { return strings.Repeat(line, n) }
	const fakeSignature = "DKIM-Signature: v=1; a=rsa-sha256; d=reject.example; s=s%d; h=From; bh=AAAA; b=AAAA\n"
	var signatures strings.Builder
	for i := range 30 {
		fmt.Fprintf(&signatures, fakeSignature, i)
	}
	cases := []struct {
		name   string
		mail   mail
		reason policy.Reason
	}{
		{"fields before the From", spoof.with(junk(2500, "X-Pad: x\n")), policy.ReasonMultipleFrom},
		{"fields behind the From", mail{client: "203.0.113.9", mailFrom: spoof.mailFrom, raw: "From: a@reject.example\n" + junk(2500, "X-Pad: x\n") + "\nbody\n"}, policy.ReasonPolicy},
		{"a second From behind the padding", mail{client: "203.0.113.9", mailFrom: "a@norecord.example", raw: "From: a@norecord.example\n" + junk(2500, "X-Pad: x\n") + "From: a@reject.example\n\nbody\n"}, policy.ReasonMultipleFrom},
		{"bytes of header", spoof.with(junk(20, "X-Pad: "+junk(2000, "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n ")+"z\n")), policy.ReasonPolicy},
		{"signatures", spoof.with(signatures.String()), policy.ReasonPolicy},
		{"received fields", spoof.with(junk(1000, "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\n")), policy.ReasonPolicy},
		{"forged results", spoof.with(junk(50, "Authentication-Results: mx.example.org; dmarc=pass\n")), policy.ReasonPolicy},
		{"more forged results than can be deleted", from("none.example").with(junk(2500, "Authentication-Results: mx.example.org; dmarc=pass\n")), policy.ReasonForged},
		{"a huge From", mail{client: "203.0.113.9", mailFrom: spoof.mailFrom, raw: "From: " + junk(4000, "\"aaaaaaaaaaaaaaaa\"\n ") + "<a@reject.example>\n\nbody\n"}, policy.ReasonMultipleFrom},
		{"body", mail{client: "203.0.113.9", mailFrom: spoof.mailFrom, raw: spoof.raw + junk(100000, "padding padding padding\n")}, policy.ReasonPolicy},
		{"an unrelated good signature", mail{client: "203.0.113.9", mailFrom: spoof.mailFrom, raw: good.sign(t, spoof.raw)}, policy.ReasonPolicy},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, zone, "{}")
			if got := outcomeWord(r.send(c.mail)); got != "reject" {
				t.Errorf("got %s, want reject\n%s", got, r.log)
			}
			if got := r.last().Decision.Reason; got != c.reason {
				t.Errorf("reason %s, want %s", got, c.reason)
			}
		})
	}

	t.Run("criteria hes and standalone DKIM", func(t *testing.T) {
		own := newSigner("reject.example", "real")
		broken := strings.Replace(own.sign(t, from("reject.example").raw), "Subject: x", "Subject: y", 1)
		hes := "{default: {dmarc: {criteria: hes}}}"
		standalone := "{default: {dmarc: {enabled: false}, dkim: {enabled: true, actions: {fail: reject}}}}"
		for name, raw := range map[string]string{
			"no padding":            broken,
			"fields behind":         strings.Replace(broken, "Subject:", junk(2500, "X-Pad: x\n")+"Subject:", 1),
			"fields before":         "From: a@reject.example\n" + junk(2500, "X-Pad: x\n") + strings.Replace(broken, "From: a@reject.example\n", "", 1),
			"signatures":            strings.Replace(broken, "Subject:", strings.ReplaceAll(signatures.String(), "d=reject.example", "d=sub.reject.example")+"Subject:", 1),
			"tags of the signature": strings.Replace(broken, "DKIM-Signature: ", "DKIM-Signature: "+unknownTags(40), 1),
		} {
			for kind, yaml := range map[string]string{"hes": hes, "standalone": standalone} {
				r := newRig(t, zone+own.record(), yaml)
				if got := outcomeWord(r.send(mail{client: "198.51.100.1", mailFrom: "a@reject.example", raw: raw})); got != "reject" {
					t.Errorf("%s, %s: %s, want reject; signatures %+v", kind, name, got, r.last().Verdict.DKIM)
				}
			}
		}
	})

	t.Run("junk signatures do not hide the genuine one", func(t *testing.T) {
		own := newSigner("reject.example", "real")
		r := newRig(t, zone+own.record(), "{}")
		m := spoof
		m.raw = strings.ReplaceAll(signatures.String(), "d=reject.example", "d=junk.example") + own.sign(t, spoof.raw)
		if got := outcomeWord(r.send(m)); got != "accept" {
			t.Errorf("got %s, want accept", got)
		}
		notChecked := 0
		for _, s := range r.last().Verdict.DKIM {
			if s.Status == dkim.Policy {
				notChecked++
			}
		}
		if notChecked != 21 {
			t.Errorf("%d signatures beyond the limit, want 21 of 31", notChecked)
		}

		m.raw = strings.Repeat(strings.ReplaceAll(signatures.String(), "d=reject.example", "d=junk.example"), 30) + own.sign(t, spoof.raw)
		results := field(t, m, r.send(m), "Authentication-Results")
		if n := strings.Count(results, "dkim="); n > 100 || !strings.Contains(results, "dkim=pass header.d=reject.example") {
			t.Errorf("%d items, want at most 100 with the genuine one among them: %.300s", n, results)
		}
	})
}

// unknownTags are n tags of a signature, all unknown.
func unknownTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "z%d=1; ", i)
	}
	return b.String()
}

// TestDNSTrouble checks that every DNS fault results in temperror, or does not change a
// result that it cannot affect; never as none, fail or a wait past the budget.
func TestDNSTrouble(t *testing.T) {
	own := newSigner("signed.example", "s1")
	records := `
spf.example. TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.spf.example. TXT "v=DMARC1; p=reject"
_dmarc.signed.example. TXT "v=DMARC1; p=reject"
both.example. TXT "v=spf1 include:broken.example -all"
_dmarc.both.example. TXT "v=DMARC1; p=reject"
`
	signed := mail{client: "203.0.113.9", mailFrom: "a@elsewhere.example", raw: own.sign(t, "From: a@signed.example\nSubject: x\n\nbody\n")}
	for _, kind := range []string{"timeout", "servfail", "refused", "garbage", "wrong-id", "wrong-question", "huge"} {
		t.Run(kind, func(t *testing.T) {
			cases := []struct {
				name, fault string
				mail        mail
				want        string
			}{
				{"DMARC record", "_dmarc.spf.example.", from("spf.example").by("203.0.113.9"), "accept"},
				{"SPF record", "spf.example.", from("spf.example").by("203.0.113.9"), "defer"},
				{"included record", "broken.example.", from("both.example").by("203.0.113.9"), "defer"},
				{"key", "s1._domainkey.signed.example.", signed, "defer"},
			}
			for _, c := range cases {
				r := newRig(t, records+c.fault+" FAULT "+kind+"\n", "{}", impatientDNS)
				res := r.send(c.mail)
				o := r.last()
				if o.Verdict.DMARC.Status != dmarc.TempError || outcomeWord(res) != c.want {
					t.Errorf("%s: dmarc=%s and %s, want temperror and %s\n%s", c.name, o.Verdict.DMARC.Status, outcomeWord(res), c.want, r.log)
				}
			}
		})
	}
	t.Run("temperror deferred where asked", func(t *testing.T) {
		r := newRig(t, records+"_dmarc.spf.example. FAULT servfail\n", "{default: {dmarc: {actions: {temperror: defer}}}}", impatientDNS)
		if res := r.send(from("spf.example")); res.Code != 451 {
			t.Errorf("got %d %s, want 451", res.Code, res.Text)
		}
	})
	t.Run("enforced peer defers", func(t *testing.T) {
		r := newRig(t, records+"spf.example. FAULT timeout\n", "{default: {dmarc: {enforced_peers: [spf.example]}}}", impatientDNS)
		if res := r.send(from("spf.example")); res.Code != 451 {
			t.Errorf("got %d %s, want 451", res.Code, res.Text)
		}
	})
	t.Run("an aligned pass elsewhere wins", func(t *testing.T) {
		r := newRig(t, records+own.record()+"elsewhere.example. FAULT servfail\n", "{}", impatientDNS)
		m := signed
		if got := outcomeWord(r.send(m)); got != "accept" || r.last().Verdict.DMARC.Status != dmarc.Pass {
			t.Errorf("%s, dmarc=%s; want accept and pass", got, r.last().Verdict.DMARC.Status)
		}
	})
}
