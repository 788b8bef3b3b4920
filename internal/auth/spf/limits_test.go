package spf_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// TestLimits has RFC 7208 section 4.6.4: each case at its limit and beyond it.
func TestLimits(t *testing.T) {
	var b strings.Builder
	for n := range 12 {
		fmt.Fprintf(&b, "host.example MX %d h%d.example.\n", n, n)
		fmt.Fprintf(&b, "h%d.example A 198.51.100.%d\n", n, n)
		fmt.Fprintf(&b, "10.2.0.192.in-addr.arpa PTR p%d.example.\n", n)
		fmt.Fprintf(&b, "p%d.example A 198.51.100.%d\n", n, n)
		fmt.Fprintf(&b, "chain%d.example TXT \"v=spf1 include:chain%d.example\"\n", n, n+1)
		if n < 10 {
			fmt.Fprintf(&b, "ten.example MX %d h%d.example.\n", n, n)
		}
	}
	zone := b.String() + `
chain12.example TXT "v=spf1 +all"
p10.example  A 192.0.2.10
a.example    A 198.51.100.1
loop.example TXT "v=spf1 redirect=loop.example"
eins.example TXT "v=spf1 include:zwei.example -all"
zwei.example TXT "v=spf1 include:eins.example -all"
many.example TXT "v=spf1 -all"
many.example TXT "v=spf1 -all"
only.example TXT "v=spf1 -all"
only.example TXT "v=spf2.0 -all"
`
	times := func(n int, term string) string { return strings.Repeat(term+" ", n) }
	cases := []struct {
		name, record   string
		status         spf.Status
		lookups, voids int
		err            error
	}{
		{"ten terms", times(10, "a:a.example") + "+all", spf.Pass, 10, 0, nil},
		{"eleven terms", times(11, "a:a.example") + "+all", spf.PermError, 10, 0, spf.ErrLookupLimit},
		{"terms without look-ups", times(100, "ip4:198.51.100.1") + times(100, "ip6:::1") + "+all", spf.Pass, 0, 0, nil},
		{"ten of all kinds", "a:a.example mx:ten.example mx:h1.example exists:nx.example ptr ptr:x.example include:only.example " +
			times(3, "a:a.example") + "+all", spf.Pass, 10, 2, nil},
		{"redirect is the tenth", times(9, "a:a.example") + "redirect=only.example", spf.Fail, 10, 0, nil},
		{"redirect is the eleventh", times(10, "a:a.example") + "redirect=only.example", spf.PermError, 10, 0, spf.ErrLookupLimit},
		{"nine includes of includes", "include:chain3.example", spf.Pass, 10, 0, nil},
		{"ten includes of includes", "include:chain2.example", spf.PermError, 10, 0, spf.ErrLookupLimit},
		{"redirect loop", "redirect=loop.example", spf.PermError, 10, 0, spf.ErrLookupLimit},
		{"include loop", "include:eins.example", spf.PermError, 10, 0, spf.ErrLookupLimit},
		{"%{p} counts", times(9, "a:a.example") + "exists:%{p}.example +all", spf.PermError, 10, 0, spf.ErrLookupLimit},
		{"%{p} counts once", times(7, "a:a.example") + "-exists:%{p}.x.example -exists:%{p}.y.example +all", spf.Pass, 10, 2, nil},
		{"the exp of a fail does not", times(10, "a:a.example") + "-all exp=%{p}.example", spf.Fail, 10, 0, nil},
		{"two void", "a:nx1.example a:nx2.example +all", spf.Pass, 2, 2, nil},
		{"three void", "a:nx1.example a:nx2.example exists:nx3.example +all", spf.PermError, 3, 3, spf.ErrVoidLimit},
		{"void without a name error", "mx:h1.example mx:h2.example mx:h3.example +all", spf.PermError, 3, 3, spf.ErrVoidLimit},
		{"no void in an explanation", "a:nx1.example a:nx2.example -all exp=nx3.example", spf.Fail, 2, 2, nil},
		{"twelve MX hosts", "mx:host.example +all", spf.PermError, 1, 0, spf.ErrMXLimit},
		{"ten PTR names are read, the eleventh is not", "ptr:p10.example -all", spf.Fail, 1, 0, nil},
		{"two records", "include:many.example +all", spf.PermError, 1, 0, spf.ErrMultipleRecords},
		{"target of one label", "include:%{h1} +all", spf.PermError, 1, 0, spf.ErrTarget},
		{"target with an empty label", "redirect=a..example", spf.PermError, 1, 0, spf.ErrTarget},
		{"target without a record", "redirect=a.example", spf.PermError, 1, 0, spf.ErrNoRecord},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, z := checkRecord(t, zone, c.record, from(client4, "u", "example.com"))
			if got.Status != c.status || !errors.Is(got.Err, c.err) {
				t.Errorf("%s, %v; want %s, %v", got.Status, got.Err, c.status, c.err)
			}
			if got.Lookups != c.lookups || got.Voids != c.voids {
				t.Errorf("%d look-ups, %d void, want %d, %d; asked %q", got.Lookups, got.Voids, c.lookups, c.voids, z.Asked())
			}
		})
	}
}

// checkRecord checks against a record of example.com beside the zone.
func checkRecord(t *testing.T, zone, record string, req spf.Request) (spf.Result, *dnstest.Zone) {
	t.Helper()
	z := dnstest.MustZone(zone)
	z.AddTXT(dns.MustParse("example.com"), split("v=spf1 "+record)...)
	c := &spf.Checker{Resolver: z, Receiver: "mx.receiver.example"}
	return c.Check(t.Context(), req), z
}

// split cuts a text into character-strings.
func split(s string) []string {
	var out []string
	for len(s) > 255 {
		out, s = append(out, s[:255]), s[255:]
	}
	return append(out, s)
}

// TestVoidTerms has terms with several void look-ups: each counts once.
func TestVoidTerms(t *testing.T) {
	const zone = `
example.com MX 1 a1.example.
example.com MX 2 a2.example.
example.com MX 3 a3.example.
a1.example  A 192.0.2.1
a2.example  A 192.0.2.2
a3.example  A 192.0.2.3
`
	got, z := checkRecord(t, zone, "mx -all", from(client6, "u", "example.com"))
	if got.Status != spf.Fail || got.Voids != 1 || z.Queries(dns.Name{}, "AAAA") != 3 {
		t.Errorf("%s with %d void terms after %q", got.Status, got.Voids, z.Asked())
	}
}

func TestPTR(t *testing.T) {
	const zone = `
10.2.0.192.in-addr.arpa PTR slow.example.com.
10.2.0.192.in-addr.arpa PTR other.example.
10.2.0.192.in-addr.arpa PTR a.example.com.
10.2.0.192.in-addr.arpa PTR notexample.com.
slow.example.com FAULT timeout
other.example    A 192.0.2.10
a.example.com    A 192.0.2.10
notexample.com   A 192.0.2.10
a.example.com.ok.example   A 127.0.0.2
a.example.com.sub.ok.example A 127.0.0.2
other.example.any.example  A 127.0.0.2
include.example  TXT "v=spf1 -ptr exists:%{p}.any.example ~all"
`
	cases := []struct{ record, want string }{
		{"ptr -all", "ptr"},
		{"ptr:a.example.com -all", "ptr:a.example.com"},
		{"ptr:b.example.com -all", "-all"},
		{"ptr:le.com -all", "-all"},
		{"ptr:notexample.com -all", "ptr:notexample.com"},
		// RFC 7208 section 7.3: first the current domain or what is below it
		{"exists:%{p}.ok.example -all", "exists:%{p}.ok.example"},
		{"include:include.example -all", "exists:%{p}.any.example"},
	}
	for _, c := range cases {
		got, z := checkRecord(t, zone, c.record, from(client4, "u", "example.com"))
		if got.Mechanism != c.want || got.Err != nil {
			t.Errorf("%q matched by %q, %v, want %q; asked %q", c.record, got.Mechanism, got.Err, c.want, z.Asked())
		}
		if n := z.Queries(dns.Name{}, "PTR"); n != 1 {
			t.Errorf("%q: %d PTR look-ups", c.record, n)
		}
	}
}

// TestNonASCII has RFC 8616 section 4: what expands a local part that is not
// ASCII does not match.
func TestNonASCII(t *testing.T) {
	const zone = `
other.example TXT "v=spf1 +all"
`
	for _, c := range []struct{ local, record, want string }{
		{"pelé", "-exists:%{l}.example -exists:%{s}.example ~all", "~all"},
		{"pelé", "-include:%{l}.example -a:%{lr-}.example ~all", "~all"},
		{"pelé", "redirect=%{l}.example", ""},
		{"pelé", "exists:%{o} -all", "-all"},
		{strings.Repeat("x", 1025), "-include:%{l}.example ~all", "~all"},
	} {
		got, _ := checkRecord(t, zone, c.record, from(client4, c.local, "example.com"))
		if got.Mechanism != c.want || got.Err != nil || c.want == "" && got.Status != spf.Neutral {
			t.Errorf("%q: %s by %q, %v; want %q", c.record, got.Status, got.Mechanism, got.Err, c.want)
		}
	}
	req := from(client4, "u", "example.com")
	for helo, want := range map[string]string{
		"bücher.example": "A xn--bcher-kva.example", "Mail.Example": "A mail.example",
	} {
		req.Helo = helo
		if _, z := checkRecord(t, zone, "exists:%{h} -all", req); z.Queries(dns.MustParse(want[2:]), "A") != 1 {
			t.Errorf("HELO %q: asked %q, want %q", helo, z.Asked(), want)
		}
	}
	for _, helo := range []string{"\xff\xfe.example", strings.Repeat("x.", 130) + "example"} {
		req.Helo = helo
		if got, z := checkRecord(t, zone, "exists:%{h} -all", req); got.Status != spf.Fail || z.Queries(dns.Name{}, "A") != 0 {
			t.Errorf("HELO %q: %s, asked %q", helo, got.Status, z.Asked())
		}
	}
}

func TestExplanation(t *testing.T) {
	zone := `
no.other.example TXT "v=spf1 -all exp=other.example"
other.example    TXT "other"
to.example       TXT "v=spf1 -all exp=to.%{d}"
to.to.example    TXT "redirected from %{o} to %{d}"
text.example     TXT "%{s} at %{c} (%{i}, %{v}) is not welcome at %{r}; %{h} %{t} %%%_%- 100%% %{L}"
long.example     TXT "` + zeros(250) + `"
longest.example  TXT "%{l}%{l}%{l}%{l}%{l}%{l}"
two.example      TXT "one"
two.example      TXT "two"
syntax.example   TXT "100% sure"
later.example    TXT "` + zeros(250) + `" "%{x}"
control.example  TXT "a\007b"
eight.example    TXT "\195\169"
ptr.example      TXT "%{p}"
split.example    TXT "one " "text"
slow.example     FAULT timeout
`
	cases := []struct{ name, record, local, want string }{
		{"macros", "-all exp=text.example", "u v", "u v@example.com at 192.0.2.10 (192.0.2.10, in-addr) is not welcome at mx.receiver.example; helo.example 0 % %20 100% u%20v"},
		{"joined strings", "-all exp=split.example", "u", "one text"},
		{"cut", "-all exp=long.example", "u", zeros(200)},
		{"cut within a macro", "-all exp=longest.example", zeros(64), zeros(200)},
		{"none", "-all", "u", ""},
		{"no record", "-all exp=none.example", "u", ""},
		{"two records", "-all exp=two.example", "u", ""},
		{"time-out", "-all exp=slow.example", "u", ""},
		{"syntax error", "-all exp=syntax.example", "u", ""},
		{"syntax error behind the cut", "-all exp=later.example", "u", ""},
		{"control character", "-all exp=control.example", "u", ""},
		{"not ASCII", "-all exp=eight.example", "u", ""},
		{"name no query can carry", "-all exp=a..example", "u", ""},
		{"local part with a line break", "-all exp=text.example", "u\r\nv", ""},
		{"local part not ASCII", "-all exp=text.example", "é", ""},
		{"no validated name", "-all exp=ptr.example", "u", "unknown"},
		{"not of an include", "include:no.other.example -all", "u", ""},
		{"of the record, for a fail by an include", "-include:yes.example -all exp=split.example", "u", "one text"},
		{"of the redirect", "redirect=to.example exp=split.example", "u", "redirected from example.com to to.example"},
		{"for a fail only", "~all exp=split.example", "u", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _ := checkRecord(t, zone+"yes.example TXT \"v=spf1 +all\"\n", c.record, from(client4, c.local, "example.com"))
			want := spf.Fail
			if strings.HasPrefix(c.record, "~") {
				want = spf.Softfail
			}
			if got.Explanation != c.want || got.Status != want {
				t.Errorf("%s, %q (%v), want %s, %q", got.Status, got.Explanation, got.Err, want, c.want)
			}
			if got.Voids != 0 { // RFC 7208 section 4.6.4: exp is not subject to its limits
				t.Errorf("%d void look-ups", got.Voids)
			}
		})
	}
}

func zeros(n int) string { return strings.Repeat("0", n) }

// TestConcurrent is for the race detector: one Checker, many checks.
func TestConcurrent(t *testing.T) {
	z := dnstest.MustZone(`
example.com TXT "v=spf1 include:a.example mx ptr exists:%{p}.example a -all exp=text.example"
a.example   TXT "v=spf1 a mx ?all"
text.example TXT "%{p}"
`)
	c := &spf.Checker{Resolver: z, Prefetch: true}
	done := make(chan spf.Result)
	for i := range 20 {
		go func() {
			done <- c.Check(t.Context(), spf.Request{IP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Host: "example.com"})
		}()
	}
	for range 20 {
		if got := <-done; got.Status != spf.PermError || !errors.Is(got.Err, spf.ErrVoidLimit) {
			t.Errorf("%s, %v", got.Status, got.Err)
		}
	}
}

// TestQueryLimit bounds the queries of one check, with and without those made ahead.
func TestQueryLimit(t *testing.T) {
	var b strings.Builder
	for n := range 10 {
		for h := range 10 {
			fmt.Fprintf(&b, "m%d.example MX %d h%d.m%d.example.\nh%d.m%d.example A 198.51.100.1\n", n, h, h, n, h, n)
		}
		fmt.Fprintf(&b, "10.2.0.192.in-addr.arpa PTR p%d.rev.example.\np%d.rev.example A 198.51.100.%d\n", n, n, n)
	}
	mx := func(n int) string {
		out := ""
		for i := range n {
			out += fmt.Sprintf("mx:m%d.example ", i)
		}
		return out
	}
	for _, c := range []struct {
		name, record string
		status       spf.Status
		err          error
	}{
		{"five mx with ten hosts", mx(5) + "+all", spf.Pass, nil},
		{"six mx with ten hosts", mx(6) + "+all", spf.PermError, spf.ErrQueryLimit},
		{"ten mx with ten hosts", mx(10) + "+all", spf.PermError, spf.ErrQueryLimit},
		{"five mx and ptr", mx(5) + "ptr:rev.example +all", spf.PermError, spf.ErrQueryLimit},
		{"a match before it", mx(5) + "ip4:192.0.2.0/24 " + mx(6), spf.Pass, nil},
	} {
		for _, prefetch := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", c.name, prefetch), func(t *testing.T) {
				z := dnstest.MustZone(b.String())
				z.AddTXT(dns.MustParse("example.com"), split("v=spf1 "+c.record)...)
				checker := &spf.Checker{Resolver: z, Prefetch: prefetch}
				got := checker.Check(t.Context(), from(client4, "u", "example.com"))
				if got.Status != c.status || !errors.Is(got.Err, c.err) {
					t.Errorf("%s, %v; want %s, %v", got.Status, got.Err, c.status, c.err)
				}
				if n := len(z.Asked()); n > 75 {
					t.Errorf("%d queries", n)
				}
			})
		}
	}
}

// limited answers no more than so many questions.
type limited struct {
	spf.Resolver
	left int
}

func (l *limited) LookupTXT(ctx context.Context, name dns.Name) ([]string, error) {
	if l.left--; l.left < 0 {
		return nil, &dns.Error{Name: name, Type: "TXT", Err: dns.ErrQueryLimit}
	}
	return l.Resolver.LookupTXT(ctx, name)
}

func (l *limited) LookupAddr(ctx context.Context, name dns.Name, v6 bool) ([]netip.Addr, error) {
	if l.left--; l.left < 0 {
		return nil, &dns.Error{Name: name, Type: "A", Err: dns.ErrQueryLimit}
	}
	return l.Resolver.LookupAddr(ctx, name, v6)
}

// TestResolverAtItsLimit: a message that asks for too much gets a PermError, wherever
// the limit is met, and never a TempError.
func TestResolverAtItsLimit(t *testing.T) {
	const zone = `
example.com  TXT "v=spf1 a:a.example include:b.example exists:c.example ptr:b.example -all"
a.example    A 198.51.100.1
b.example    TXT "v=spf1 -all"
10.2.0.192.in-addr.arpa PTR p.example.
p.example    A 198.51.100.1
`
	for left := range 8 {
		checker := &spf.Checker{Resolver: &limited{Resolver: dnstest.MustZone(zone), left: left}}
		got := checker.Check(t.Context(), from(client4, "u", "example.com"))
		want := spf.PermError
		if left >= 4 { // all that the record needs
			want = spf.Fail
		}
		if got.Status != want || want == spf.PermError && !errors.Is(got.Err, spf.ErrQueryLimit) {
			t.Errorf("%d queries: %s, %v; want %s", left, got.Status, got.Err, want)
		}
	}
}
