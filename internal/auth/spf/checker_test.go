package spf_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// client4 and client6 are the clients of these tests.
const client4, client6 = "192.0.2.10", "2001:db8::10"

func check(t *testing.T, zone string, req spf.Request) (spf.Result, *dnstest.Zone) {
	t.Helper()
	z := dnstest.MustZone(zone)
	c := &spf.Checker{Resolver: z, Receiver: "mx.receiver.example"}
	return c.Check(t.Context(), req), z
}

func from(ip, local, host string) spf.Request {
	return spf.Request{IP: netip.MustParseAddr(ip), Helo: "helo.example", Local: local, Host: host}
}

func TestIdentity(t *testing.T) {
	const zone = `
example.com            TXT "v=spf1 +all"
helo.example           TXT "v=spf1 ~all"
xn--bcher-kva.example  TXT "v=spf1 ?all"
_x.example.com         TXT "v=spf1 +all"
`
	cases := []struct {
		name              string
		helo, local, host string
		status            spf.Status
		scope             spf.Scope
		domain            string
	}{
		{"mail from", "helo.example", "u", "example.com", spf.Pass, spf.MailFrom, "example.com"},
		{"upper case and final dot", "helo.example", "u", "Example.COM.", spf.Pass, spf.MailFrom, "example.com"},
		{"no local part", "helo.example", "", "example.com", spf.Pass, spf.MailFrom, "example.com"},
		{"underscore", "helo.example", "u", "_x.example.com", spf.Pass, spf.MailFrom, "_x.example.com"},
		{"U-label", "helo.example", "u", "Bücher.example", spf.Neutral, spf.MailFrom, "xn--bcher-kva.example"},
		{"null sender", "helo.example", "", "", spf.Softfail, spf.Helo, "helo.example"},
		{"null sender, U-label", "bücher.example", "", "", spf.Neutral, spf.Helo, "xn--bcher-kva.example"},
		{"null sender, literal", "[192.0.2.10]", "", "", spf.None, spf.Helo, ""},
		{"null sender, bare address", "192.0.2.10", "", "", spf.None, spf.Helo, ""},
		{"null sender, IPv6 literal", "[IPv6:2001:db8::1]", "", "", spf.None, spf.Helo, ""},
		{"null sender, single label", "localhost", "", "", spf.None, spf.Helo, ""},
		{"null sender, no HELO", "", "", "", spf.None, spf.Helo, ""},
		{"null sender, spaces", "a b.example", "", "", spf.None, spf.Helo, ""},
		{"no domain", "helo.example", "root", "", spf.None, spf.MailFrom, ""},
		{"single label", "helo.example", "u", "localhost", spf.None, spf.MailFrom, ""},
		{"literal", "helo.example", "u", "[192.0.2.10]", spf.None, spf.MailFrom, ""},
		{"empty label", "helo.example", "u", "a..example.com", spf.None, spf.MailFrom, ""},
		{"bad octet", "helo.example", "u", "exa$mple.com", spf.None, spf.MailFrom, ""},
		{"over-long", "helo.example", "u", strings.Repeat("a.", 130) + "com", spf.None, spf.MailFrom, ""},
		{"NXDOMAIN", "helo.example", "u", "nx.example.com", spf.None, spf.MailFrom, "nx.example.com"},
		{"no record", "helo.example", "u", "example", spf.None, spf.MailFrom, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _ := check(t, zone, spf.Request{IP: netip.MustParseAddr(client4), Helo: c.helo, Local: c.local, Host: c.host})
			if got.Status != c.status || got.Scope != c.scope || got.Domain.String() != c.domain || got.Err != nil {
				t.Errorf("got %s, %s %q, %v; want %s, %s %q", got.Status, got.Scope, got.Domain, got.Err, c.status, c.scope, c.domain)
			}
		})
	}
}

func TestNoClient(t *testing.T) {
	got, z := check(t, `example.com TXT "v=spf1 +all"`, spf.Request{Local: "u", Host: "example.com"})
	if got.Status != spf.None || got.Domain.String() != "example.com" || got.ClientIP.IsValid() || z.Queries(dns.Name{}, "") != 0 {
		t.Errorf("got %+v after %v", got, z.Asked())
	}
}

// TestResult checks the fields of a result other than the status.
func TestResult(t *testing.T) {
	const zone = `
example.com     TXT "v=spf1 ip4:198.51.100.0/24 include:a.example ~include:b.example redirect=c.example"
a.example       TXT "v=spf1 include:aa.example -all"
aa.example      TXT "v=spf1 ip4:192.0.2.1 ~ip4:192.0.2.2 -all"
b.example       TXT "v=spf1 A:host.b.example MX -all"
b.example       MX 10 mail.b.example.
mail.b.example  A 192.0.2.4
host.b.example  A 192.0.2.3
c.example       TXT "v=spf1 ?ip4:192.0.2.5 exists:nx.example"
v6.example      TXT "v=spf1 ip6:2001:db8::/32 -all"
bad.example     TXT "v=spf1 +all include:a.example moo"
tobad.example   TXT "v=spf1 include:mid.example -all"
mid.example     TXT "v=spf1 include:bad.example -all"
tonone.example  TXT "v=spf1 mx include:none.example -all"
tonone.example  MX 10 host.b.example.
`
	cases := []struct {
		name, ip, host string
		status         spf.Status
		mechanism      string
		chain, terms   []string
		lookups, voids int
		err            string
	}{
		{"first record", "198.51.100.7", "example.com", spf.Pass, "ip4:198.51.100.0/24",
			[]string{"example.com"}, []string{"ip4:198.51.100.0/24"}, 0, 0, ""},
		{"include of an include", "192.0.2.1", "example.com", spf.Pass, "ip4:192.0.2.1",
			[]string{"example.com", "a.example", "aa.example"}, []string{"include:a.example", "include:aa.example", "ip4:192.0.2.1"}, 2, 0, ""},
		{"include with a qualifier", "192.0.2.3", "example.com", spf.Softfail, "A:host.b.example",
			[]string{"example.com", "b.example"}, []string{"~include:b.example", "A:host.b.example"}, 4, 0, ""},
		{"mx", "192.0.2.4", "example.com", spf.Softfail, "MX",
			[]string{"example.com", "b.example"}, []string{"~include:b.example", "MX"}, 5, 0, ""},
		{"redirect", "192.0.2.5", "example.com", spf.Neutral, "?ip4:192.0.2.5",
			[]string{"example.com", "c.example"}, []string{"redirect=c.example", "?ip4:192.0.2.5"}, 6, 0, ""},
		{"by default, a softfail within an include", "192.0.2.2", "example.com", spf.Neutral, "",
			[]string{"example.com", "c.example"}, []string{"redirect=c.example"}, 7, 1, ""},
		{"IPv6", client6, "v6.example", spf.Pass, "ip6:2001:db8::/32",
			[]string{"v6.example"}, []string{"ip6:2001:db8::/32"}, 0, 0, ""},
		{"mapped IPv4", "::ffff:192.0.2.9", "v6.example", spf.Fail, "-all",
			[]string{"v6.example"}, []string{"-all"}, 0, 0, ""},
		{"syntax error behind a match", client4, "bad.example", spf.PermError, "",
			[]string{"bad.example"}, []string{"moo"}, 0, 0,
			`spf: "bad.example": "moo": syntax error: no such mechanism`},
		{"syntax error in an include", client4, "tobad.example", spf.PermError, "",
			[]string{"tobad.example", "mid.example", "bad.example"}, []string{"include:mid.example", "include:bad.example", "moo"}, 2, 0,
			`spf: "bad.example": "moo": syntax error: no such mechanism`},
		{"include of nothing", client4, "tonone.example", spf.PermError, "",
			[]string{"tonone.example"}, []string{"include:none.example"}, 2, 0,
			`spf: "tonone.example": "include:none.example": target has no record: "none.example"`},
		{"no record", client4, "none.example", spf.None, "", nil, nil, 0, 0, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _ := check(t, zone, from(c.ip, "u", c.host))
			if got.Status != c.status || got.Mechanism != c.mechanism {
				t.Errorf("%s by %q, want %s by %q", got.Status, got.Mechanism, c.status, c.mechanism)
			}
			if !slices.Equal(got.Chain, c.chain) || !slices.Equal(got.Terms, c.terms) {
				t.Errorf("chain %q by %q, want %q by %q", got.Chain, got.Terms, c.chain, c.terms)
			}
			if got.Lookups != c.lookups || got.Voids != c.voids {
				t.Errorf("%d look-ups, %d void, want %d, %d", got.Lookups, got.Voids, c.lookups, c.voids)
			}
			if text := fmt.Sprint(got.Err); text != c.err && !(got.Err == nil && c.err == "") {
				t.Errorf("error %s\nwant  %s", text, c.err)
			}
			if want := netip.MustParseAddr(c.ip).Unmap(); got.ClientIP != want {
				t.Errorf("client %v, want %v", got.ClientIP, want)
			}
		})
	}
}

func TestTempErrors(t *testing.T) {
	// Each record would match by its last term, were it reached.
	const zone = `
slow.example     FAULT timeout
txt.example      FAULT servfail TXT
a.example        TXT "v=spf1 a:slow.example +all"
mx.example       TXT "v=spf1 mx:slow.example +all"
mxhost.example   TXT "v=spf1 mx +all"
mxhost.example   MX 10 slow.example.
exists.example   TXT "v=spf1 exists:slow.example +all"
include.example  TXT "v=spf1 include:slow.example +all"
deep.example     TXT "v=spf1 -include:include.example +all"
redirect.example TXT "v=spf1 redirect=slow.example"
ptr.example      TXT "v=spf1 -ptr +all"
p.example        TXT "v=spf1 -exists:%{p}.example +all"
exp.example      TXT "v=spf1 exp=slow.example -all"
10.2.0.192.in-addr.arpa FAULT timeout
`
	cases := []struct {
		host   string
		status spf.Status
		err    string
	}{
		{"txt.example", spf.TempError, `spf: "txt.example": dns: TXT txt.example: dns: temporary failure: servfail`},
		{"a.example", spf.TempError, `spf: "a.example": "a:slow.example": dns: A slow.example: dns: temporary failure: timeout`},
		{"mx.example", spf.TempError, `spf: "mx.example": "mx:slow.example": dns: MX slow.example: dns: temporary failure: timeout`},
		{"mxhost.example", spf.TempError, `spf: "mxhost.example": "mx": dns: A slow.example: dns: temporary failure: timeout`},
		{"exists.example", spf.TempError, `spf: "exists.example": "exists:slow.example": dns: A slow.example: dns: temporary failure: timeout`},
		{"include.example", spf.TempError, `spf: "slow.example": dns: TXT slow.example: dns: temporary failure: timeout`},
		{"deep.example", spf.TempError, `spf: "slow.example": dns: TXT slow.example: dns: temporary failure: timeout`},
		{"redirect.example", spf.TempError, `spf: "slow.example": dns: TXT slow.example: dns: temporary failure: timeout`},
		{"ptr.example", spf.Pass, ""}, // RFC 7208 section 5.5: no match
		{"p.example", spf.Pass, ""},   // RFC 7208 section 7.3: "unknown"
		{"exp.example", spf.Fail, ""}, // RFC 7208 section 6.2: no explanation
	}
	for _, c := range cases {
		t.Run(c.host, func(t *testing.T) {
			got, _ := check(t, zone, from(client4, "u", c.host))
			if text := fmt.Sprint(got.Err); got.Status != c.status || text != c.err && c.err != "" {
				t.Errorf("%s, %v; want %s, %s", got.Status, got.Err, c.status, c.err)
			}
			if c.status == spf.TempError && !errors.Is(got.Err, dns.ErrTemporary) {
				t.Errorf("error %v is no dns.ErrTemporary", got.Err)
			}
		})
	}
}

// TestTimeIsUp ends the context before the check, and in the middle of it.
func TestTimeIsUp(t *testing.T) {
	zone := dnstest.MustZone(`
example.com TXT "v=spf1 ip4:198.51.100.1 ptr -all"
all.example TXT "v=spf1 +all"
host.example.com A 192.0.2.10
10.2.0.192.in-addr.arpa PTR host.example.com.
`)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	got := (&spf.Checker{Resolver: zone}).Check(over, from(client4, "u", "all.example"))
	if got.Status != spf.TempError || !errors.Is(got.Err, dns.ErrTemporary) || !errors.Is(got.Err, context.Canceled) {
		t.Errorf("time was up before: %s, %v", got.Status, got.Err)
	}
	// A ptr look-up that fails is no match, but not when it failed for this.
	for _, name := range []string{"example.com", "10.2.0.192.in-addr.arpa", "host.example.com"} {
		for _, prefetch := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			release := zone.Hold(dns.MustParse(name), "")
			before := zone.Queries(dns.MustParse(name), "")
			done := make(chan spf.Result)
			go func() {
				done <- (&spf.Checker{Resolver: zone, Prefetch: prefetch}).Check(ctx, from(client4, "u", "example.com"))
			}()
			if err := zone.Await(t.Context(), dns.MustParse(name), "", before+1); err != nil {
				t.Fatal(err)
			}
			cancel()
			if got := <-done; got.Status != spf.TempError || !errors.Is(got.Err, dns.ErrTemporary) {
				t.Errorf("time was up at %s: %s, %v", name, got.Status, got.Err)
			}
			release()
		}
	}
}

// TestAsked checks that a check makes exactly the expected queries.
func TestAsked(t *testing.T) {
	const zone = `
example.com      TXT "v=spf1 a mx exists:x.example ptr:example.net ip4:198.51.100.1 a:after.example -all"
example.com      A 198.51.100.9
example.com      AAAA 2001:db8:9::9
example.com      MX 10 mail.example.com.
mail.example.com A 198.51.100.9
mail.example.com AAAA 2001:db8:9::9
match.example    TXT "v=spf1 a +all mx redirect=x.example exp=y.example"
fail.example     TXT "v=spf1 -all exp=why.example"
bad.example      TXT "v=spf1 a:a..example mx:mx..example exists:%{h} a:after.example -all"
after.example    A 192.0.2.10
after.example    AAAA 2001:db8::10
10.2.0.192.in-addr.arpa PTR host.example.net.
10.2.0.192.in-addr.arpa PTR elsewhere.example.
host.example.net A 192.0.2.99
`
	cases := []struct {
		name, ip, host string
		want           []string
	}{
		{"A for an IPv4 client", client4, "example.com", []string{
			"A after.example", "A example.com", "A host.example.net", "A mail.example.com", "A x.example",
			"MX example.com", "PTR 10.2.0.192.in-addr.arpa", "TXT example.com"}},
		{"AAAA for an IPv6 client, but A for exists", client6, "example.com", []string{
			"A x.example", "AAAA after.example", "AAAA example.com", "AAAA mail.example.com", "MX example.com",
			"PTR 0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "TXT example.com"}},
		{"nothing behind a match", client4, "match.example", []string{"A match.example", "TXT match.example"}},
		{"the explanation on a fail", client4, "fail.example", []string{"TXT fail.example", "TXT why.example"}},
		{"no names that no query can carry", client4, "bad.example", []string{"A after.example", "A helo.example", "TXT bad.example"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, z := check(t, zone, from(c.ip, "u", c.host))
			if asked := z.Asked(); !slices.Equal(asked, c.want) {
				t.Errorf("%s after\n%q, want\n%q", got.Status, asked, c.want)
			}
		})
	}
}
