package outgoing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/report/outgoing"
)

// TestVerify walks through RFC 9990 section 4.
func TestVerify(t *testing.T) {
	zone := dnstest.MustZone(`
_dmarc.example.com TXT "v=DMARC1; p=none"
_dmarc.behind.example.com TXT "v=DMARC1; p=none; psd=n"
_dmarc.broken.example.org FAULT servfail TXT
example.com._report._dmarc.yes.example.net TXT "v=DMARC1"
example.com._report._dmarc.several.example.net TXT "some text"
example.com._report._dmarc.several.example.net TXT "v=DMARC1;"
example.com._report._dmarc.several.example.net TXT "v=DMARC1; p=none"
example.com._report._dmarc.no.example.org TXT "v=DMARC2"
example.com._report._dmarc.other.example.net TXT "v=DMARC1; rua=mailto:new@other.example.net,mailto:two@other.example.net; ruf=mailto:f@other.example.net"
example.com._report._dmarc.away.example.net TXT "v=DMARC1; rua=mailto:new@victim.example"
example.com._report._dmarc.web.example.net TXT "v=DMARC1; rua=https://web.example.net/"
example.com._report._dmarc.fail.example.net FAULT servfail TXT
*._report._dmarc.any.example.net TXT "v=DMARC1"
example.com._report._dmarc.behind.example.com TXT "v=DMARC1"
`)
	long := strings.Repeat("a23456789012345678901234567890.", 6) + "example.com"
	for _, c := range []struct {
		name, domain, host string
		kind               outgoing.Kind
		confirmed          bool
		replace            []string
		refused            string
		temporary          bool
	}{
		{name: "its own", domain: "example.com", host: "example.com", confirmed: true},
		{name: "same organization", domain: "example.com", host: "reports.example.com", confirmed: true},
		{name: "behind psd=n, with a record", domain: "example.com", host: "behind.example.com", confirmed: true},
		{name: "behind psd=n, the other way", domain: "behind.example.com", host: "example.com", refused: "no TXT"},
		{name: "a record", domain: "example.com", host: "yes.example.net", confirmed: true},
		{name: "several", domain: "example.com", host: "several.example.net", confirmed: true},
		{name: "another version", domain: "example.com", host: "no.example.org", refused: "no record that begins"},
		{name: "none", domain: "example.com", host: "none.example.net", refused: "no TXT record"},
		{name: "other addresses", domain: "example.com", host: "other.example.net", confirmed: true, replace: []string{"new@other.example.net", "two@other.example.net"}},
		{name: "other address for failures", domain: "example.com", host: "other.example.net", kind: outgoing.KindFailure, confirmed: true, replace: []string{"f@other.example.net"}},
		{name: "another host", domain: "example.com", host: "away.example.net", refused: "another host"},
		{name: "the web", domain: "example.com", host: "web.example.net", refused: "another host"},
		{name: "a wildcard", domain: "whatever.example.org", host: "any.example.net", confirmed: true},
		{name: "trouble", domain: "example.com", host: "fail.example.net", temporary: true},
		{name: "trouble in the walk", domain: "x.broken.example.org", host: "broken.example.org", temporary: true},
		{name: "too long", domain: long, host: strings.Repeat("b23456789012345678901234567890.", 2) + "example.net", refused: "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.kind == "" {
				c.kind = outgoing.KindAggregate
			}
			confirmed, replace, refused, err := outgoing.Verify(t.Context(), zone, c.kind, c.domain, c.host)
			if confirmed != c.confirmed && c.refused == "" || !slices.Equal(replace, c.replace) || (err != nil) != c.temporary ||
				(refused != "") != (c.refused != "") || !strings.Contains(refused, c.refused) {
				t.Errorf("confirmed %t, replace %v, refused %q, error %v", confirmed, replace, refused, err)
			}
		})
	}
}

// TestOutsideHosts sends to those who ask for it, later where the DNS is in trouble.
func TestOutsideHosts(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		err := r.zone.Add(`
sender.example._report._dmarc.yes.example.net TXT "v=DMARC1"
sender.example._report._dmarc.other.example.net TXT "v=DMARC1; rua=mailto:new@other.example.net,mailto:OLD@other.example.net"
sender.example._report._dmarc.away.example.net TXT "v=DMARC1; rua=mailto:new@victim.example"
sender.example._report._dmarc.later.example.com FAULT servfail TXT
sender.example._report._dmarc.never.example.com FAULT servfail TXT
`)
		if err != nil {
			t.Fatal(err)
		}
		r.load(tally(yesterday, "sender.example", "v=DMARC1; p=none; rua=mailto:a@sender.example,mailto:b@yes.example.net,mailto:old@other.example.net,"+
			"mailto:too@other.example.net,mailto:c@away.example.net,mailto:d@no.example.org,mailto:e@later.example.com,mailto:f@never.example.com", failed(1)))
		r.night()
		want := map[string]string{
			"a@sender.example": "sent", "b@yes.example.net": "sent", "old@other.example.net": "sent", "new@other.example.net": "sent",
			"too@other.example.net": "replaced", "c@away.example.net": "unverified unverified", "d@no.example.org": "unverified unverified",
			"e@later.example.com": "unconfirmed dns", "f@never.example.com": "unconfirmed dns",
		}
		check := func() {
			t.Helper()
			got := r.states()
			for to, state := range want {
				if got[to] != state {
					t.Errorf("%s: %q, want %q", to, got[to], state)
				}
			}
			if len(got) != len(want) {
				t.Errorf("deliveries %v", got)
			}
		}
		check()
		name := "sender.example._report._dmarc.later.example.com"
		r.zone.Remove(parseName(t, name))
		if err := r.zone.Add(name + ` TXT "v=DMARC1"`); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			r.clock.add(5 * time.Hour)
			r.drain()
		}
		want["e@later.example.com"], want["f@never.example.com"] = "sent", "expired dns"
		check()
		for to, state := range want {
			if n := len(r.server.got(to)); (n == 1) != (state == "sent") {
				t.Errorf("%d mails to %s", n, to)
			}
		}
		if len(r.server.got("new@victim.example")) > 0 {
			t.Error("mail to a host that did not ask")
		}
	})
}
