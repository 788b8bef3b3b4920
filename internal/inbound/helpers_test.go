package inbound_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/netip"
	"sync/atomic"
	"time"
)

func base64Key(k ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// clock is one that the test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }
