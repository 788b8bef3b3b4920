package resolver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// clock is one that the test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1e9, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func TestTTL(t *testing.T) {
	const zone = `
example          3600 SOA ns.example. h.example. 1 1 1 1 600
short.example    10   TXT a
zero.example     0    TXT a
day.example      86400 TXT a
alias.example    7    CNAME day.example
barealias.example 7   CNAME day.example
barealias.example     FAULT bare
nodata.example        A 192.0.2.1
fail.example          FAULT servfail
long.test       86400 SOA ns.example. h.example. 1 1 1 1 86400
zero.test       0     SOA ns.example. h.example. 1 1 1 1 86400
min.test        86400 SOA ns.example. h.example. 1 1 1 1 0
`
	cases := []struct {
		name, ask string
		kept      time.Duration
	}{
		{"TTL", "short.example", 10 * time.Second},
		{"TTL 0", "zero.example", 0},
		{"long TTL", "day.example", maxTTL},
		{"TTL of an alias", "alias.example", 7 * time.Second},
		{"TTL of an alias in another answer", "barealias.example", 7 * time.Second},
		{"no data: minimum of the SOA", "nodata.example", 600 * time.Second},
		{"NXDOMAIN: minimum of the SOA", "gone.example", 600 * time.Second},
		{"NXDOMAIN: long minimum", "gone.long.test", maxNegativeTTL},
		{"NXDOMAIN: SOA with TTL 0", "gone.zero.test", 0},
		{"NXDOMAIN: minimum 0", "gone.min.test", 0},
		{"SERVFAIL", "fail.example", failureTTL},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var clk clock
			srv := dnstest.New(t, zone)
			c := open(t, Config{Now: clk.now}, srv)
			look := func(want int) {
				t.Helper()
				_, _ = c.LookupTXT(context.Background(), name(tc.ask))
				if n := srv.Zone.Queries(name(tc.ask), "TXT"); n != want {
					t.Errorf("after %v: %d queries, want %d", time.Duration(clk.ns.Load()), n, want)
				}
			}
			look(1)
			if tc.kept == 0 {
				look(2)
				return
			}
			look(1)
			clk.advance(tc.kept - 1)
			look(1)
			clk.advance(1)
			look(2)
		})
	}
}

// TestTimeoutKeptForTheNameAlone: a dead name server says nothing about its
// neighbours, other types or names below.
func TestTimeoutKeptForTheNameAlone(t *testing.T) {
	srv := dnstest.New(t, `
dead.example      FAULT timeout TXT
dead.example      A 192.0.2.1
sub.dead.example  TXT sub
example           TXT up
`)
	var clk clock
	c, ctx := open(t, Config{Timeout: impatient, Now: clk.now}, srv), context.Background()
	dead := name("dead.example")
	for range 2 {
		if _, err := c.LookupTXT(ctx, dead); !errors.Is(err, dns.ErrTemporary) {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Misses != 1 || s.Hits != 1 {
		t.Errorf("within %v: %+v, want one look-up", failureTTL, s)
	}
	c.timeout, c.limit = patient, patient
	if _, err := c.LookupAddr(ctx, dead, false); err != nil {
		t.Errorf("another type: %v", err)
	}
	for _, other := range []string{"sub.dead.example", "example"} {
		if _, err := c.LookupTXT(ctx, name(other)); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	srv.Zone.Remove(dead)
	srv.Zone.AddTXT(dead, "alive")
	clk.advance(failureTTL)
	if got, err := c.LookupTXT(ctx, dead); err != nil || len(got) != 1 {
		t.Errorf("after %v: %q, %v", failureTTL, got, err)
	}
}

func TestCacheBounds(t *testing.T) {
	ctx := context.Background()
	t.Run("entries", func(t *testing.T) {
		srv := dnstest.New(t, "*.example TXT a")
		c := open(t, Config{CacheEntries: 10}, srv)
		for i := range 50 {
			_, _ = c.LookupTXT(ctx, name(fmt.Sprintf("n%d.example", i)))
			_, _ = c.LookupTXT(ctx, name("n0.example"))
		}
		if n := c.Stats().Entries; n != 10 {
			t.Errorf("%d entries, want 10", n)
		}
		if n := srv.Zone.Queries(name("n0.example"), ""); n != 1 {
			t.Errorf("the name in use was dropped: %d queries", n)
		}
		if n := srv.Zone.Queries(name("n1.example"), ""); n != 1 {
			t.Errorf("%d queries for n1.example", n)
		}
		_, _ = c.LookupTXT(ctx, name("n1.example"))
		if n := srv.Zone.Queries(name("n1.example"), ""); n != 2 {
			t.Error("the name not used for longest was not dropped")
		}
	})
	t.Run("bytes", func(t *testing.T) {
		srv := dnstest.New(t, `*.example TXT "`+strings.Repeat("x", 2000)+`"`)
		const most = 20000
		c := open(t, Config{CacheEntries: 50, CacheBytes: most}, srv)
		for i := range 50 {
			_, _ = c.LookupTXT(ctx, name(fmt.Sprintf("n%d.example", i)))
		}
		if s := c.Stats(); s.Bytes > most || s.Entries > most/2000 || s.Entries < most/3000 {
			t.Errorf("kept %+v of at most %d bytes", s, most)
		}
	})
	t.Run("one too big", func(t *testing.T) {
		srv := dnstest.New(t, `big.example TXT "`+strings.Repeat("x", 2000)+`"`)
		c := open(t, Config{CacheBytes: 1000}, srv)
		_, _ = c.LookupTXT(ctx, name("big.example"))
		if s := c.Stats(); s.Bytes != 0 || s.Entries != 0 {
			t.Errorf("kept %+v", s)
		}
	})
	t.Run("expired ones are given back", func(t *testing.T) {
		var clk clock
		srv := dnstest.New(t, "zero.example TXT a")
		c := open(t, Config{Now: clk.now}, srv)
		_, _ = c.LookupTXT(ctx, name("zero.example"))
		before := c.Stats()
		clk.advance(maxTTL)
		srv.Zone.Remove(name("zero.example"))
		srv.Zone.AddFault(name("zero.example"), dnstest.Fault{Kind: dnstest.ServFail})
		_, _ = c.LookupTXT(ctx, name("zero.example"))
		if after := c.Stats(); before.Entries != 1 || before.Bytes == 0 || after.Entries != 1 || after.Bytes > 2*before.Bytes {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
	t.Run("none", func(t *testing.T) {
		srv := dnstest.New(t, "a.example TXT a")
		c, err := New(Config{Servers: []string{srv.Addr}, Timeout: patient})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 2 {
			if _, err := c.LookupTXT(ctx, name("a.example")); err != nil {
				t.Error(err)
			}
		}
		if n, s := srv.Zone.Queries(name("a.example"), ""), c.Stats(); n != 2 || s.Entries != 0 || s.Misses != 2 {
			t.Errorf("%d queries, %+v", n, s)
		}
	})
}

func TestStats(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a")
	c := open(t, Config{CacheEntries: 100000}, srv)
	for range 3 {
		_, _ = c.LookupTXT(context.Background(), name("a.example"))
		_, _ = c.LookupTXT(context.Background(), name("b.example"))
	}
	if s := c.Stats(); s.Hits != 4 || s.Misses != 2 || s.Joined != 0 || s.Entries != 2 || s.Bytes < 2*entryCost {
		t.Errorf("stats are %+v", s)
	}
}

func TestCached(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a")
	c := open(t, Config{CacheEntries: 100}, srv)
	if _, _, ok := c.Cached(name("a.example")); ok {
		t.Error("something was cached before it was asked for")
	}
	for _, n := range []string{"a.example", "b.example"} {
		want, wantErr := c.LookupTXT(t.Context(), name(n))
		got, err, ok := c.Cached(name(n))
		if !ok || !slices.Equal(got, want) || !errors.Is(err, wantErr) {
			t.Errorf("%s: %q, %v, %v; want %q, %v", n, got, err, ok, want, wantErr)
		}
	}
	if n := srv.Zone.Queries(name("a.example"), ""); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
}
