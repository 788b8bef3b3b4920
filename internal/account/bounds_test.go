package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestLimitsAreBounded(t *testing.T) {
	l := newLimits()
	now := time.Now()
	for n := range 3 * mostTracked {
		l.begin(fmt.Sprint("user", n), netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), now)
	}
	if len(l.tries) > mostTracked {
		t.Errorf("%d are tracked", len(l.tries))
	}
}

func TestPasswordsAtOnce(t *testing.T) {
	h := newHasher()
	for range hashAtOnce {
		if err := h.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.enter(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a third is let in: %v", err)
	}
	for range hashWaiting {
		h.waiting <- struct{}{}
	}
	if err := h.enter(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("where too many wait: %v", err)
	}
}
