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
	// envelopesKept bounds each memory of envelopes: at 8 octets of hash and
	// about 100 of times and links each, some 10 MiB.
	envelopesKept = 100_000
	// envelopeAge is how long an envelope is remembered after it was last seen.
	// RFC 5321 section 4.5.4.1 has senders retry for days, but within hours each time.
	envelopeAge = 24 * time.Hour
)

// retryGap is the longest pause between two tries of the same message. After a
// longer one it is another message of the same envelope, which begins anew.
const retryGap = 6 * time.Hour

// envelope is what is kept of one (client network, sender, recipient).
type envelope struct{ first, last time.Time }

// envelopes remembers (client network, sender, recipient) of messages that were
// deferred, and since when. It keeps hashes only and is safe for concurrent use.
type envelopes struct {
	seed maphash.Seed
	mu   sync.Mutex
	seen *simplelru.LRU[uint64, envelope]
}

func newEnvelopes() *envelopes {
	seen, err := simplelru.NewLRU[uint64, envelope](envelopesKept, nil)
	if err != nil {
		panic("filter: " + err.Error()) // only for a size that is not positive
	}
	return &envelopes{seed: maphash.MakeSeed(), seen: seen}
}

// remember notes every recipient of an envelope and gives the time since when the
// oldest of them is known.
func (e *envelopes) remember(client netip.Addr, sender message.Address, rcpts []message.Address, now time.Time) (since time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	since = now
	for _, r := range rcpts {
		k := e.key(client, sender, r)
		kept := envelope{first: now, last: now}
		if old, ok := e.seen.Get(k); ok && now.Sub(old.last) < retryGap {
			kept.first = old.first
		}
		if kept.first.Before(since) {
			since = kept.first
		}
		e.seen.Add(k, kept)
	}
	return since
}

// known reports whether mail of that envelope to rcpt is remembered.
func (e *envelopes) known(client netip.Addr, sender, rcpt message.Address, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept, ok := e.seen.Get(e.key(client, sender, rcpt))
	return ok && now.Sub(kept.last) < envelopeAge
}

func (e *envelopes) key(client netip.Addr, sender, rcpt message.Address) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	h.WriteString(clientNetwork(client).String())
	for _, s := range []string{sender.String(), rcpt.String()} {
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
