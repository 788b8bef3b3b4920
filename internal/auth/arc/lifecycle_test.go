package arc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// TestNilVerifier: what NewVerifier gives for a message without ARC fields can
// be used like any other, and costs nothing.
func TestNilVerifier(t *testing.T) {
	h, _ := arctest.Split([]byte(plain))
	zone := dnstest.MustZone("")
	body := []byte("body")
	allocs := testing.AllocsPerRun(100, func() {
		v := arc.NewVerifier(t.Context(), zone, h, arc.Options{})
		n, err := v.Write(body)
		if v.NeedsBody() || n != 4 || err != nil || v.Result().Status != arc.None {
			t.Error("not none")
		}
		v.Close()
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if n := zone.Queries(dns.Name{}, ""); n != 0 {
		t.Errorf("%d queries", n)
	}
}

// TestLookupsRunBesideTheBody: the keys are asked for before the body comes, and
// the body does not wait for them.
func TestLookupsRunBesideTheBody(t *testing.T) {
	h, body := arctest.Split([]byte(sealed(plain, 3)))
	synctest.Test(t, func(t *testing.T) {
		zone := zoneFor(edKey)
		release := zone.Hold(dns.MustParse("s._domainkey.d3.example"), "TXT")
		v := arc.NewVerifier(t.Context(), zone, h, arc.Options{Now: testNow})
		synctest.Wait()
		if got := strings.Join(zone.Asked(), ","); got != "TXT s._domainkey.d1.example,TXT s._domainkey.d2.example,TXT s._domainkey.d3.example" {
			t.Errorf("asked %s", got)
		}
		if !v.NeedsBody() {
			t.Error("no body needed while the keys are under way")
		}
		v.Write(body)
		release()
		r := v.Result()
		if r.Status != arc.Pass {
			t.Errorf("%v", r.Err)
		}
		if n := zone.Queries(dns.Name{}, ""); n != 3 {
			t.Errorf("%d queries", n)
		}
		if again := v.Result(); again.Status != arc.Pass || len(again.Hops) != 3 {
			t.Errorf("asked again: %+v", again)
		}
	})
}

// TestLookupsOfBadChains: a chain that is bad, or proves bad, does not have the
// names in it looked up (RFC 8617 section 9.2).
func TestLookupsOfBadChains(t *testing.T) {
	fifty := sealed(plain, 50)
	forged := sealed(plain, 3)
	forged = sealedOn(edit(t, forged, "ARC-Seal: i=3;", "ARC-Seal: i=3; t=1;"), 4, 15)
	cases := []struct {
		name, raw string
		queries   int
		status    arc.Status
	}{
		{"incomplete", edit(t, fifty, field(t, fifty, "ARC-Seal: i=7"), ""), 0, arc.Fail},
		{"a faulty newest message signature", edit(t, fifty, "ARC-Message-Signature: i=50; a=ed", "ARC-Message-Signature: i=50; a=xx"), 0, arc.Fail},
		{"changed message", fifty + "x", 10, arc.Fail},
		{"changed seal", edit(t, fifty, "ARC-Seal: i=45;", "ARC-Seal: i=45; t=1;"), 10, arc.Fail},
		{"good seals on bad ones", forged, 13, arc.Fail}, // ten and then 5, 4 and 3
		{"good", fifty, 50, arc.Pass},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			zone := zoneFor(edKey)
			r := validate(t, zone, c.raw, len(c.raw), arc.Options{Now: testNow})
			if n := zone.Queries(dns.Name{}, ""); r.Status != c.status || n != c.queries {
				t.Errorf("%s, %d queries, want %s, %d", r.Status, n, c.status, c.queries)
			}
		})
	}
}

func TestNeedsBody(t *testing.T) {
	good := sealed(plain, 2)
	cases := []struct {
		name, raw string
		want      bool
	}{
		{"good", good, true},
		{"malformed", edit(t, good, "cv=none", "cv=x"), false},
		{"header changed", edit(t, good, "lunch", "dinner"), false},
		{"no key", strings.ReplaceAll(good, "d2.example", "d2.invalid"), false},
		{"an older one's header changed", sealed("Subject: x\r\n"+sealed(plain, 1), 1), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h, _ := arctest.Split([]byte(c.raw))
			synctest.Test(t, func(t *testing.T) {
				v := arc.NewVerifier(t.Context(), zoneFor(edKey), h, arc.Options{Now: testNow})
				synctest.Wait()
				if got := v.NeedsBody(); got != c.want {
					t.Errorf("%v, want %v", got, c.want)
				}
				v.Close()
			})
		})
	}
}

// TestTemporary: a key that cannot be had now makes a failure that says so.
func TestTemporary(t *testing.T) {
	raw := sealed(plain, 3)
	for _, c := range []struct {
		fault     string
		status    arc.Status
		temporary bool
	}{
		{"s._domainkey.d1.example FAULT servfail", arc.Fail, true},
		{"s._domainkey.d3.example FAULT timeout", arc.Fail, true},
		{"s._domainkey.d3.example FAULT nxdomain", arc.Fail, false},
		{"other.example FAULT servfail", arc.Pass, false},
	} {
		zone := zoneFor(edKey)
		if err := zone.Add(c.fault); err != nil {
			t.Fatal(err)
		}
		r := validate(t, zone, raw, len(raw), arc.Options{Now: testNow})
		if r.Status != c.status || r.Temporary != c.temporary || r.Temporary != errors.Is(r.Err, dkim.ErrKeyLookup) {
			t.Errorf("%s: %+v", c.fault, r)
		}
	}
}

func TestDeadline(t *testing.T) {
	h, body := arctest.Split([]byte(sealed(plain, 2)))
	synctest.Test(t, func(t *testing.T) {
		zone := zoneFor(edKey)
		defer zone.Hold(dns.MustParse("s._domainkey.d1.example"), "TXT")()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		v := arc.NewVerifier(ctx, zone, h, arc.Options{Now: testNow})
		v.Write(body)
		if r := v.Result(); r.Status != arc.Fail || !r.Temporary || !errors.Is(r.Err, arc.ErrSeal) {
			t.Errorf("%+v", r)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v, want the 10 s of the context", waited)
		}
	})
}

// TestClose: a message given up leaves no goroutine behind, which synctest would
// fail on, and no result that could be taken for a good one.
func TestClose(t *testing.T) {
	h, body := arctest.Split([]byte(sealed(plain, 2)))
	synctest.Test(t, func(t *testing.T) {
		zone := zoneFor(edKey)
		defer zone.Hold(dns.MustParse("s._domainkey.d1.example"), "TXT")()
		v := arc.NewVerifier(t.Context(), zone, h, arc.Options{Now: testNow})
		v.Write(body)
		v.Close()
		v.Close()
		v.Write(body)
		if r := v.Result(); v.NeedsBody() || r.Status != arc.Fail || !errors.Is(r.Err, arc.ErrGivenUp) {
			t.Errorf("%+v", r)
		}
	})
}

type panicking struct{}

func (panicking) LookupTXT(context.Context, dns.Name) ([]string, error) { panic("resolver") }

// TestPanicOfResolver: a panic in the goroutine of a look-up comes out where
// the message is handled, and can be recovered there.
func TestPanicOfResolver(t *testing.T) {
	h, body := arctest.Split([]byte(sealed(plain, 1)))
	v := arc.NewVerifier(t.Context(), panicking{}, h, arc.Options{Now: testNow})
	defer func() {
		if r := recover(); r != "resolver" {
			t.Errorf("recovered %v", r)
		}
		if r := v.Result(); r.Status != arc.Fail {
			t.Errorf("afterwards %+v", r)
		}
	}()
	v.Write(body)
	v.Result()
	t.Error("no panic")
}
