package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
)

// elsewhere returns the verdict's SPF and signatures domains that do not align.
func elsewhere(v *Verdict) *Verdict {
	if v.SPFAlignment == dmarc.Unaligned {
		v.SPF.Domain = dns.MustParse("evil.example")
	}
	for i := range v.DKIM {
		if v.DKIMAlignments[i] == dmarc.Unaligned {
			v.DKIM[i].Domain = dns.MustParse("esp.example")
		}
	}
	return v
}

// TestReplies holds the texts of rejections to what is true of the message.
func TestReplies(t *testing.T) {
	rejects := func(v *Verdict) *Verdict { return with(elsewhere(v), dmarc.PolicyReject) }
	text := func(s string) func(*Rules) {
		return func(r *Rules) {
			var err error
			if r.DMARC.RejectText, err = ParseTemplate(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	hes := func(r *Rules) { r.DMARC.Criteria = CriteriaHES }
	peer := func(require Require) func(*Rules) {
		return func(r *Rules) {
			r.DMARC.EnforcedPeers.Add(dns.MustParse("example.com"), false, false, require)
			r.DMARC.EnforcedPeerAction = PeerReject
		}
	}
	noFrom := func(why error) *Verdict { return &Verdict{DMARC: dmarc.NoAuthor(why)} }
	cases := []struct {
		name    string
		verdict *Verdict
		rules   func(*Rules)
		want    string
	}{
		{"failed", rejects(build(spf.Fail, true)), nil,
			"5.7.1 example.com asks to reject mail that fails DMARC: SPF fail, DKIM none"},
		{"SPF passes unaligned", rejects(build(spf.Pass, false)), nil,
			"5.7.1 example.com asks to reject mail that fails DMARC: SPF pass for evil.example, which does not align, DKIM none"},
		{"both pass unaligned", rejects(build(spf.Pass, false, sig{dkim.Pass, false})), nil,
			"5.7.1 example.com asks to reject mail that fails DMARC: SPF pass for evil.example, which does not align, DKIM pass for esp.example, which does not align"},
		{"softfail aligned", rejects(build(spf.Softfail, true, sig{dkim.Fail, true})), nil,
			"5.7.1 example.com asks to reject mail that fails DMARC: SPF softfail, DKIM fail"},
		{"operator's text", rejects(build(spf.Pass, false)), text("no: SPF {spf}; DKIM {dkim}"),
			"5.7.1 no: SPF pass for evil.example, which does not align; DKIM none"},
		{"p=quarantine", with(elsewhere(build(spf.Pass, false)), dmarc.PolicyQuarantine), func(r *Rules) { r.DMARC.Actions.Quarantine = Reject },
			"5.7.1 mail from example.com fails DMARC (p=quarantine), which this site does not accept: SPF pass for evil.example, which does not align, DKIM none"},
		{"hes fails what passes elsewhere", rejects(build(spf.Pass, true, sig{dkim.Fail, true})), hes,
			"5.7.1 example.com asks to reject mail that fails DMARC, which it does here by the criteria hes (SPF must not fail, DKIM must not fail, one must align): SPF pass, DKIM fail"},
		{"hes, p=quarantine", with(build(spf.Fail, true), dmarc.PolicyQuarantine), func(r *Rules) { hes(r); r.DMARC.Actions.Quarantine = Reject },
			"5.7.1 mail from example.com fails DMARC (p=quarantine) by the criteria hes (SPF must not fail, DKIM must not fail, one must align), which this site does not accept: SPF fail, DKIM none"},
		{"hes, operator's text", rejects(build(spf.Fail, true)), func(r *Rules) { hes(r); text("5.7.26 no: {spf}")(r) }, "5.7.26 no: fail"},
		{"enforced peer, unsigned", rejects(build(spf.Pass, true)), peer(RequireBoth),
			"5.7.1 example.com must pass both SPF and DKIM here, one of them aligned: SPF pass, DKIM none"},
		{"enforced peer, nothing aligned", rejects(build(spf.Pass, false, sig{dkim.Pass, false})), peer(RequireBoth),
			"5.7.1 example.com must pass both SPF and DKIM here, one of them aligned: SPF pass for evil.example, which does not align, DKIM pass for esp.example, which does not align"},
		{"enforced peer, either", rejects(build(spf.Softfail, true)), peer(RequireEither),
			"5.7.1 example.com must pass SPF or DKIM here, aligned: SPF softfail, DKIM none"},
		{"enforced peer without a record", with(build(spf.Pass, true), ""), peer(RequireBoth),
			"5.7.1 example.com must pass DMARC here, but publishes no DMARC record"},
		{"no record", with(build(spf.Pass, true), ""), func(r *Rules) { r.DMARC.Actions.NoRecord = Reject },
			"5.7.1 example.com publishes no DMARC record, which this site does not accept"},
		{"no record, unauthenticated", with(elsewhere(build(spf.Pass, false)), ""), func(r *Rules) {
			r.DMARC.Actions.NoRecord, r.DMARC.NoRecordWhen = Reject, NoRecordUnauthenticated
		}, "5.7.1 example.com publishes no DMARC record, and neither SPF nor DKIM passes for it: SPF pass for evil.example, which does not align, DKIM none"},
		{"no From", noFrom(message.ErrNoFrom), nil, "5.7.1 the message has no From field, so DMARC cannot be checked"},
		{"no address", noFrom(message.ErrNoAddress), nil, "5.7.1 the From field holds no address, so DMARC cannot be checked"},
		{"several fields", noFrom(message.ErrSeveralFields), nil, "5.7.1 the message has several From fields, so DMARC cannot be checked"},
		{"several addresses", noFrom(message.ErrSeveralAddresses), nil, "5.7.1 the From field holds several addresses, or what could be taken for one, so DMARC cannot be checked"},
		{"unreadable", noFrom(fmt.Errorf("%w: control character", message.ErrBadFrom)), nil, "5.7.1 the From field cannot be read, so DMARC cannot be checked"},
		{"remembered by an old build", noFrom(nil), nil, "5.7.1 the message has no single author domain, so DMARC cannot be checked"},
		{"standalone SPF", rejects(build(spf.Fail, false)), func(r *Rules) { r.SPF = SPFRules{Enabled: true, Actions: SPFActions{Fail: Reject}} },
			"5.7.23 SPF fail: evil.example does not permit 192.0.2.1 to send its mail"},
		{"standalone DKIM", rejects(build(spf.Pass, true, sig{dkim.Fail, true})), func(r *Rules) { r.DKIM = DKIMRules{Enabled: true, Actions: DKIMActions{Fail: Reject}} },
			"5.7.20 DKIM fail: no signature of the message verifies"},
		{"standalone DKIM, unsigned", rejects(build(spf.Pass, true)), func(r *Rules) { r.DKIM = DKIMRules{Enabled: true, Actions: DKIMActions{None: Reject}} },
			"5.7.20 DKIM none: the message has no signature, which this site does not accept"},
		{"standalone DKIM, enforced peer", rejects(build(spf.Pass, true)), func(r *Rules) {
			r.DKIM = DKIMRules{Enabled: true, Actions: DKIMActions{Fail: Reject}, EnforcedPeers: DomainList{All: true}}
		}, "5.7.20 DKIM none: mail from example.com must have a signature here that verifies"},
	}
	facts := Facts{ClientIP: netip.MustParseAddr("192.0.2.1")}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(c.verdict, facts, testRules(c.rules))
			if got := d.Reply.Enhanced + " " + d.Reply.Text; d.Action != Reject || got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", d.Action, got, c.want)
			}
			if strings.Contains(d.Reply.Text, "SPF fail, which") {
				t.Errorf("alignment of what did not pass: %s", d.Reply.Text)
			}
		})
	}
}

// TestReplyIsOneSafeLine fills a reply with what a sender can choose.
func TestReplyIsOneSafeLine(t *testing.T) {
	v := elsewhere(with(build(spf.Fail, true), dmarc.PolicyReject))
	v.SPF.Explanation = "line\r\n250 ok \x00 \xff \u202e" + strings.Repeat("x", 1000)
	d := Decide(v, Facts{QueueID: "4Wx\r\n250 ok"}, testRules(func(r *Rules) {
		r.DMARC.RejectText, _ = ParseTemplate("{explanation} {queue_id} {domain}")
	}))
	if len(d.Reply.Text) > maxReplyText {
		t.Errorf("%d octets", len(d.Reply.Text))
	}
	for _, c := range []byte(d.Reply.Text) {
		if c < ' ' || c > '~' {
			t.Fatalf("octet %#x in %q", c, d.Reply.Text)
		}
	}
}
