package policy

import (
	"net/netip"
	"strings"
	"testing"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// testRules are the built-in defaults, spelled out.
func testRules(change func(*Rules)) *Rules {
	text, err := ParseTemplate("5.7.1 {domain} asks to reject mail that fails DMARC: SPF {spf}, DKIM {dkim}")
	if err != nil {
		panic(err)
	}
	r := &Rules{Mode: Enforce, DMARC: DMARCRules{
		Enabled: true, Criteria: CriteriaRFC, Senders: DomainList{All: true},
		EnforcedPeerAction: PeerQuarantine, MultipleFrom: Reject, NoRecordWhen: NoRecordAlways,
		Actions:    Slots{None: Bypass, Quarantine: Quarantine, Reject: Reject, NoRecord: Bypass, Temperror: TemperrorByPolicy},
		RejectText: text,
	}}
	if change != nil {
		change(r)
	}
	return r
}

// with sets the published policy of a verdict.
func with(v *Verdict, p dmarc.Policy) *Verdict {
	v.DMARC.Policy, v.DMARC.Requested = p, p
	if p == "" {
		v.DMARC.Status, v.DMARC.Record, v.DMARC.PolicyDomain = dmarc.None, nil, dns.Name{}
	}
	return v
}

func noAuthor(domains ...string) *Verdict {
	v := &Verdict{SPF: spf.Result{Status: spf.Pass}, DMARC: dmarc.Result{Status: dmarc.PermError}}
	for _, d := range domains {
		v.Authors = append(v.Authors, dns.MustParse(d))
	}
	return v
}

func TestDecide(t *testing.T) {
	failing := func(p dmarc.Policy) *Verdict { return with(build(spf.Fail, true), p) }
	passing := func(p dmarc.Policy) *Verdict { return with(build(spf.Pass, true), p) }
	peer := func(r *Rules) { r.DMARC.EnforcedPeers.Add(dns.MustParse("example.com"), false, false, RequireBoth) }
	client := netip.MustParseAddr("192.0.2.7")
	exception := func(r *Rules) { r.DMARC.Exceptions.Add(netip.MustParsePrefix("192.0.2.0/24")) }
	listed := func(names ...string) func(r *Rules) {
		return func(r *Rules) {
			r.DMARC.Senders = DomainList{}
			for _, n := range names {
				r.DMARC.Senders.Add(dns.MustParse(n), false)
			}
		}
	}
	cases := []struct {
		name    string
		verdict *Verdict
		facts   Facts
		rules   func(*Rules)
		action  Action
		would   Action
		reason  Reason
		rule    string
	}{
		{"pass", passing(dmarc.PolicyReject), Facts{}, nil, Bypass, Bypass, ReasonPass, ""},
		{"p=none", failing(dmarc.PolicyNone), Facts{}, nil, Bypass, Bypass, ReasonPolicy, "dmarc.actions.none"},
		{"p=quarantine", failing(dmarc.PolicyQuarantine), Facts{}, nil, Quarantine, Quarantine, ReasonPolicy, "dmarc.actions.quarantine"},
		{"p=reject", failing(dmarc.PolicyReject), Facts{}, nil, Reject, Reject, ReasonPolicy, "dmarc.actions.reject"},
		{"no record", failing(""), Facts{}, nil, Bypass, Bypass, ReasonNoRecord, "dmarc.actions.no_record"},
		{"no record, reject, even with SPF pass", passing(""), Facts{}, func(r *Rules) { r.DMARC.Actions.NoRecord = Reject }, Reject, Reject, ReasonNoRecord, "dmarc.actions.no_record"},
		{"no record, unauthenticated only, SPF pass", passing(""), Facts{}, func(r *Rules) {
			r.DMARC.Actions.NoRecord, r.DMARC.NoRecordWhen = Reject, NoRecordUnauthenticated
		}, Bypass, Bypass, ReasonNoRecord, "dmarc.no_record_when"},
		{"no record, unauthenticated only, SPF fail", failing(""), Facts{}, func(r *Rules) {
			r.DMARC.Actions.NoRecord, r.DMARC.NoRecordWhen = Quarantine, NoRecordUnauthenticated
		}, Quarantine, Quarantine, ReasonNoRecord, "dmarc.actions.no_record"},
		{"no record, unauthenticated only, SPF temperror", with(build(spf.TempError, true), ""), Facts{}, func(r *Rules) {
			r.DMARC.Actions.NoRecord, r.DMARC.NoRecordWhen = Reject, NoRecordUnauthenticated
		}, Defer, Defer, ReasonTemperror, "dmarc.actions.temperror"},
		{"disabled", failing(dmarc.PolicyReject), Facts{}, func(r *Rules) { r.DMARC.Enabled = false }, Bypass, Bypass, ReasonDisabled, "dmarc.enabled"},
		{"disabled beats enforced peer", failing(dmarc.PolicyReject), Facts{}, func(r *Rules) { peer(r); r.DMARC.Enabled = false }, Bypass, Bypass, ReasonDisabled, "dmarc.enabled"},
		{"exception", failing(dmarc.PolicyReject), Facts{ClientIP: client}, exception, Bypass, Bypass, ReasonException, "dmarc.exceptions"},
		{"exception beats enforced peer", failing(dmarc.PolicyReject), Facts{ClientIP: client}, func(r *Rules) { exception(r); peer(r) }, Bypass, Bypass, ReasonException, "dmarc.exceptions"},
		{"exception of another network", failing(dmarc.PolicyReject), Facts{ClientIP: netip.MustParseAddr("198.51.100.1")}, exception, Reject, Reject, ReasonPolicy, "dmarc.actions.reject"},
		{"sender not listed", failing(dmarc.PolicyReject), Facts{}, listed("bank.example"), Bypass, Bypass, ReasonNotListed, "dmarc.senders"},
		{"sender listed", failing(dmarc.PolicyReject), Facts{}, listed("example.com"), Reject, Reject, ReasonPolicy, "dmarc.actions.reject"},
		{"senders list grants an enforced peer nothing", failing(dmarc.PolicyNone), Facts{}, func(r *Rules) { listed("bank.example")(r); peer(r) }, Quarantine, Quarantine, ReasonEnforcedPeer, "dmarc.enforced_peer_action"},
		{"null sender skipped", failing(dmarc.PolicyReject), Facts{NullSender: true}, func(r *Rules) { r.DMARC.SkipNullSender = true }, Bypass, Bypass, ReasonNullSender, "dmarc.skip_null_sender"},
		{"null sender not skipped", failing(dmarc.PolicyReject), Facts{NullSender: true}, nil, Reject, Reject, ReasonPolicy, "dmarc.actions.reject"},
		{"null sender grants an enforced peer nothing", failing(dmarc.PolicyReject), Facts{NullSender: true}, func(r *Rules) { r.DMARC.SkipNullSender = true; peer(r) }, Reject, Reject, ReasonEnforcedPeer, "dmarc.actions.reject"},
		{"enforced peer, p=none, at least quarantine", failing(dmarc.PolicyNone), Facts{}, peer, Quarantine, Quarantine, ReasonEnforcedPeer, "dmarc.enforced_peer_action"},
		{"enforced peer, p=reject, the stricter slot", failing(dmarc.PolicyReject), Facts{}, peer, Reject, Reject, ReasonEnforcedPeer, "dmarc.actions.reject"},
		{"enforced peer, the slot alone", failing(dmarc.PolicyNone), Facts{}, func(r *Rules) { peer(r); r.DMARC.EnforcedPeerAction = PeerSlot }, Bypass, Bypass, ReasonEnforcedPeer, "dmarc.actions.none"},
		{"enforced peer without a record", passing(""), Facts{}, peer, Quarantine, Quarantine, ReasonEnforcedPeer, "dmarc.enforced_peer_action"},
		{"enforced peer passes", with(build(spf.Pass, true, sig{dkim.Pass, true}), dmarc.PolicyReject), Facts{}, peer, Bypass, Bypass, ReasonPass, ""},
		{"enforced peer that passes by RFC only", passing(dmarc.PolicyReject), Facts{}, peer, Reject, Reject, ReasonEnforcedPeer, "dmarc.actions.reject"},
		{"enforced peer, temperror defers", build(spf.TempError, true), Facts{}, peer, Defer, Defer, ReasonTemperror, "dmarc.enforced_peers"},
		{"several From domains", noAuthor("a.example", "b.example"), Facts{}, nil, Reject, Reject, ReasonMultipleFrom, "dmarc.multiple_from"},
		{"no readable From", noAuthor(), Facts{}, nil, Reject, Reject, ReasonMultipleFrom, "dmarc.multiple_from"},
		{"no readable From under a senders list", noAuthor(), Facts{}, listed("bank.example"), Reject, Reject, ReasonMultipleFrom, "dmarc.multiple_from"},
		{"several From domains, none listed", noAuthor("a.example", "b.example"), Facts{}, listed("bank.example"), Bypass, Bypass, ReasonNotListed, "dmarc.senders"},
		{"several From domains, one listed", noAuthor("a.example", "bank.example"), Facts{}, listed("bank.example"), Reject, Reject, ReasonMultipleFrom, "dmarc.multiple_from"},
		{"several From domains, one an enforced peer", noAuthor("a.example", "example.com"), Facts{NullSender: true}, func(r *Rules) {
			peer(r)
			r.DMARC.MultipleFrom, r.DMARC.SkipNullSender = Bypass, true
		}, Quarantine, Quarantine, ReasonEnforcedPeer, "dmarc.enforced_peer_action"},
		{"multiple_from bypass", noAuthor("a.example", "b.example"), Facts{}, func(r *Rules) { r.DMARC.MultipleFrom = Bypass }, Bypass, Bypass, ReasonMultipleFrom, "dmarc.multiple_from"},
		{"monitor", failing(dmarc.PolicyReject), Facts{}, func(r *Rules) { r.Mode = Monitor }, Bypass, Reject, ReasonPolicy, "dmarc.actions.reject"},
		{"monitor defers nothing", build(spf.TempError, true), Facts{}, func(r *Rules) { r.Mode = Monitor; peer(r) }, Bypass, Defer, ReasonTemperror, "dmarc.enforced_peers"},
		{"hes lets softfail by", with(build(spf.Softfail, true), dmarc.PolicyReject), Facts{}, func(r *Rules) { r.DMARC.Criteria = CriteriaHES }, Bypass, Bypass, ReasonPass, ""},
		{"hes fails what the RFC passes", with(build(spf.Pass, true, sig{dkim.Fail, true}), dmarc.PolicyReject), Facts{}, func(r *Rules) { r.DMARC.Criteria = CriteriaHES }, Reject, Reject, ReasonPolicy, "dmarc.actions.reject"},
		{"a map that rejects p=quarantine", failing(dmarc.PolicyQuarantine), Facts{}, func(r *Rules) { r.DMARC.Actions.Quarantine = Reject }, Reject, Reject, ReasonPolicy, "dmarc.actions.quarantine"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(c.verdict, c.facts, testRules(c.rules))
			if d.Action != c.action || d.Would != c.would || d.Reason != c.reason || d.Rule != c.rule {
				t.Errorf("got %s (would %s) %s by %q, want %s (would %s) %s by %q",
					d.Action, d.Would, d.Reason, d.Rule, c.action, c.would, c.reason, c.rule)
			}
			checkReply(t, d)
		})
	}
}

// checkReply holds what is true of every decision: a reply exactly when mail is
// refused, of the right class, one line, naming the sender's domain where there is one.
func checkReply(t *testing.T, d Decision) {
	t.Helper()
	switch d.Action {
	case Reject:
		if d.Reply.Code != 550 || !strings.HasPrefix(d.Reply.Enhanced, "5.") || d.Reply.Text == "" {
			t.Errorf("reply of a rejection: %+v", d.Reply)
		}
		if d.Reason != ReasonMultipleFrom && !strings.Contains(d.Reply.Text, "example.com") {
			t.Errorf("the reply names no domain: %q", d.Reply.Text)
		}
	case Defer:
		if d.Reply.Code != 451 || !strings.HasPrefix(d.Reply.Enhanced, "4.") {
			t.Errorf("reply of a deferral: %+v", d.Reply)
		}
	default:
		if d.Reply != (Reply{}) {
			t.Errorf("a reply to mail that is taken: %+v", d.Reply)
		}
	}
}

func TestRejectText(t *testing.T) {
	v := with(build(spf.Softfail, true, sig{dkim.Fail, true}), dmarc.PolicyReject)
	v.SPF.Explanation = "see\r\n250 ok"
	text, err := ParseTemplate("5.7.26 {domain} {policy_domain} {spf} {dkim} {client_ip} {queue_id} {explanation}")
	if err != nil {
		t.Fatal(err)
	}
	r := testRules(func(r *Rules) { r.DMARC.RejectText = text })
	d := Decide(v, Facts{ClientIP: netip.MustParseAddr("2001:db8::1"), QueueID: "4Xyz"}, r)
	want := Reply{Code: 550, Enhanced: "5.7.26", Text: "example.com example.com softfail fail 2001:db8::1 4Xyz see  250 ok"}
	if d.Reply != want {
		t.Errorf("got  %+v\nwant %+v", d.Reply, want)
	}
}

// TestARCComment has the comment of an ARC override name the client of the first
// hop, which is not the one that sent the message to us.
func TestARCComment(t *testing.T) {
	sealer := dns.MustParse("lists.example.net")
	r := testRules(func(r *Rules) {
		r.DMARC.ARC.Enabled = true
		r.DMARC.ARC.TrustedSealers.Add(sealer, false)
	})
	for results, want := range map[string]string{
		"mx; dmarc=pass header.from=example.com; arc=none smtp.remote-ip=198.51.100.9": "arc=pass as[1].d=lists.example.net as[1].s=s remote-ip[1]=198.51.100.9",
		"mx; dmarc=pass header.from=example.com; arc=none smtp.remote-ip=nonsense":     "arc=pass as[1].d=lists.example.net as[1].s=s",
		"mx; dmarc=pass header.from=example.com":                                       "arc=pass as[1].d=lists.example.net as[1].s=s",
	} {
		v := with(build(spf.Fail, true), dmarc.PolicyReject)
		v.ARC = arc.Result{Status: arc.Pass, Hops: []arc.Hop{{Instance: 1, SealDomain: sealer, SealSelector: "s", FromSigned: true, Results: results}}}
		d := Decide(v, Facts{ClientIP: netip.MustParseAddr("192.0.2.7")}, r)
		if d.Reason != ReasonARC || d.Comment != want {
			t.Errorf("%s: %s %q, want %q", results, d.Reason, d.Comment, want)
		}
	}
}

func TestParseTemplateRefuses(t *testing.T) {
	for _, s := range []string{"{nosuch}", "{domain", "a\r\nb", "ü", "{}"} {
		if _, err := ParseTemplate(s); err == nil {
			t.Errorf("ParseTemplate(%q): no error", s)
		}
	}
}

func TestTemplateIsBounded(t *testing.T) {
	text, err := ParseTemplate(strings.Repeat("{domain}", 20))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(text.Expand(func(string) string { return strings.Repeat("x", 1000) })); got != maxReplyText {
		t.Errorf("length %d, want %d", got, maxReplyText)
	}
}

func TestDomainList(t *testing.T) {
	var l DomainList
	l.Add(dns.MustParse("bank.example"), false)
	l.Add(dns.MustParse("shop.example"), true)
	for name, want := range map[string]bool{
		"bank.example": true, "www.bank.example": false, "shop.example": false,
		"a.shop.example": true, "b.a.shop.example": true, "notshop.example": false,
	} {
		if got := l.Match(dns.MustParse(name)); got != want {
			t.Errorf("Match(%s) = %v, want %v", name, got, want)
		}
	}
	if l.Match(dns.Name{}) || (&DomainList{}).Match(dns.MustParse("a.example")) {
		t.Error("no name, or an empty list, matched")
	}
	if all := (DomainList{All: true}); !all.Match(dns.Name{}) {
		t.Error("all did not match")
	}
}

func TestNetList(t *testing.T) {
	var l NetList
	for _, p := range []string{"192.0.2.0/24", "192.0.2.128/25", "2001:db8::/32", "::ffff:198.51.100.0/120"} {
		l.Add(netip.MustParsePrefix(p))
	}
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.0/24", "192.0.2.200": "192.0.2.128/25", "::ffff:192.0.2.1": "192.0.2.0/24",
		"2001:db8:1::5": "2001:db8::/32", "198.51.100.9": "198.51.100.0/24", "203.0.113.1": "", "2001:db9::1": "",
	} {
		got, ok := l.Find(netip.MustParseAddr(addr))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("Find(%s) = %v %v, want %q", addr, got, ok, want)
		}
	}
	if l.Match(netip.Addr{}) {
		t.Error("the zero address matched")
	}
}
