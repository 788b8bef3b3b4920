package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestIsRecord(t *testing.T) {
	for txt, want := range map[string]bool{
		"v=spf1": true, "v=spf1 ": true, "V=SpF1 -all": true, "v=spf1 mx": true,
		"": false, "v=spf": false, "v=spf10": false, "v=spf1mx": false, "v=spf1\tmx": false, " v=spf1": false, "spf2.0/pra": false,
	} {
		if got := isRecord(txt); got != want {
			t.Errorf("isRecord(%q) = %v, want %v", txt, got, want)
		}
	}
}

func TestParseRecord(t *testing.T) {
	net := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	cases := []struct {
		name, txt string
		want      record
	}{
		{"empty", "v=spf1", record{mechanisms: []term{}}},
		{"spaces alone", "v=spf1   ", record{mechanisms: []term{}}},
		{"qualifiers", "v=spf1 +a -a ~a ?a", record{mechanisms: []term{
			{text: "+a", kind: kindA, result: Pass, bits4: 32, bits6: 128},
			{text: "-a", kind: kindA, result: Fail, bits4: 32, bits6: 128},
			{text: "~a", kind: kindA, result: Softfail, bits4: 32, bits6: 128},
			{text: "?a", kind: kindA, result: Neutral, bits4: 32, bits6: 128},
		}}},
		{"case and spaces", "V=SPF1  InClude:A.Example   -ALL ", record{mechanisms: []term{
			{text: "InClude:A.Example", kind: kindInclude, result: Pass, spec: "A.Example"},
			{text: "-ALL", kind: kindAll, result: Fail},
		}}},
		{"prefix lengths", "v=spf1 a/24 mx//64 a:b.example/0//0 mx:%{d}/32//128", record{mechanisms: []term{
			{text: "a/24", kind: kindA, result: Pass, bits4: 24, bits6: 128},
			{text: "mx//64", kind: kindMX, result: Pass, bits4: 32, bits6: 64},
			{text: "a:b.example/0//0", kind: kindA, result: Pass, spec: "b.example"},
			{text: "mx:%{d}/32//128", kind: kindMX, result: Pass, spec: "%{d}", bits4: 32, bits6: 128},
		}}},
		{"slash in a domain-spec", "v=spf1 a:x/24.b.example/16", record{mechanisms: []term{
			{text: "a:x/24.b.example/16", kind: kindA, result: Pass, spec: "x/24.b.example", bits4: 16, bits6: 128},
		}}},
		{"networks", "v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1 ip6:2001:db8::/32 ip6:::1 ip6:::ffff:192.0.2.1", record{mechanisms: []term{
			{text: "ip4:192.0.2.0/24", kind: kindIP4, result: Pass, net: net("192.0.2.0/24")},
			{text: "ip4:192.0.2.1", kind: kindIP4, result: Pass, net: net("192.0.2.1/32")},
			{text: "ip6:2001:db8::/32", kind: kindIP6, result: Pass, net: net("2001:db8::/32")},
			{text: "ip6:::1", kind: kindIP6, result: Pass, net: net("::1/128")},
			{text: "ip6:::ffff:192.0.2.1", kind: kindIP6, result: Pass, net: netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)},
		}}},
		{"ptr and exists", "v=spf1 ptr ptr:b.example exists:%{ir}.b.example", record{mechanisms: []term{
			{text: "ptr", kind: kindPTR, result: Pass},
			{text: "ptr:b.example", kind: kindPTR, result: Pass, spec: "b.example"},
			{text: "exists:%{ir}.b.example", kind: kindExists, result: Pass, spec: "%{ir}.b.example"},
		}}},
		{"modifiers anywhere", "v=spf1 Redirect=b.example EXP=e.%{d} x-1_2.y=%{c}:/ ip4=192.0.2.1", record{
			mechanisms: []term{},
			redirect:   term{text: "Redirect=b.example", kind: kindRedirect, spec: "b.example"},
			exp:        term{text: "EXP=e.%{d}", kind: kindExp, spec: "e.%{d}"},
		}},
		{"trailing dot", "v=spf1 a:b.example.", record{mechanisms: []term{
			{text: "a:b.example.", kind: kindA, result: Pass, spec: "b.example.", bits4: 32, bits6: 128},
		}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, at, err := parseRecord(c.txt)
			if err != nil {
				t.Fatalf("parseRecord(%q): at %q: %v", c.txt, at, err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("parseRecord(%q)\n got %+v\nwant %+v", c.txt, got, c.want)
			}
		})
	}
}

// TestParseRecordErrors parses records of one faulty term.
func TestParseRecordErrors(t *testing.T) {
	cases := []struct{ term, want string }{
		{"moo", "no such mechanism"},
		{"-", "no such mechanism"},
		{"+-all", "no such mechanism"},
		{"includes:b.example", "no such mechanism"},
		{"redirect:b.example", "no such mechanism"},
		{"all.", "no such mechanism"},
		{"a\tmx", "octet 0x09"},
		{"a:\x80.example", "octet 0x80"},
		{"a:b.example\x00", "octet 0x00"},
		{"all:b.example", "all takes no argument"},
		{"all/8", "all takes no argument"},
		{"include", "no domain-spec"},
		{"include/24", "no domain-spec"},
		{"include:", "empty domain-spec"},
		{"include:b.example/24", `bad top label "example/24"`},
		{"exists", "no domain-spec"},
		{"exists:b.example/24", `bad top label "example/24"`},
		{"a:", "empty domain-spec"},
		{"a:/24", "empty domain-spec"},
		{"a/", "no domain-spec"},
		{"a//", "no domain-spec"},
		{"a/24/16", "no domain-spec"},
		{"a/24/64", `bad prefix length "64"`},
		{"a//64/24", "no domain-spec"},
		{"a///64", "no domain-spec"},
		{"a/33", `bad prefix length "33"`},
		{"a//129", `bad prefix length "129"`},
		{"a/08", `bad prefix length "08"`},
		{"a/" + strings.Repeat("9", 100), `bad prefix length "` + strings.Repeat("9", 80) + `..."`},
		{"mx:b.example:25", `bad top label "example:25"`},
		{"a:b", "domain-spec without a dot before its top label"},
		{"a:b.", "domain-spec without a dot before its top label"},
		{"a:b..", "empty top label"},
		{"a:%{d}.", "domain-spec without a dot before its top label"},
		{"a:%{d}b", "domain-spec without a dot before its top label"},
		{"a:b.-x", `bad top label "-x"`},
		{"a:b.x-", `bad top label "x-"`},
		{"a:192.0.2.1", `numeric top label "1" (ip4 takes an address)`},
		{"a:" + strings.Repeat("b", 1020) + ".exam", "domain-spec of 1025 octets, over 1024"},
		{"ptr/0", "no domain-spec"},
		{"ptr:", "empty domain-spec"},
		{"ip4", "no network"},
		{"ip4/24", "no network"},
		{"ip4:", "not an IPv4 address"},
		{"ip4:192.0.2", "not an IPv4 address"},
		{"ip4:192.0.2.01", "not an IPv4 address"},
		{"ip4:192.0.2.1:25", "not an IPv4 address"},
		{"ip4:::1", "not an IPv4 address"},
		{"ip4:192.0.2.1/", "empty prefix length"},
		{"ip4:192.0.2.1/33", `bad prefix length "33"`},
		{"ip4:192.0.2.1//32", `bad prefix length "/32"`},
		{"ip4:192.0.2.1/+8", `bad prefix length "+8"`},
		{"ip6:192.0.2.1", "not an IPv6 address"},
		{"ip6:2001:db8::%eth0", "not an IPv6 address"},
		{"ip6:::1/129", `bad prefix length "129"`},
		{"=all", "not a mechanism, and not the name of a modifier"},
		{"1up=foo", "not a mechanism, and not the name of a modifier"},
		{"-x=foo", "not a mechanism, and not the name of a modifier"},
		{"x%y=foo", "not a mechanism, and not the name of a modifier"},
		{"redirect=", "empty domain-spec"},
		{"exp=", "empty domain-spec"},
		{"exp=-all", "domain-spec without a dot before its top label"},
		{"exp=%{r}.example", `macro letter "r" outside an explanation`},
		{"a:%{C}", `macro letter "C" outside an explanation`},
		{"x=%abc", `"%a" begins no macro`},
		{"x=%", `"%" begins no macro`},
		{"a:%(ir).example", `"%(" begins no macro`},
		{"a:%{d", "macro without its closing brace"},
		{"a:%{}", "empty macro"},
		{"a:%{x}", `no macro letter "x"`},
		{"a:%{[}", `no macro letter "["`},
		{"a:%{d0}", "macro that keeps 0 parts"},
		{"a:%{d00r}", "macro that keeps 0 parts"},
		{"a:%{d-2}", `macro with "2", which is no delimiter`},
		{"a:%{dx}", `macro with "x", which is no delimiter`},
		{"a:%{drr}", `macro with "r", which is no delimiter`},
		{"a:%{%{d}}", `no macro letter "%"`},
	}
	for _, c := range cases {
		t.Run(cut(c.term), func(t *testing.T) {
			// An error counts wherever it occurs (RFC 7208 section 4.6).
			_, at, err := parseRecord("v=spf1 +all " + c.term + " a")
			if !errors.Is(err, ErrSyntax) || err.Error() != "spf: syntax error: "+c.want || at != c.term {
				t.Errorf("at %q: %v; want at %q: spf: syntax error: %s", at, err, c.term, c.want)
			}
		})
	}
}

func TestParseRecordTwice(t *testing.T) {
	for _, name := range []string{"redirect", "exp"} {
		txt := fmt.Sprintf("v=spf1 %s=b.example -all %s=c.example", name, strings.ToUpper(name))
		_, at, err := parseRecord(txt)
		if err == nil || err.Error() != "spf: syntax error: stands twice" || at != strings.ToUpper(name)+"=c.example" {
			t.Errorf("parseRecord(%q): at %q: %v", txt, at, err)
		}
	}
}

func TestParseRecordBounds(t *testing.T) {
	if rec, _, err := parseRecord("v=spf1" + strings.Repeat(" a", maxTerms)); err != nil || len(rec.mechanisms) != maxTerms {
		t.Errorf("%d terms: %v", maxTerms, err)
	}
	cases := map[string]string{
		"v=spf1" + strings.Repeat(" a", maxTerms+1):            "spf: record too large: over 1024 terms",
		"v=spf1 x=" + strings.Repeat("a", maxRecordLen):        "spf: record too large: 16393 octets, over 16384",
		"v=spf1" + strings.Repeat(" x=", maxTerms+1) + " -all": "spf: record too large: over 1024 terms",
	}
	for txt, want := range cases {
		if _, _, err := parseRecord(txt); !errors.Is(err, ErrRecordSize) || err.Error() != want {
			t.Errorf("record of %d octets: %v, want %s", len(txt), err, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	_, at, err := parseRecord("v=spf1 moo\x1b[0m" + strings.Repeat("x", 100))
	e := permError(identityOf(t, "example.com"), at, err)
	want := `spf: "example.com": "moo\x1b[0m` + strings.Repeat("x", 73) + `...": syntax error: octet 0x1b`
	if e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
}
