package policy

import (
	"net/netip"
	"testing"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
)

// TestEntriesEnd holds entries to their last day: they count through that UTC day, and
// the decision after it names the list.
func TestEntriesEnd(t *testing.T) {
	client, author := netip.MustParseAddr("192.0.2.1"), dns.MustParse("bank.example")
	last, err := ParseDay("2027-01-31")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		set    func(r *Rules)
		rule   string
		during Reason
		after  Reason
	}{
		{"exception", func(r *Rules) {
			r.DMARC.Exceptions.AddUntil(netip.MustParsePrefix("192.0.2.0/24"), last)
		}, RuleExceptions, ReasonException, ReasonPolicy},
		{"exception beside a longer one", func(r *Rules) {
			r.DMARC.Exceptions.AddUntil(netip.MustParsePrefix("192.0.2.1/32"), last-40)
			r.DMARC.Exceptions.AddUntil(netip.MustParsePrefix("192.0.2.0/24"), last)
		}, RuleExceptions, ReasonException, ReasonPolicy},
		{"exception twice", func(r *Rules) {
			r.DMARC.Exceptions.AddUntil(netip.MustParsePrefix("192.0.2.1/32"), last)
			r.DMARC.Exceptions.AddUntil(netip.MustParsePrefix("192.0.2.1/32"), last-40)
		}, RuleExceptions, ReasonException, ReasonPolicy},
		{"enforced peer", func(r *Rules) {
			r.DMARC.EnforcedPeers.AddUntil(author, false, false, RequireBoth, last)
		}, RuleEnforcedPeers, ReasonEnforcedPeer, ReasonPolicy},
		{"every domain, one pass", func(r *Rules) {
			r.DMARC.EnforcedPeers.AddUntil(dns.Name{}, false, true, RequireEither, last)
		}, RuleEnforcedPeers, ReasonEnforcedPeer, ReasonPolicy},
		{"DKIM peer", func(r *Rules) {
			r.DKIM = DKIMRules{Enabled: true, Actions: DKIMActions{Fail: Reject, None: Bypass, Temperror: Bypass}}
			r.DKIM.EnforcedPeers.AddUntil(author, false, last)
		}, RuleDKIMEnforcedPeers, ReasonDKIM, ReasonPolicy},
		{"ignored client of SPF", func(r *Rules) {
			r.SPF = SPFRules{Enabled: true, Actions: SPFActions{Fail: Discard}}
			r.SPF.Ignored.Nets.AddUntil(netip.MustParsePrefix("192.0.2.1/32"), last)
		}, RuleIgnoredPeers, ReasonPolicy, ReasonSPF},
		{"ignored domain of SPF", func(r *Rules) {
			r.SPF = SPFRules{Enabled: true, Actions: SPFActions{Fail: Discard}}
			r.SPF.Ignored.Domains.AddUntil(dns.MustParse("example"), true, last)
		}, RuleIgnoredPeers, ReasonPolicy, ReasonSPF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := testRules(c.set)
			v := with(&Verdict{
				SPF:   spf.Result{Status: spf.Fail, Domain: author},
				DMARC: dmarc.Result{Status: dmarc.Fail, Author: author, Record: &dmarc.Record{}},
			}, dmarc.PolicyReject)
			lastSecond := last.End()
			for _, m := range []struct {
				at    time.Time
				want  Reason
				ended Ended
			}{
				{lastSecond, c.during, Ended{}},
				{lastSecond.In(time.FixedZone("", 9*60*60)), c.during, Ended{}},
				{lastSecond.Add(time.Second), c.after, Ended{Rule: c.rule, Day: last}},
				{time.Time{}, c.during, Ended{}}, // no time: ends are ignored
			} {
				d := Decide(v, Facts{ClientIP: client, Received: m.at}, r)
				if d.Reason != m.want || d.Ended != m.ended {
					t.Errorf("at %s: %s %+v, want %s %+v", m.at, d.Reason, d.Ended, m.want, m.ended)
				}
			}
		})
	}
}
