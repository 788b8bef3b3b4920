package filter

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// warnInterval is the least time between two warnings about one relay.
const warnInterval = time.Hour

// RelayStats counts the messages of one relay of client_ip_from since the start.
type RelayStats struct {
	Network netip.Prefix
	Read    uint64 // the true client was found
	Unread  uint64 // it was not
}

// relays counts by relay, and decides when a warning is due. It is safe for concurrent
// use and bounded by the number of relays ever configured.
type relays struct {
	mu      sync.Mutex
	stats   map[netip.Prefix]*RelayStats
	warned  map[netip.Prefix]time.Time
	private time.Time // when a client in a private network was last warned of
}

func newRelays() *relays {
	return &relays{stats: map[netip.Prefix]*RelayStats{}, warned: map[netip.Prefix]time.Time{}}
}

// count counts a message, and reports whether to warn that its client was not found.
func (r *relays) count(network netip.Prefix, read bool, now time.Time) (warn bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats[network]
	if s == nil {
		s = &RelayStats{Network: network}
		r.stats[network] = s
	}
	if read {
		s.Read++
		return false
	}
	s.Unread++
	if now.Sub(r.warned[network]) < warnInterval {
		return false
	}
	r.warned[network] = now
	return true
}

// warnPrivate reports whether to warn of a client in a private network.
func (r *relays) warnPrivate(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.private) < warnInterval {
		return false
	}
	r.private = now
	return true
}

// Relays returns the counts so far, by network.
func (f *Filter) Relays() []RelayStats {
	f.relays.mu.Lock()
	defer f.relays.mu.Unlock()
	out := make([]RelayStats, 0, len(f.relays.stats))
	for _, s := range f.relays.stats {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b RelayStats) int {
		return cmp.Or(a.Network.Addr().Compare(b.Network.Addr()), cmp.Compare(a.Network.Bits(), b.Network.Bits()))
	})
	return out
}
