package spf_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns/dnstest"
)

// TestSlowReverse has RFC 7208 sections 5.5 and 7.3 for a client whose name
// servers do not answer: it has no name, and that takes little of the time.
func TestSlowReverse(t *testing.T) {
	const client = "10.2.0.192.in-addr.arpa"
	const never = "delay=1h"
	var ten strings.Builder
	for n := range 10 {
		fmt.Fprintf(&ten, "%s PTR h%d.slow.example.\nh%d.slow.example FAULT none %s\n", client, n, n, never)
	}
	mixed := `
` + client + ` PTR slow.pool.example.
` + client + ` PTR good.pool.example.
` + client + ` PTR late.pool.example.
slow.pool.example FAULT none ` + never + `
good.pool.example A 192.0.2.10
late.pool.example A 192.0.2.10
late.pool.example FAULT none delay=500ms
wait.example   A 198.51.100.1
wait.example   FAULT none delay=5s
`
	const budget = 20 * time.Second
	cases := []struct {
		name, zone, record string
		budget             time.Duration
		want               string // mechanism
		took               time.Duration
		asked              string
	}{
		{"ptr, reverse zone", client + " FAULT none " + never, "ptr -all", budget, "-all", 2 * time.Second, ""},
		{"%{p}, reverse zone", client + " FAULT none " + never, "exists:%{p}.ok.example -all", budget, "-all", 2 * time.Second, "A unknown.ok.example"},
		{"ptr, ten names", ten.String(), "ptr:slow.example -all", budget, "-all", 2 * time.Second, "A h9.slow.example"},
		{"%{p}, ten names", ten.String(), "exists:%{p}.ok.example -all", budget, "-all", 2 * time.Second, "A unknown.ok.example"},
		{"a share of what is left", ten.String(), "exists:%{p}.ok.example -all", 5 * time.Second, "-all", time.Second, "A unknown.ok.example"},
		{"all terms together", ten.String(), "ptr:h1.slow.example ptr:h2.slow.example ptr:slow.example -exists:%{p}.ok.example ~all", budget, "~all", 2 * time.Second, "A unknown.ok.example"},
		{"a good name behind a slow one", mixed, "ptr:pool.example -all", budget, "ptr:pool.example", 2 * time.Second, ""},
		{"time of other terms is not counted", mixed, "ptr:nx.pool.example a:wait.example ptr:late.pool.example -all", budget, "ptr:late.pool.example", 5500 * time.Millisecond, ""},
		{"no name is lost to an earlier match", strings.ReplaceAll(mixed, client+" PTR slow.pool.example.", ""),
			"-exists:%{p}.ok.example ptr:late.pool.example -all", budget, "ptr:late.pool.example", 500 * time.Millisecond, "A good.pool.example.ok.example"},
	}
	for _, c := range cases {
		for _, prefetch := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, prefetch %v", c.name, prefetch), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					z := dnstest.MustZone(c.zone + "\nexample.com TXT \"v=spf1 " + c.record + "\"")
					ctx, cancel := context.WithTimeout(t.Context(), c.budget)
					defer cancel()
					start := time.Now()
					got := (&spf.Checker{Resolver: z, Prefetch: prefetch}).Check(ctx, from(client4, "u", "example.com"))
					took := time.Since(start)
					if got.Mechanism != c.want || got.Err != nil {
						t.Errorf("%s by %q, %v; want %q", got.Status, got.Mechanism, got.Err, c.want)
					}
					if took != c.took && !(prefetch && took < c.took) {
						t.Errorf("took %v, want %v", took, c.took)
					}
					if asked := z.Asked(); c.asked != "" && !slices.Contains(asked, c.asked) {
						t.Errorf("asked %q, not %s", asked, c.asked)
					}
				})
			})
		}
	}
}
