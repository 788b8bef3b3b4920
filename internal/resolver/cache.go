package resolver

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"dmarcd/internal/dns"
)

// key identifies one cached answer, and the equal queries that are joined.
type key struct {
	name  dns.Name
	qtype uint16
}

// result is a finished look-up. It is shared and never changed.
type result struct {
	txt   []string
	addrs []netip.Addr
	names []dns.Name
	err   error
}

// Approximate memory of values in addition to their text.
const (
	entryCost  = 320 // map and list cells, result, error
	stringCost = 16
	addrCost   = 24
)

// cost is the approximate memory of r in the cache under k.
func (r *result) cost(k key) int64 {
	n := entryCost + len(k.name.String()) + addrCost*len(r.addrs)
	for _, s := range r.txt {
		n += stringCost + len(s)
	}
	for _, h := range r.names {
		n += stringCost + len(h.String())
	}
	if r.err != nil {
		n += len(r.err.Error())
	}
	return int64(n)
}

// entry is a result in the cache.
type entry struct {
	res     *result
	expires time.Time
	cost    int64
}

// flight is a pending look-up with all its callers.
type flight struct {
	done   chan struct{} // closed once res is set
	res    *result
	cancel context.CancelFunc
	// callers is guarded by the shard's lock.
	callers int
}

// shard is a part of the cache and of the pending look-ups, with its own lock.
type shard struct {
	mu       sync.Mutex
	kept     *simplelru.LRU[key, entry] // nil: nothing is kept
	bytes    int64
	maxBytes int64
	flights  map[key]*flight
	closed   bool
	stats    Stats // its counts only
}

const (
	maxShards       = 64
	minShardEntries = 64 // smaller shards would evict while others have room
)

func newShards(entries int, bytes int64) []*shard {
	n := maxShards
	for n > 1 && entries > 0 && entries/n < minShardEntries {
		n /= 2
	}
	shards := make([]*shard, n)
	for i := range shards {
		s := &shard{maxBytes: bytes / int64(n), flights: map[key]*flight{}}
		forget := func(_ key, e entry) { s.bytes -= e.cost }
		if lru, err := simplelru.NewLRU(entries/n, forget); err == nil { // an error is a size of 0
			s.kept = lru
		}
		shards[i] = s
	}
	return shards
}

// get returns the cached, unexpired result. The lock is held.
func (s *shard) get(k key, now time.Time) *result {
	if s.kept == nil {
		return nil
	}
	e, ok := s.kept.Get(k)
	if !ok {
		return nil
	}
	if !now.Before(e.expires) {
		s.kept.Remove(k)
		return nil
	}
	return e.res
}

// put keeps r until expires and evicts the least recently used results if necessary. The
// lock is held.
func (s *shard) put(k key, r *result, expires time.Time) {
	if s.kept == nil {
		return
	}
	s.kept.Remove(k) // Add replaces without the callback that counts
	cost := r.cost(k)
	if cost > s.maxBytes {
		return
	}
	s.kept.Add(k, entry{res: r, expires: expires, cost: cost})
	s.bytes += cost
	for s.bytes > s.maxBytes {
		s.kept.RemoveOldest()
	}
}

func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *shard) addTo(sum *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum.Hits += s.stats.Hits
	sum.Misses += s.stats.Misses
	sum.Joined += s.stats.Joined
	sum.Bytes += s.bytes
	if s.kept != nil {
		sum.Entries += s.kept.Len()
	}
}
