package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

const (
	patient   = 20 * time.Second      // where the answer comes, however slow the machine
	impatient = 40 * time.Millisecond // where none comes
)

// open makes a client of the servers given, with a cache.
func open(t testing.TB, cfg Config, servers ...*dnstest.Server) *Client {
	t.Helper()
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, s.Addr)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = patient
	}
	if cfg.CacheEntries == 0 {
		cfg.CacheEntries = 1000
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func name(s string) dns.Name { return dns.MustParse(s) }

var allOctets = func() string {
	var b []byte
	for c := range 256 {
		b = append(b, byte(c))
	}
	return string(b)
}()

const zone = `
example.com          TXT  "v=spf1 mx -all"
example.com          TXT  "second " "half\"\\;"
example.com          MX   20 b.example.com
example.com          MX   10 A.example.com
a.example.com        A    192.0.2.1
a.example.com        A    192.0.2.2
a.example.com        AAAA 2001:db8::1
v4in6.example.com    AAAA ::ffff:192.0.2.1
deep.er.example.com  A    192.0.2.2
null.example         MX   0 .
odd.example          MX   1 a\.b.example
odd.example          MX   2 a\195\164.example
odd.example          MX   3 good.example
1.2.0.192.in-addr.arpa  PTR a.example.com
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR a.example.com
alias.example        CNAME WWW.alias.example
www.alias.example    CNAME a.example.com
dangling.example     CNAME nowhere.test
loop1.example        CNAME loop2.example
loop2.example        CNAME loop1.example
loop3.example        CNAME loop4.example
loop4.example        CNAME loop3.example
loop3.example        FAULT bare
loop4.example        FAULT bare
bare.example         CNAME bare2.example
bare.example         FAULT bare
bare2.example        CNAME a.example.com
bare2.example        FAULT bare
barenx.example       CNAME nowhere.test
barenx.example       FAULT bare
barefail.example     CNAME fail.example
barefail.example     FAULT bare
c1.example CNAME c2.example
c2.example CNAME c3.example
c3.example CNAME c4.example
c4.example CNAME c5.example
c4.example FAULT bare
c5.example CNAME c6.example
c6.example CNAME c7.example
c7.example CNAME c8.example
c8.example CNAME c9.example
c9.example A     192.0.2.9
c0.example CNAME c1.example
fail.example         FAULT servfail
refused.example      FAULT refused
tofail.example       CNAME fail.example
cut.example          FAULT truncate
cut.example          TXT "over TCP"
big.example          TXT "` // completed by bigZone

// bigZone is zone with records that do not fit into UDP.
var bigZone = zone + strings.Repeat("x", 3000) + `"
forged.example       FAULT forged
forged.example       TXT "true"
dumb.example         FAULT no-edns
dumb.example         TXT "no OPT"
huge.example         FAULT huge
`

func TestLookupTXT(t *testing.T) {
	srv := dnstest.New(t, bigZone)
	srv.Zone.AddTXT(name("octets.example"), allOctets[:200], allOctets[200:]+`\065`)
	strange := name(`a\065b"(;)@$'+=.example`)
	srv.Zone.AddTXT(strange, "strange")
	spaced, err := dns.ParseQuery("a b.example")
	if err != nil {
		t.Fatal(err)
	}
	srv.Zone.AddTXT(spaced, "spaced")
	c := open(t, Config{}, srv)
	cases := []struct {
		name string
		ask  dns.Name
		want []string
		err  error
	}{
		{"strings joined", name("example.com"), []string{"v=spf1 mx -all", `second half"\;`}, nil},
		{"every octet", name("octets.example"), []string{allOctets + `\065`}, nil},
		{"octets special in master files", strange, []string{"strange"}, nil},
		{"a space", spaced, []string{"spaced"}, nil},
		{"no such name", name("x.example.com"), nil, dns.ErrNXDomain},
		{"no data", name("a.example.com"), nil, dns.ErrNoData},
		{"empty non-terminal", name("er.example.com"), nil, dns.ErrNoData},
		{"alias without the type", name("alias.example"), nil, dns.ErrNoData},
		{"alias to nowhere", name("dangling.example"), nil, dns.ErrNXDomain},
		{"alias to nowhere, asked for", name("barenx.example"), nil, dns.ErrNXDomain},
		{"alias to a failure", name("tofail.example"), nil, dns.ErrTemporary},
		{"alias to a failure, asked for", name("barefail.example"), nil, dns.ErrTemporary},
		{"alias loop", name("loop1.example"), nil, dns.ErrTemporary},
		{"alias loop over several answers", name("loop3.example"), nil, dns.ErrTemporary},
		{"SERVFAIL", name("fail.example"), nil, dns.ErrTemporary},
		{"REFUSED", name("refused.example"), nil, dns.ErrTemporary},
		{"truncated", name("cut.example"), []string{"over TCP"}, nil},
		{"too big for UDP", name("big.example"), []string{strings.Repeat("x", 3000)}, nil},
		{"64 KiB", name("huge.example"), nil, dns.ErrTemporary},
		{"forged answers first", name("forged.example"), []string{"true"}, nil},
		{"server without EDNS", name("dumb.example"), []string{"no OPT"}, nil},
		{"no name", dns.Name{}, nil, dns.ErrNXDomain},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for _, how := range []string{"asked", "kept"} {
				got, err := c.LookupTXT(context.Background(), tc.ask)
				if !slices.Equal(got, tc.want) || !errors.Is(err, tc.err) {
					t.Errorf("%s: LookupTXT(%s) = %q, %v, want %q, %v", how, tc.ask, got, err, tc.want, tc.err)
				}
				if e := (*dns.Error)(nil); err != nil && (!errors.As(err, &e) || e.Name != tc.ask || e.Type != "TXT") {
					t.Errorf("%s: error %v does not say which look-up failed", how, err)
				}
			}
		})
	}
}

func TestLookupOthers(t *testing.T) {
	srv := dnstest.New(t, bigZone)
	c, ctx := open(t, Config{}, srv), context.Background()
	for ask, want := range map[string]string{
		"a.example.com": "192.0.2.1 192.0.2.2",
		"alias.example": "192.0.2.1 192.0.2.2",
		"bare.example":  "192.0.2.1 192.0.2.2",
		"c1.example":    "192.0.2.9", // eight aliases
	} {
		addrs, err := c.LookupAddr(ctx, name(ask), false)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("A of %s = %v, %v, want %s", ask, addrs, err, want)
		}
	}
	if got, err := c.LookupAddr(ctx, name("c0.example"), false); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("nine aliases: %v, %v", got, err)
	}
	if got, err := c.LookupAddr(ctx, name("huge.example"), false); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("64 KiB of addresses: %d, %v", len(got), err)
	}
	for ask, want := range map[string]string{"a.example.com": "2001:db8::1", "v4in6.example.com": "::ffff:192.0.2.1"} {
		got, err := c.LookupAddr(ctx, name(ask), true)
		if err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr(want)}) {
			t.Errorf("AAAA of %s = %v, %v, want %s", ask, got, err, want)
		}
	}
	for ask, want := range map[string][]dns.Name{
		"example.com":  {name("a.example.com"), name("b.example.com")},
		"null.example": {},
		"odd.example":  {name("good.example")},
	} {
		got, err := c.LookupMX(ctx, name(ask))
		if err != nil || got == nil || !slices.Equal(got, want) || cap(got) != len(got) {
			t.Errorf("MX of %s = %v (cap %d), %v, want %v", ask, got, cap(got), err, want)
		}
	}
	if got, err := c.LookupMX(ctx, name("huge.example")); err != nil || len(got) != maxRecords || got[0] != name("h0") {
		t.Errorf("64 KiB of MX: %d, %v, want %d", len(got), err, maxRecords)
	}
	for _, ask := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"} {
		got, err := c.LookupPTR(ctx, netip.MustParseAddr(ask))
		if err != nil || !slices.Equal(got, []dns.Name{name("a.example.com")}) {
			t.Errorf("PTR of %s = %v, %v", ask, got, err)
		}
	}
	if got, err := c.LookupPTR(ctx, netip.MustParseAddr("192.0.2.99")); !errors.Is(err, dns.ErrNXDomain) {
		t.Errorf("PTR of an unlisted address = %v, %v", got, err)
	}
	if got, err := c.LookupPTR(ctx, netip.Addr{}); !errors.Is(err, dns.ErrNXDomain) {
		t.Errorf("PTR of no address = %v, %v", got, err)
	}
}

// TestSameAsZone: the fake in memory must not differ from the real thing.
func TestSameAsZone(t *testing.T) {
	srv := dnstest.New(t, bigZone)
	memory := dnstest.MustZone(bigZone)
	c, ctx := open(t, Config{}, srv), context.Background()
	for _, line := range strings.Split(bigZone, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasSuffix(words[0], ".arpa") {
			continue
		}
		n := name(words[0])
		gotTXT, err1 := c.LookupTXT(ctx, n)
		wantTXT, err2 := memory.LookupTXT(ctx, n)
		same(t, "TXT "+words[0], gotTXT, wantTXT, err1, err2)
		gotMX, err1 := c.LookupMX(ctx, n)
		wantMX, err2 := memory.LookupMX(ctx, n)
		same(t, "MX "+words[0], gotMX, wantMX, err1, err2)
		for _, v6 := range []bool{false, true} {
			got, err1 := c.LookupAddr(ctx, n, v6)
			want, err2 := memory.LookupAddr(ctx, n, v6)
			same(t, "address "+words[0], got, want, err1, err2)
		}
	}
}

func same[T comparable](t *testing.T, what string, got, want []T, err1, err2 error) {
	t.Helper()
	if !slices.Equal(got, want) || (got == nil) != (want == nil) {
		t.Errorf("%s: resolver gives %v, the zone %v", what, got, want)
	}
	for _, e := range []error{dns.ErrNXDomain, dns.ErrNoData, dns.ErrTemporary} {
		if errors.Is(err1, e) != errors.Is(err2, e) {
			t.Errorf("%s: resolver says %v, the zone %v", what, err1, err2)
		}
	}
}

// TestNoAnswer: what is not an answer to the query is waited past, and ends as a
// temporary failure.
func TestNoAnswer(t *testing.T) {
	srv := dnstest.New(t, `
timeout.example  FAULT timeout
garbage.example  FAULT garbage
id.example       FAULT wrong-id
question.example FAULT wrong-question
`)
	var seen outcomes
	// Long enough that a busy machine does send both queries in time.
	c := open(t, Config{Timeout: 10 * impatient, Observe: seen.observe}, srv)
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	for _, ask := range []string{"timeout", "garbage", "id", "question"} {
		t.Run(ask, func(t *testing.T) {
			got, err := c.LookupTXT(context.Background(), name(ask+".example"))
			if !errors.Is(err, dns.ErrTemporary) || got != nil {
				t.Errorf("got %q, %v, want a temporary failure", got, err)
			}
			if !strings.Contains(err.Error(), srv.Addr) {
				t.Errorf("error %q does not name the server", err)
			}
			if err := srv.Zone.Await(ctx, name(ask+".example"), "TXT", 2); err != nil {
				t.Error(err)
			}
		})
	}
	if n := seen.count("TXT " + outcomeTimeout); n != 8 {
		t.Errorf("observed %d time-outs, want 8", n)
	}
}

// outcomes counts the outcomes passed to Observe.
type outcomes struct {
	mu sync.Mutex
	n  map[string]int
}

func (o *outcomes) observe(qtype, outcome string, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == nil {
		o.n = map[string]int{}
	}
	o.n[qtype+" "+outcome]++
	if took <= 0 || !slices.Contains(Outcomes(), outcome) {
		o.n["invalid"]++
	}
}

func (o *outcomes) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n[what]
}

func TestObserve(t *testing.T) {
	srv := dnstest.New(t, bigZone)
	var seen outcomes
	c := open(t, Config{Observe: seen.observe}, srv)
	for _, ask := range []string{"example.com", "x.example.com", "a.example.com", "fail.example", "refused.example", "cut.example", "dumb.example", "huge.example", "loop1.example"} {
		_, _ = c.LookupTXT(context.Background(), name(ask))
	}
	for what, want := range map[string]int{
		"TXT ok": 3, "TXT nxdomain": 1, "TXT nodata": 1, "TXT servfail": 1, "TXT refused": 1,
		"TXT truncated": 2, "TXT rcode": 1, "TXT bogus": 2, "invalid": 0,
	} {
		if got := seen.count(what); got != want {
			t.Errorf("observed %s %d times, want %d", what, got, want)
		}
	}
}
