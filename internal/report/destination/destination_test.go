package destination_test

import (
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/report/destination"
)

// TestCheck walks through RFC 9990 section 4.
func TestCheck(t *testing.T) {
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
		tag                destination.Tag
		internal           bool
		confirmed          bool
		replace            []string
		refused            string
		temporary          bool
	}{
		{name: "its own", domain: "example.com", host: "example.com", internal: true, confirmed: true},
		{name: "same organization", domain: "example.com", host: "reports.example.com", internal: true, confirmed: true},
		{name: "behind psd=n, with a record", domain: "example.com", host: "behind.example.com", confirmed: true},
		{name: "behind psd=n, the other way", domain: "behind.example.com", host: "example.com", refused: "no TXT"},
		{name: "a record", domain: "example.com", host: "yes.example.net", confirmed: true},
		{name: "several", domain: "example.com", host: "several.example.net", confirmed: true},
		{name: "another version", domain: "example.com", host: "no.example.org", refused: "no record that begins"},
		{name: "none", domain: "example.com", host: "none.example.net", refused: "no TXT record"},
		{name: "other addresses", domain: "example.com", host: "other.example.net", confirmed: true, replace: []string{"new@other.example.net", "two@other.example.net"}},
		{name: "other address for failures", domain: "example.com", host: "other.example.net", tag: destination.RUF, confirmed: true, replace: []string{"f@other.example.net"}},
		{name: "another host", domain: "example.com", host: "away.example.net", refused: "another host"},
		{name: "the web", domain: "example.com", host: "web.example.net", refused: "another host"},
		{name: "a wildcard", domain: "whatever.example.org", host: "any.example.net", confirmed: true},
		{name: "trouble", domain: "example.com", host: "fail.example.net", temporary: true},
		{name: "trouble in the walk", domain: "x.broken.example.org", host: "broken.example.org", internal: true, temporary: true},
		{name: "too long", domain: long, host: strings.Repeat("b23456789012345678901234567890.", 2) + "example.net", refused: "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.tag == "" {
				c.tag = destination.RUA
			}
			got := destination.Checker{Resolver: zone}.Check(t.Context(), c.tag, dns.MustParse(c.domain), dns.MustParse(c.host))
			if got.Confirmed != c.confirmed && c.refused == "" || !slices.Equal(got.Replace, c.replace) || (got.Err != nil) != c.temporary ||
				(got.Refused != "") != (c.refused != "") || !strings.Contains(got.Refused, c.refused) || got.External == c.internal {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestUnsafe(t *testing.T) {
	for address, why := range map[string]string{
		"reports@example.com":                           "",
		"a-b+c=d.e_f#g@example.com":                     "",
		"-oQ/tmp@example.com":                           "hyphen",
		"victim%example.net@example.com":                "'%'",
		"host!user@example.com":                         "'!'",
		"|/bin/sh@example.com":                          "'|'",
		"böse@example.com":                              "not ASCII",
		strings.Repeat("a", 250) + "@b.example":         "over 254 octets",
		"100@percent-is-fine-on-the-right.example.com":  "",
		"reports@-odd-host-names-are-not-our-business.": "",
	} {
		if got := destination.Unsafe(address); (got == "") != (why == "") || !strings.Contains(got, why) {
			t.Errorf("%s: %q, want %q", address, got, why)
		}
	}
}
