package filter

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

const (
	// envelopesKept bounds each memory of envelopes, at some 200 octets each.
	envelopesKept = 100_000
	// conflictAge is how long the decisions for an envelope whose recipients disagreed
	// are remembered. By RFC 5321 section 4.5.4.1 senders retry for days, but every few
	// hours.
	conflictAge = 24 * time.Hour
	// retryGap is the longest pause between two tries of the same message. After a longer
	// one it counts as a new message with the same envelope.
	retryGap = 6 * time.Hour
)

// envelopes holds a value for each (client network, sender, recipient), by their hash. It
// is safe for concurrent use.
type envelopes[V any] struct {
	seed maphash.Seed
	mu   sync.Mutex
	kept *fairLRU[V]
}

func newEnvelopes[V any]() *envelopes[V] {
	return &envelopes[V]{seed: maphash.MakeSeed(), kept: newFairLRU[V](envelopesKept)}
}

// envelopeFrom identifies the sender of an envelope.
type envelopeFrom struct {
	peer   netip.Addr // who handed the mail over, and will do so at a retry
	client netip.Addr // the true client, whose share of the memory it uses
	sender message.Address
}

// key hashes an envelope.
func (e *envelopes[V]) key(from *envelopeFrom, rcpt message.Address) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	h.WriteString(clientNetwork(from.peer).String())
	for _, s := range []string{from.sender.String(), rcpt.String()} {
		h.WriteByte(0)
		h.WriteString(strings.ToLower(s))
	}
	return h.Sum64()
}

// clientNetwork is the network that a client's retry is likely to come from: large
// senders retry from a neighbour.
func clientNetwork(a netip.Addr) netip.Prefix {
	return prefix(a, 24, 64)
}

// shareNetwork is the network whose envelopes share a part of the memory. Whoever has an
// IPv6 network has very many /64 networks.
func shareNetwork(a netip.Addr) netip.Prefix {
	return prefix(a, 24, 32)
}

func prefix(a netip.Addr, bits4, bits6 int) netip.Prefix {
	bits := bits6
	if a.Is4() {
		bits = bits4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: one common network
	}
	return p
}

// deferral is since when, and when last, an envelope was deferred.
type deferral struct{ first, last time.Time }

// deferrals remembers the envelopes that DNS trouble deferred.
type deferrals struct{ *envelopes[deferral] }

// remember notes that a message was deferred, and returns when its newest recipient was
// first deferred: listing a new recipient beside an old one gains nothing.
func (d deferrals) remember(from *envelopeFrom, rcpts []accepted, now time.Time) (since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	network := shareNetwork(from.client)
	for _, r := range rcpts {
		k := d.key(from, r.address)
		v := deferral{first: now, last: now}
		if old, ok := d.kept.get(k); ok && now.Sub(old.last) < retryGap {
			v.first = old.first
		}
		if v.first.After(since) {
			since = v.first
		}
		d.kept.put(network, k, v)
	}
	return since
}

// class groups recipients with the same decision; zero for a recipient that is not known.
type class uint64

// conflict is the class of a recipient in a message whose recipients disagreed.
type conflict struct {
	class class
	at    time.Time
}

// conflicts remembers the decisions for the recipients of messages whose recipients'
// domains disagreed.
type conflicts struct{ *envelopes[conflict] }

// remember notes the effect that a message would have had for each recipient.
func (c conflicts) remember(from *envelopeFrom, rcpts []accepted, effects []policy.Effect, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := make([]uint64, len(rcpts))
	p := partition{seed: c.seed}
	for i, r := range rcpts {
		keys[i] = c.key(from, r.address)
		if old, ok := c.kept.get(keys[i]); ok && now.Sub(old.at) < conflictAge {
			p.meet(old.class, &effects[r.group])
		}
	}
	network := shareNetwork(from.client)
	for i, r := range rcpts {
		c.kept.put(network, keys[i], conflict{class: p.class(&effects[r.group]), at: now})
	}
}

// partition divides recipients into classes by the effect that one message would have on
// them: equal effects, one class. A previous class with several effects, which happens if
// several messages of one envelope arrive at once, is split into new classes, so that
// each disagreement occurs once.
type partition struct {
	seed   maphash.Seed
	before class // previous class of the recipients that had one; zero if none did
	effect policy.Effect
	finer  bool
}

// meet notes a recipient's previous class and its effect now.
func (p *partition) meet(before class, effect *policy.Effect) {
	if p.before == 0 {
		p.before, p.effect = before, *effect
	}
	p.finer = p.finer || before == p.before && *effect != p.effect
}

// class is the class of an effect.
func (p *partition) class(effect *policy.Effect) class {
	switch {
	case p.finer:
		return class(maphash.Comparable(p.seed, struct {
			before class
			effect policy.Effect
		}{p.before, *effect}))
	case p.before != 0 && *effect == p.effect:
		return p.before
	}
	return class(maphash.Comparable(p.seed, *effect))
}

// class returns the class of a recipient.
func (c conflicts) class(from *envelopeFrom, rcpt message.Address, now time.Time) class {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.kept.get(c.key(from, rcpt))
	if !ok || now.Sub(v.at) >= conflictAge {
		return 0
	}
	return v.class
}
