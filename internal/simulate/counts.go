package simulate

import (
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// Bounds on the memory of a replay: some 150 MB if all are reached.
const (
	maxDomains       = 20000   // recipient domains that something changes for, each counted exactly
	maxChanges       = 8000    // changes with details, of all recipient domains together
	maxKeys          = 16      // From domains, and networks, counted of each change,
	spareKeys        = 200_000 // and so many more over all changes, first come, first served
	overviewKeys     = 2000    // From domains, and networks, counted over all changes
	overviewPairs    = 8       // kinds of change counted of each of these
	overviewAddrs    = 8       // addresses counted of each network
	overviewExamples = 3       // messages shown of each
)

// Example is one message that would be treated otherwise.
type Example struct {
	At        time.Time  `json:"at"`
	QueueID   string     `json:"queue_id,omitempty"`
	Recipient string     `json:"recipient_domain,omitempty"`
	From      string     `json:"from,omitempty"` // "" where there is no single From domain
	Client    netip.Addr `json:"client"`
	Before    Treatment  `json:"before"`
	After     Treatment  `json:"after"`
	Was       Cause      `json:"was"`
	Would     Cause      `json:"would"`
}

func newExample(rec *memory.Record, c *change) Example {
	return Example{
		At: rec.At, QueueID: rec.QueueID, Recipient: c.domain.String(), From: authorOf(rec), Client: rec.ClientIP,
		Before: c.was.Treatment, After: c.is.Treatment, Was: c.was.Cause, Would: c.is.Cause,
	}
}

// authorOf is the From domain of a message, "" where there is no single one.
func authorOf(rec *memory.Record) string { return rec.Verdict.DMARC.Author.String() }

// networkOf is the network that a client counts for; the zero Prefix where the
// client is not known.
func networkOf(a netip.Addr) netip.Prefix {
	const bits4, bits6 = 24, 64
	bits := bits6
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = bits4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// latest keeps the last few of any number of examples.
type latest struct {
	ring []Example
	next int
}

func (l *latest) add(most int, rec *memory.Record, c *change) {
	switch {
	case most == 0:
	case len(l.ring) < most:
		l.ring = append(l.ring, newExample(rec, c))
	default:
		l.ring[l.next] = newExample(rec, c)
		l.next = (l.next + 1) % most
	}
}

// newest returns the examples, the newest first.
func (l *latest) newest() []Example {
	out := make([]Example, 0, len(l.ring))
	for i := range l.ring {
		out = append(out, l.ring[(l.next+len(l.ring)-1-i)%len(l.ring)])
	}
	return out
}

// nothing is kept of a key but its count.
type nothing = struct{}

// sameChange is the messages of one recipient domain that change alike, by one rule.
type sameChange struct {
	was, is  Treatment
	cause    Cause
	count    int64
	authors  top[string, nothing]
	sources  top[netip.Prefix, nothing]
	examples latest
}

// ofDomain is the changes for one recipient domain.
type ofDomain struct {
	changed, watched int64
	changes          []*sameChange
	plain            int64 // changes without details
}

// domainCounts is the changes by recipient domain.
type domainCounts struct {
	examples int
	domains  map[dns.Name]*ofDomain
	details  int   // of all domains
	others   int64 // changes for domains beyond maxDomains
	spare    int   // of spareKeys
}

func newDomainCounts(examples int) domainCounts {
	return domainCounts{examples: examples, domains: map[dns.Name]*ofDomain{}, spare: spareKeys}
}

func (t *domainCounts) add(rec *memory.Record, c *change, k kind) {
	d := t.domains[c.domain]
	if d == nil {
		if len(t.domains) >= maxDomains {
			t.others++
			return
		}
		d = &ofDomain{}
		t.domains[c.domain] = d
	}
	if k == acted {
		d.changed++
	} else {
		d.watched++
	}
	a := t.sameChange(d, c)
	if a == nil {
		d.plain++
		return
	}
	a.count++
	a.authors.add(authorOf(rec))
	a.sources.add(networkOf(rec.ClientIP))
	a.examples.add(t.examples, rec, c)
}

// sameChange finds the changes of the same kind; nil where there is no room for them.
func (t *domainCounts) sameChange(d *ofDomain, c *change) *sameChange {
	for _, a := range d.changes {
		if a.was == c.was.Treatment && a.is == c.is.Treatment && a.cause == c.is.Cause {
			return a
		}
	}
	if t.details >= maxChanges {
		return nil
	}
	t.details++
	a := &sameChange{
		was: c.was.Treatment, is: c.is.Treatment, cause: c.is.Cause,
		authors: newTop[string, nothing](maxKeys), sources: newTop[netip.Prefix, nothing](maxKeys),
	}
	a.authors.spare, a.sources.spare = &t.spare, &t.spare
	d.changes = append(d.changes, a)
	return a
}

// overview is the changes by some property of the sender, each message once.
type overview[K comparable] struct {
	examples int
	keys     top[K, ofKey]
	spare    int // addresses beyond overviewAddrs that networks may still take
}

// ofKey is the changes for one sender.
type ofKey struct {
	pairs    []pairCount
	more     int64 // changes of further kinds
	addrs    *top[netip.Addr, nothing]
	examples latest
}

// pairCount counts messages that change alike.
type pairCount struct {
	was, is Treatment
	count   int64
}

func newOverview[K comparable](examples int) *overview[K] {
	return &overview[K]{examples: examples, keys: newTop[K, ofKey](overviewKeys), spare: spareKeys}
}

func (o *overview[K]) add(key K, rec *memory.Record, c *change) {
	k, fresh := o.keys.add(key)
	if fresh {
		k.clear()
	}
	k.count(c)
	k.examples.add(o.examples, rec, c)
	if _, network := any(key).(netip.Prefix); network {
		if k.addrs == nil {
			addrs := newTop[netip.Addr, nothing](overviewAddrs)
			addrs.spare = &o.spare
			k.addrs = &addrs
		}
		k.addrs.add(rec.ClientIP.Unmap())
	}
}

// clear forgets everything but its room.
func (k *ofKey) clear() {
	k.pairs, k.more, k.examples = k.pairs[:0], 0, latest{ring: k.examples.ring[:0]}
	if k.addrs != nil {
		k.addrs.clear()
	}
}

func (k *ofKey) count(c *change) {
	for i := range k.pairs {
		if p := &k.pairs[i]; p.was == c.was.Treatment && p.is == c.is.Treatment {
			p.count++
			return
		}
	}
	if len(k.pairs) >= overviewPairs {
		k.more++
		return
	}
	k.pairs = append(k.pairs, pairCount{c.was.Treatment, c.is.Treatment, 1})
}
