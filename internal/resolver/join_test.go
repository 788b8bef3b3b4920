package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// await waits until ok accepts the counts of the cache.
func await(t *testing.T, c *Client, ok func(Stats) bool) {
	t.Helper()
	for end := time.Now().Add(patient); !ok(c.Stats()); {
		if time.Now().After(end) {
			t.Fatalf("stats are %+v", c.Stats())
		}
		runtime.Gosched()
	}
}

func TestEqualQueriesJoined(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a\na.example A 192.0.2.1")
	c := open(t, Config{}, srv)
	release := srv.Zone.Hold(name("a.example"), "TXT")
	const callers = 20
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if got, err := c.LookupTXT(context.Background(), name("a.example")); err != nil || len(got) != 1 {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	await(t, c, func(s Stats) bool { return s.Joined == callers-1 && s.Misses == 1 })
	if _, err := c.LookupAddr(context.Background(), name("a.example"), false); err != nil {
		t.Errorf("another type waits: %v", err)
	}
	release()
	wg.Wait()
	if n := srv.Zone.Queries(name("a.example"), "TXT"); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
}

// TestCallerLeaves: one caller's budget is nothing to the others.
func TestCallerLeaves(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a")
	c := open(t, Config{}, srv)
	release := srv.Zone.Hold(name("a.example"), "TXT")
	ctx, cancel := context.WithCancel(context.Background())
	left, stayed := make(chan error), make(chan error)
	go func() { _, err := c.LookupTXT(ctx, name("a.example")); left <- err }()
	await(t, c, func(s Stats) bool { return s.Misses == 1 })
	go func() { _, err := c.LookupTXT(context.Background(), name("a.example")); stayed <- err }()
	await(t, c, func(s Stats) bool { return s.Joined == 1 })
	cancel()
	if err := <-left; !errors.Is(err, dns.ErrTemporary) || !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	release()
	if err := <-stayed; err != nil {
		t.Errorf("who stayed got %v", err)
	}
	if _, err := c.LookupTXT(ctx, name("a.example")); err != nil {
		t.Errorf("what is kept is given with the budget spent too: %v", err)
	}
	if _, err := c.LookupTXT(ctx, name("b.example")); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("with the budget spent: %v", err)
	}
	if n := srv.Zone.Queries(name("b.example"), "TXT"); n != 0 {
		t.Error("asked for somebody whose budget is spent")
	}
}

// TestLastCallerLeaves: the query ends, and its end is not taken for an answer.
func TestLastCallerLeaves(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a")
	var seen outcomes
	c := open(t, Config{Observe: seen.observe}, srv)
	release := srv.Zone.Hold(name("a.example"), "TXT")
	ctx, cancel := context.WithTimeout(context.Background(), impatient)
	defer cancel()
	start := time.Now()
	_, err := c.LookupTXT(ctx, name("a.example"))
	if !errors.Is(err, dns.ErrTemporary) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > patient/2 {
		t.Errorf("held for %v with a budget of %v", took, impatient)
	}
	for end := time.Now().Add(patient); seen.count("TXT "+outcomeEnded) != 1; {
		if time.Now().After(end) {
			t.Fatal("the query did not end with its last caller")
		}
		runtime.Gosched()
	}
	release()
	if got, err := c.LookupTXT(context.Background(), name("a.example")); err != nil || len(got) != 1 {
		t.Errorf("asked again: %q, %v", got, err)
	}
}

func TestClose(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a\nb.example TXT b")
	c := open(t, Config{}, srv)
	if _, err := c.LookupTXT(context.Background(), name("b.example")); err != nil {
		t.Fatal(err)
	}
	srv.Zone.Hold(name("a.example"), "TXT")
	done := make(chan error)
	go func() { _, err := c.LookupTXT(context.Background(), name("a.example")); done <- err }()
	if err := srv.Zone.Await(t.Context(), name("a.example"), "TXT", 1); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-done; !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("under way at Close: %v", err)
	}
	if _, err := c.LookupTXT(context.Background(), name("c.example")); !errors.Is(err, dns.ErrTemporary) || !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := c.LookupTXT(context.Background(), name("b.example")); err != nil {
		t.Errorf("kept, after Close: %v", err)
	}
	c.Close()
}

// TestManyAtOnce is for the race detector: few names, many callers, short budgets.
func TestManyAtOnce(t *testing.T) {
	srv := dnstest.New(t, "*.ok.example TXT ok\n*.fail.example FAULT servfail\n*.slow.example FAULT timeout")
	c := open(t, Config{Timeout: impatient, CacheEntries: 3}, srv)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%7)*10*time.Millisecond)
			defer cancel()
			kind := []string{"ok", "fail", "slow", "gone"}[i%4]
			got, err := c.LookupTXT(ctx, name(fmt.Sprintf("n%d.%s.example", i%5, kind)))
			if err == nil && (kind != "ok" || len(got) != 1) {
				t.Errorf("%s: %q without an error", kind, got)
			}
			if kind != "gone" && err != nil && !errors.Is(err, dns.ErrTemporary) {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
	wg.Wait()
}

// TestOnWireBound: queries over the bound wait for a place, within their budget.
func TestOnWireBound(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a\nb.example TXT b")
	c := open(t, Config{}, srv)
	c.onWire = make(chan struct{}, 1)
	release := srv.Zone.Hold(name("a.example"), "TXT")
	done := make(chan error)
	go func() { _, err := c.LookupTXT(context.Background(), name("a.example")); done <- err }()
	if err := srv.Zone.Await(t.Context(), name("a.example"), "TXT", 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), impatient)
	defer cancel()
	if _, err := c.LookupTXT(ctx, name("b.example")); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("got %v", err)
	}
	if n := srv.Zone.Queries(name("b.example"), ""); n != 0 {
		t.Errorf("%d queries over the bound", n)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := c.LookupTXT(context.Background(), name("b.example")); err != nil {
		t.Errorf("once there is a place: %v", err)
	}
}

// TestStarvationNotKept: who had no place on the wire learned nothing about the
// name, and who goes on waiting is still answered, the look-up's own time passed.
func TestStarvationNotKept(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a\nb.example TXT b")
	c := open(t, Config{}, srv)
	c.onWire, c.limit = make(chan struct{}, 1), 5*impatient
	c.onWire <- struct{}{}
	stayed := make(chan error)
	go func() { _, err := c.LookupTXT(context.Background(), name("a.example")); stayed <- err }()
	await(t, c, func(s Stats) bool { return s.Misses == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 2*c.limit)
	defer cancel()
	for _, n := range []string{"a.example", "b.example"} {
		if _, err := c.LookupTXT(ctx, name(n)); !errors.Is(err, dns.ErrTemporary) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s without a place: %v", n, err)
		}
	}
	<-c.onWire
	if err := <-stayed; err != nil {
		t.Errorf("who stayed got %v", err)
	}
	for _, n := range []string{"a.example", "b.example"} {
		if _, err := c.LookupTXT(context.Background(), name(n)); err != nil {
			t.Errorf("%s with a place: %v", n, err)
		}
		if q := srv.Zone.Queries(name(n), ""); q != 1 {
			t.Errorf("%s: %d queries, want 1", n, q)
		}
	}
}

// TestTooLittleTimeNotKept: an answer that was not waited for as long as one try
// has says nothing about the name.
func TestTooLittleTimeNotKept(t *testing.T) {
	srv := dnstest.New(t, "a.example TXT a\na.example FAULT timeout times=1")
	c := open(t, Config{}, srv)
	c.limit = impatient
	if _, err := c.LookupTXT(context.Background(), name("a.example")); !errors.Is(err, dns.ErrTemporary) {
		t.Fatal(err)
	}
	c.limit = patient
	if _, err := c.LookupTXT(context.Background(), name("a.example")); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

// TestNoSocketNotKept: neither does a want of sockets.
func TestNoSocketNotKept(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS} {
		if !isShortage(&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", err)}) {
			t.Errorf("%v is not ours", err)
		}
	}
	if isShortage(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNREFUSED)}) {
		t.Error("a server that is down is not for want of sockets")
	}
}
