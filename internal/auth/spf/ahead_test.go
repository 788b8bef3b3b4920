package spf_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// TestPrefetchParallel holds every answer back until all questions are there.
func TestPrefetchParallel(t *testing.T) {
	const mine = `
example.com   TXT "v=spf1 include:i.example a:a.example mx exists:e.example ptr ip4:198.51.100.1 redirect=r.example"
example.com   MX 10 m1.example.
example.com   MX 20 m2.example.
example.com   MX 30 m3.example.
i.example     TXT "v=spf1 ip4:198.51.100.2"
a.example     A 198.51.100.3
m1.example    A 198.51.100.4
m2.example    A 198.51.100.5
m3.example    A 198.51.100.6
r.example     TXT "v=spf1 -all"
10.2.0.192.in-addr.arpa PTR p.elsewhere.example.
`
	z := dnstest.MustZone(mine)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	rounds := [][]string{
		{"TXT i.example", "A a.example", "MX example.com", "A e.example", "PTR 10.2.0.192.in-addr.arpa", "TXT r.example"},
		{"A m1.example", "A m2.example", "A m3.example"},
	}
	var releases [][]func()
	for _, round := range rounds {
		var rs []func()
		for _, q := range round {
			typ, name, _ := strings.Cut(q, " ")
			rs = append(rs, z.Hold(dns.MustParse(name), typ))
		}
		releases = append(releases, rs)
	}
	done := make(chan spf.Result)
	go func() {
		done <- (&spf.Checker{Resolver: z, Prefetch: true}).Check(ctx, from(client4, "u", "example.com"))
	}()
	for i, round := range rounds {
		for _, q := range round {
			typ, name, _ := strings.Cut(q, " ")
			if err := z.Await(ctx, dns.MustParse(name), typ, 1); err != nil {
				t.Fatal(err)
			}
		}
		for _, release := range releases[i] {
			release()
		}
	}
	got := <-done
	if got.Status != spf.Fail || got.Lookups != 6 || got.Voids != 1 {
		t.Errorf("%s, %d look-ups, %d void, %v", got.Status, got.Lookups, got.Voids, got.Err)
	}
	for _, q := range z.Asked() {
		typ, name, _ := strings.Cut(q, " ")
		if n := z.Queries(dns.MustParse(name), typ); n != 1 {
			t.Errorf("%s was asked %d times", q, n)
		}
	}
}

// TestPrefetchStops has a question asked ahead in vain, and never answered.
func TestPrefetchStops(t *testing.T) {
	z := dnstest.MustZone(`
example.com TXT "v=spf1 include:i.example a:never.example -all"
i.example   TXT "v=spf1 +all"
`)
	defer z.Hold(dns.MustParse("never.example"), "")()
	got := (&spf.Checker{Resolver: z, Prefetch: true}).Check(t.Context(), from(client4, "u", "example.com"))
	if got.Status != spf.Pass || got.Lookups != 1 {
		t.Errorf("%s, %d look-ups, %v", got.Status, got.Lookups, got.Err)
	}
}

// TestPrefetchBounds counts all queries.
func TestPrefetchBounds(t *testing.T) {
	var hosts, wasted, nested strings.Builder
	for n := range 30 {
		fmt.Fprintf(&hosts, "h%d.example A 198.51.100.%d\n", n, n)
		fmt.Fprintf(&wasted, "a:h%d.example ", n)
	}
	for n := range 9 {
		fmt.Fprintf(&nested, "a:h%d.example ", 20+n)
	}
	zone := hosts.String() + `
i.example TXT "v=spf1 ` + nested.String() + `+all"
x.example TXT "v=spf1 ?all"
`
	cases := []struct {
		name, record string
		asked        int // A records
		want         spf.Status
	}{
		{"a record with too much", wasted.String() + "-all", 10, spf.PermError},
		// RFC 7208 section 4.6.4 allows ten look-ups; nine more are asked ahead in vain.
		{"an include with as much", "include:i.example " + wasted.String() + "-all", 18, spf.Pass},
		{"nothing behind a sure match", "include:x.example ip4:192.0.2.0/24 " + wasted.String(), 0, spf.Pass},
		{"nothing behind all", "include:x.example ?all redirect=h1.example " + wasted.String(), 0, spf.Neutral},
		{"no macros", "include:x.example a:%{i}.%{d} -all", 1, spf.Fail},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			z := dnstest.MustZone(zone)
			z.AddTXT(dns.MustParse("example.com"), split("v=spf1 "+c.record)...)
			got := (&spf.Checker{Resolver: z, Prefetch: true}).Check(t.Context(), from(client4, "u", "example.com"))
			if got.Status != c.want || z.Queries(dns.Name{}, "A") != c.asked {
				t.Errorf("%s, %v after %d of %q; want %s after %d", got.Status, got.Err, z.Queries(dns.Name{}, "A"), z.Asked(), c.want, c.asked)
			}
			if slices.Contains(z.Asked(), "TXT h1.example") {
				t.Errorf("a redirect beside all was asked for (RFC 7208 section 5.1)")
			}
		})
	}
}
