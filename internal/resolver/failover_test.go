package resolver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

func TestFailover(t *testing.T) {
	for _, fault := range []dnstest.Kind{dnstest.Timeout, dnstest.ServFail, dnstest.Refused, dnstest.Garbage, dnstest.WrongID, dnstest.WrongQuestion} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			first := dnstest.New(t, "a.example FAULT "+string(fault)+"\nb.example TXT b\nb.example FAULT none delay=0s")
			second := dnstest.New(t, "a.example TXT a")
			timeout := patient
			if fault != dnstest.ServFail && fault != dnstest.Refused {
				timeout = time.Second
			}
			c := open(t, Config{Timeout: timeout}, first, second)
			got, err := c.LookupTXT(context.Background(), name("a.example"))
			if err != nil || len(got) != 1 || got[0] != "a" {
				t.Errorf("got %q, %v, want the second server's answer", got, err)
			}
			if n := first.Zone.Queries(name("a.example"), ""); n != 1 {
				t.Errorf("first server asked %d times, want once", n)
			}
			got, err = c.LookupTXT(context.Background(), name("b.example"))
			if err != nil || len(got) != 1 || got[0] != "b" {
				t.Errorf("got %q, %v, want the first server's answer", got, err)
			}
		})
	}
}

// TestNoFailover: an answer is an answer, even one that says no.
func TestNoFailover(t *testing.T) {
	first := dnstest.New(t, "b.a.example A 192.0.2.1")
	second := dnstest.New(t, "a.example TXT a\nc.example TXT c")
	c := open(t, Config{}, first, second)
	if _, err := c.LookupTXT(context.Background(), name("a.example")); !errors.Is(err, dns.ErrNoData) {
		t.Errorf("no data: %v", err)
	}
	if _, err := c.LookupTXT(context.Background(), name("c.example")); !errors.Is(err, dns.ErrNXDomain) {
		t.Errorf("NXDOMAIN: %v", err)
	}
}

func TestAllServersFail(t *testing.T) {
	first := dnstest.New(t, "a.example FAULT servfail")
	second := dnstest.New(t, "a.example FAULT refused")
	c := open(t, Config{}, first, second)
	_, err := c.LookupTXT(context.Background(), name("a.example"))
	if !errors.Is(err, dns.ErrTemporary) {
		t.Fatal(err)
	}
	for _, want := range []string{"SERVFAIL from " + first.Addr, "REFUSED from " + second.Addr} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if n := first.Zone.Queries(dns.Name{}, "") + second.Zone.Queries(dns.Name{}, ""); n != 2 {
		t.Errorf("%d queries: a server that answered is not asked again", n)
	}
}

// TestLostPacket: a query lost once is repeated.
func TestLostPacket(t *testing.T) {
	srv := dnstest.New(t, "a.example FAULT timeout times=1\na.example TXT a")
	c := open(t, Config{Timeout: 500 * time.Millisecond}, srv)
	if got, err := c.LookupTXT(context.Background(), name("a.example")); err != nil || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestUnreachable: a port nobody listens on.
func TestUnreachable(t *testing.T) {
	gone, err := dnstest.Start("127.0.0.1:0", dnstest.MustZone(""))
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	var seen outcomes
	c := open(t, Config{Observe: seen.observe}, gone)
	start := time.Now()
	if _, err := c.LookupTXT(context.Background(), name("a.example")); !errors.Is(err, dns.ErrTemporary) {
		t.Error(err)
	}
	if seen.count("TXT "+outcomeNetwork) != 2 || time.Since(start) > patient/2 {
		t.Errorf("a refused port took %v", time.Since(start))
	}
}

func TestServerHealth(t *testing.T) {
	dead := &server{}
	well := &server{}
	now := time.Unix(1000, 0)
	c := &Client{servers: []*server{dead, well}, now: func() time.Time { return now }}
	first := func() *server { return c.order()[0] }
	for range sickAfter {
		if first() != dead {
			t.Fatal("servers are not asked in their order")
		}
		dead.missing(now)
	}
	if first() != well {
		t.Error("a server that does not answer is still asked first")
	}
	now = now.Add(restTime)
	if first() != dead {
		t.Error("no query tries whether the server is well again")
	}
	if first() != well {
		t.Error("more than one query tries whether the server is well again")
	}
	dead.answered()
	if first() != dead {
		t.Error("a server that answers again is not asked first")
	}
	dead.missing(now)
	dead.answered()
	dead.missing(now)
	dead.missing(now)
	if first() != dead {
		t.Error("misses that answers came between count as in a row")
	}
}
