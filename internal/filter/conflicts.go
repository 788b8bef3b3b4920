package filter

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"dmarcd/internal/message"
)

const (
	// conflictsKept bounds the memory of envelopes whose recipients disagreed:
	// at 8 octets of hash and 24 of time and links each, some 10 MiB.
	conflictsKept = 100_000
	// conflictAge is how long a retry may take; RFC 5321 section 4.5.4.1 has
	// senders retry for days, but the first retry comes within hours.
	conflictAge = 24 * time.Hour
)

// conflicts remembers (client network, sender, recipient) of messages that were
// deferred because their recipients' domains disagreed, so that the retry can be
// parted at RCPT. It is safe for concurrent use.
type conflicts struct {
	seed maphash.Seed
	mu   sync.Mutex
	seen *simplelru.LRU[uint64, time.Time] // until when
}

func newConflicts() *conflicts {
	seen, err := simplelru.NewLRU[uint64, time.Time](conflictsKept, nil)
	if err != nil {
		panic("filter: " + err.Error()) // only for a size that is not positive
	}
	return &conflicts{seed: maphash.MakeSeed(), seen: seen}
}

// remember notes every recipient of an envelope.
func (c *conflicts) remember(env *message.Envelope, rcpts []message.Address, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rcpts {
		c.seen.Add(c.key(env, r), now.Add(conflictAge))
	}
}

// known reports whether mail of that envelope to rcpt was deferred for a conflict.
func (c *conflicts) known(env *message.Envelope, rcpt message.Address, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.seen.Get(c.key(env, rcpt))
	return ok && now.Before(until)
}

func (c *conflicts) key(env *message.Envelope, rcpt message.Address) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.WriteString(clientNetwork(env.ClientIP).String())
	for _, s := range []string{env.MailFrom.String(), rcpt.String()} {
		h.WriteByte(0)
		h.WriteString(strings.ToLower(s))
	}
	return h.Sum64()
}

// clientNetwork is the network a client's retry is likely to come from: large
// senders retry from a neighbour.
func clientNetwork(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: one common network
	}
	return p
}
