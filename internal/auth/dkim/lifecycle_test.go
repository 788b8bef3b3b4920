package dkim

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dmarcd/internal/dns"
)

// gate is a Resolver that answers when it is let.
type gate struct {
	zone
	open chan struct{}
}

func (g *gate) LookupTXT(ctx context.Context, name dns.Name) ([]string, error) {
	select {
	case <-g.open:
		return g.zone.LookupTXT(ctx, name)
	case <-ctx.Done():
		return nil, &dns.Error{Name: name, Type: "TXT", Err: errors.Join(dns.ErrTemporary, ctx.Err())}
	}
}

func newGate() *gate {
	return &gate{
		zone: zone{txt: map[string][]string{"s1._domainkey.example.com": {record(edKey())}}},
		open: make(chan struct{}),
	}
}

var signedHead = signer{key: edKey(), tags: usual}.field(plainHead, plainText) + plainHead

// TestLookupsRunBesideTheBody: all keys are asked for before the first octet of
// the body, and the body does not wait for them.
func TestLookupsRunBesideTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		head := signer{key: edKey(), tags: "v=1; d=example.com; s=s2; h=from"}.field(plainHead, plainText) + signedHead
		v := NewVerifier(t.Context(), g, header(head), Options{Now: testNow})
		v.Write([]byte(plainText))
		if !v.NeedsBody() {
			t.Error("no body needed while the keys are under way")
		}
		synctest.Wait()
		close(g.open)
		r := v.Results()
		if r[0].Status != PermError || r[1].Status != Pass {
			t.Errorf("%+v", r)
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		v := NewVerifier(ctx, newGate(), header(signedHead), Options{Now: testNow})
		v.Write([]byte(plainText))
		r := v.Results()[0]
		if r.Status != TempError || !errors.Is(r.Err, ErrKeyLookup) || r.Processed {
			t.Errorf("%+v", r)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v, want the 10 s of the context", waited)
		}
	})
}

// TestClose: a message given up leaves no goroutine behind; synctest fails on one that is.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewVerifier(t.Context(), newGate(), header(signedHead), Options{Now: testNow})
		v.Write([]byte(plainText))
		v.Close()
		v.Close()
		v.Write([]byte(plainText))
		if v.Results() != nil {
			t.Error("results after Close")
		}
	})
}

func TestCloseAfterResults(t *testing.T) {
	g := newGate()
	close(g.open)
	v := NewVerifier(t.Context(), g, header(signedHead), Options{Now: testNow})
	v.Write([]byte(plainText))
	r := v.Results()
	v.Close()
	if again := v.Results(); len(again) != 1 || again[0].Status != Pass || r[0].Status != Pass {
		t.Errorf("%+v, then %+v", r, again)
	}
}

func TestNeedsBody(t *testing.T) {
	sign := func(tags string, length int) string {
		return signer{key: edKey(), tags: tags, length: length}.field(plainHead, plainText)
	}
	partial := sign(usual+"; l=5", 5)
	cases := []struct {
		name, head  string
		before, mid bool // before any body, and after "Hello,"
	}{
		{"good", signedHead, true, true},
		{"no key", sign("v=1; d=example.com; s=none; h=from", 0) + plainHead, false, false},
		{"malformed", "DKIM-Signature: v=1\r\n" + plainHead, false, false},
		{"header changed", signedHead + "Subject: other\r\n", false, false},
		{"l= behind", partial + plainHead, true, false},
		{"l= behind, but not for the other", partial + signedHead, true, true},
		{"l= ahead", sign(usual+"; l=7", 7) + plainHead, true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				close(g.open)
				v := NewVerifier(t.Context(), g, header(c.head), Options{Now: testNow})
				synctest.Wait()
				if got := v.NeedsBody(); got != c.before {
					t.Errorf("before the body: %v, want %v", got, c.before)
				}
				v.Write([]byte("Hello,"))
				if got := v.NeedsBody(); got != c.mid {
					t.Errorf("after six octets: %v, want %v", got, c.mid)
				}
				v.Close()
			})
		})
	}
}

// TestEarlyEnd: an MTA that stops sending when no more is needed changes nothing.
func TestEarlyEnd(t *testing.T) {
	head := signer{key: edKey(), tags: usual + "; l=5", length: 5}.field(plainHead, plainText) + plainHead
	res := &newGate().zone
	whole := one(t, res, head, plainText, Options{Now: testNow})
	early := one(t, res, head, plainText[:6], Options{Now: testNow})
	if whole.Status != Policy || !whole.Partial || early.Status != whole.Status || early.Partial != whole.Partial || early.Err.Error() != whole.Err.Error() {
		t.Errorf("whole %+v\nearly %+v", whole, early)
	}
}

type panicking struct{}

func (panicking) LookupTXT(context.Context, dns.Name) ([]string, error) { panic("resolver") }

type exiting struct{}

func (exiting) LookupTXT(context.Context, dns.Name) ([]string, error) {
	runtime.Goexit()
	return nil, nil
}

// TestPanicOfResolver: a panic in the goroutine of a look-up comes out where
// the message is handled, and can be recovered there.
func TestPanicOfResolver(t *testing.T) {
	v := NewVerifier(t.Context(), panicking{}, header(signedHead), Options{Now: testNow})
	defer v.Close()
	defer func() {
		if r := recover(); r != "resolver" {
			t.Errorf("recovered %v", r)
		}
	}()
	v.Results()
	t.Error("no panic")
}

func TestExitOfResolver(t *testing.T) {
	if r := one(t, exiting{}, signedHead, plainText, Options{Now: testNow}); r.Status != TempError {
		t.Errorf("%+v", r)
	}
}

// TestTimeless: without a time, x= is not looked at.
func TestTimeless(t *testing.T) {
	head := signer{key: edKey(), tags: usual + "; x=1"}.field(plainHead, plainText) + plainHead
	if r := one(t, &newGate().zone, head, plainText, Options{}); r.Status != Pass {
		t.Errorf("%+v", r)
	}
	if r := one(t, &newGate().zone, head, plainText, Options{Now: testNow}); !errors.Is(r.Err, ErrExpired) || !strings.Contains(r.Err.Error(), "1970") {
		t.Errorf("%+v", r)
	}
}
