package analysis

import (
	"context"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// ttlZone is a zone whose answers may be kept for five minutes.
type ttlZone struct{ *dnstest.Zone }

func (z ttlZone) LookupTTL(ctx context.Context, name dns.Name) ([]string, time.Duration, error) {
	texts, err := z.LookupTXT(ctx, name)
	return texts, 5 * time.Minute, err
}

const verifyZone = `
_dmarc.good.example TXT "v=DMARC1; p=reject; rua=mailto:x@y.example,mailto:Dmarc@Good.example"
good.example MX 10 mx.good.example
good.example TXT "v=spf1 mx -all"
mx.good.example A 192.0.2.1
s1._domainkey.good.example TXT "v=DKIM1; p=MIIB"
revoked._domainkey.good.example TXT "v=DKIM1; p="
test._domainkey.good.example TXT "v=DKIM1; t=y; p=MIIB"
away._domainkey.good.example FAULT servfail TXT
sub.good.example TXT "v=spf1 include:a.example -all"

_dmarc.external.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@rua.test"
external.example._report._dmarc.rua.test TXT "v=DMARC1"
rua.test MX 10 rua.test

_dmarc.wild.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@any.test"
*._report._dmarc.any.test TXT "v=DMARC1"
any.test A 192.0.2.2

_dmarc.refused.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@rua.test"
_dmarc.elsewhere.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@rua.test"
elsewhere.example._report._dmarc.rua.test TXT "v=DMARC1; rua=mailto:other@rua.test"
_dmarc.unsure.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@rua.test"
unsure.example._report._dmarc.rua.test FAULT servfail TXT

_dmarc.two.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@two.example"
_dmarc.two.example TXT "v=DMARC1; p=reject"
_dmarc.quoted.example TXT "\"v=DMARC1; p=none\""
_dmarc.semicolon.example TXT "v=DMARC1 p=none; rua=mailto:dmarc@semicolon.example"
_dmarc.nop.example TXT "v=DMARC1; rua=mailto:dmarc@nop.example"
_dmarc.wrongp.example TXT "v=DMARC1; p=quarantaine; rua=mailto:dmarc@wrongp.example"
_dmarc.bare.example TXT "v=DMARC1; p=nothing"
_dmarc.other.example TXT "v=DMARC1; p=none; rua=mailto:someone@else.test"
_dmarc.norua.example TXT "v=DMARC1; p=none"
_dmarc.plain.example TXT "v=DMARC1; p=none; rua=dmarc@plain.example"
_dmarc.tenant.example TXT "v=DMARC1; p=none; rua=mailto:acme@rua.test"
_dmarc.text.example TXT "some text"
_dmarc.fail.example FAULT servfail TXT
_dmarc.x.example FAULT nxdomain TXT
_dmarc.old.example TXT "v=DMARC1; p=none; pct=50; rf=afrf; ri=3600; t=y; rua=mailto:dmarc@old.example"
_dmarc.nomail.example TXT "v=DMARC1; p=none; rua=mailto:dmarc@nomail.example"
nomail.example MX 0 .

spf2.example TXT "v=spf1 -all"
spf2.example TXT "v=spf1 ~all"
spfbad.example TXT "v=spf1 ip5:1.2.3.4 -all"
spfall.example TXT "v=spf1 +all"
spffail.example FAULT servfail TXT
`

func verify(t *testing.T, domain, ours, expected string, selectors ...Selector) Verification {
	t.Helper()
	v := Verifier{Resolver: ttlZone{dnstest.MustZone(verifyZone)}}
	req := VerifyRequest{Domain: dns.MustParse(domain), Expected: expected, Selectors: selectors,
		Foreign: func(address string) bool { return address == "acme@rua.test" }}
	if ours != "" {
		req.Ours = []OurAddress{{Address: ours, Own: true}}
	}
	return v.Verify(t.Context(), &req)
}

// TestVerify has each word by each way to it, for addresses of the domain, inherited
// records and addresses elsewhere.
func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name, domain, ours, expected string
		want                         Word
		why                          string // a part of it
		checks                       string // names and results, each a part of the list
	}{
		{name: "own", domain: "good.example", ours: "dmarc@good.example", want: WordInEffect, why: "names Dmarc@good.example", checks: "record:ok policy:ok rua:ok authorization:ok mx:ok"},
		{name: "inherited", domain: "sub.good.example", ours: "dmarc@good.example", want: WordInEffect, checks: "record:ok rua:ok"},
		{name: "external", domain: "external.example", ours: "dmarc@rua.test", want: WordInEffect, checks: "authorization:ok mx:ok"},
		{name: "external by a wildcard", domain: "wild.example", ours: "dmarc@any.test", want: WordInEffect, checks: "authorization:ok mx:ok"},
		{name: "inherited and external", domain: "a.b.external.example", ours: "dmarc@rua.test", want: WordInEffect, checks: "authorization:ok"},
		{name: "as expected", domain: "good.example", ours: "dmarc@good.example", want: WordInEffect,
			expected: "v=DMARC1; p=REJECT; rua=mailto:x@y.example, mailto:Dmarc@Good.example", checks: "expected:ok"},
		{name: "historic tags", domain: "old.example", ours: "dmarc@old.example", want: WordInEffect, checks: "removed_tag:warning testing:warning mx:warning"},
		{name: "null MX", domain: "nomail.example", ours: "dmarc@nomail.example", want: WordInEffect, checks: "mx:warning"},

		{name: "not as expected", domain: "good.example", ours: "dmarc@good.example", expected: "v=DMARC1; p=none", want: WordNotYet, why: "up to 300 s", checks: "expected:fault"},
		{name: "expected, inherited so far", domain: "sub.good.example", ours: "dmarc@good.example", expected: "v=DMARC1; p=none", want: WordNotYet, why: "another record"},
		{name: "expected, broken so far", domain: "wrongp.example", ours: "dmarc@wrongp.example", expected: "v=DMARC1; p=quarantine", want: WordNotYet, why: "another record"},

		{name: "no record", domain: "none.example", ours: "dmarc@none.example", want: WordMissing, why: "no DMARC record"},
		{name: "no record, though expected", domain: "none.example", ours: "dmarc@none.example", expected: "v=DMARC1; p=none", want: WordMissing, why: "no DMARC record"},
		{name: "other text", domain: "text.example", ours: "dmarc@text.example", want: WordMissing, why: "no DMARC record"},
		{name: "somebody else's address", domain: "other.example", ours: "dmarc@other.example", want: WordMissing, why: "none of our addresses is in rua", checks: "rua:fault"},
		{name: "no rua", domain: "norua.example", ours: "dmarc@norua.example", want: WordMissing, why: "asks for no reports"},
		{name: "an address without mailto:", domain: "plain.example", ours: "dmarc@plain.example", want: WordMissing, why: "asks for no reports", checks: "syntax:warning"},
		{name: "another customer's address", domain: "tenant.example", ours: "dmarc@rua.test", want: WordMissing, why: "for other domains"},
		{name: "no address of ours", domain: "good.example", want: WordMissing, why: "analysis.addresses"},

		{name: "two records", domain: "two.example", ours: "dmarc@two.example", want: WordBroken, why: "2 DMARC records", checks: "single:fault"},
		{name: "quoted", domain: "quoted.example", ours: "dmarc@quoted.example", want: WordBroken, why: "does not begin with v=DMARC1", checks: "syntax:fault"},
		{name: "no semicolon", domain: "semicolon.example", ours: "dmarc@semicolon.example", want: WordBroken, why: "does not begin with v=DMARC1"},
		{name: "no p", domain: "nop.example", ours: "dmarc@nop.example", want: WordBroken, why: "no valid policy", checks: "policy:fault"},
		{name: "an invalid p", domain: "wrongp.example", ours: "dmarc@wrongp.example", want: WordBroken, why: "no valid policy"},
		{name: "nothing valid", domain: "bare.example", ours: "dmarc@bare.example", want: WordBroken, why: "do not apply it"},
		{name: "not authorized", domain: "refused.example", ours: "dmarc@rua.test", want: WordBroken, why: "does not ask for reports", checks: "authorization:fault"},
		{name: "sent elsewhere", domain: "elsewhere.example", ours: "dmarc@rua.test", want: WordBroken, why: "other@rua.test", checks: "authorization:fault"},

		{name: "trouble", domain: "fail.example", ours: "dmarc@fail.example", want: WordUnknown, why: "could not be looked up", checks: "lookup:unknown"},
		{name: "trouble above", domain: "sub.fail.example", ours: "dmarc@fail.example", want: WordUnknown, why: "names above"},
		{name: "trouble with the authorization", domain: "unsure.example", ours: "dmarc@rua.test", want: WordUnknown, why: "could not be looked up", checks: "authorization:unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := verify(t, c.domain, c.ours, c.expected)
			if got.Result != c.want || !strings.Contains(got.Why, c.why) || strings.Contains(got.Why, "dns:") {
				t.Errorf("got %s: %s", got.Result, got.Why)
			}
			var checks []string
			for _, one := range got.Checks {
				checks = append(checks, one.Name+":"+string(one.Result))
			}
			for want := range strings.FieldsSeq(c.checks) {
				if !strings.Contains(" "+strings.Join(checks, " ")+" ", " "+want+" ") {
					t.Errorf("no %s in %v", want, got.Checks)
				}
			}
		})
	}
}

func TestVerifyTells(t *testing.T) {
	got := verify(t, "good.example", "dmarc@good.example", "", Selector{Domain: dns.MustParse("good.example"), Selector: "s1", Messages: 7},
		Selector{Domain: dns.MustParse("good.example"), Selector: "revoked"}, Selector{Domain: dns.MustParse("good.example"), Selector: "test"},
		Selector{Domain: dns.MustParse("good.example"), Selector: "gone"}, Selector{Domain: dns.MustParse("good.example"), Selector: "away"})
	if got.TTL != 300 || got.Record != "v=DMARC1; p=reject; rua=mailto:x@y.example,mailto:Dmarc@Good.example" || got.Policy != "reject" || got.Name.String() != "_dmarc.good.example" {
		t.Errorf("got %+v", got)
	}
	if got.SPF.Result != CheckOK || !strings.Contains(got.SPF.Text, "-all") {
		t.Errorf("SPF %+v", got.SPF)
	}
	for i, want := range []struct {
		result CheckResult
		text   string
	}{{CheckOK, "7 messages"}, {CheckFault, "revoked"}, {CheckWarning, "test mode"}, {CheckFault, "no key"}, {CheckUnknown, "could not"}} {
		if s := got.Selectors[i]; s.Result != want.result || !strings.Contains(s.Text, want.text) {
			t.Errorf("selector %+v, want %+v", s, want)
		}
	}
	if got := verify(t, "sub.good.example", "dmarc@good.example", ""); got.Inherited.String() != "good.example" || got.Policy != "reject" || got.TTL != 300 {
		t.Errorf("inherited: %+v", got)
	}
}

func TestSPFStates(t *testing.T) {
	for domain, want := range map[string]struct {
		result CheckResult
		text   string
	}{
		"none.example":    {CheckWarning, "no SPF record"},
		"spf2.example":    {CheckFault, "broken"},
		"spfbad.example":  {CheckFault, "broken"},
		"spfall.example":  {CheckFault, "everybody"},
		"spffail.example": {CheckUnknown, "could not"},
		"good.example":    {CheckOK, "-all"},
	} {
		if got := verify(t, domain, "", "").SPF; got.Result != want.result || !strings.Contains(got.Text, want.text) {
			t.Errorf("%s: %+v", domain, got)
		}
	}
}
