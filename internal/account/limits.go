package account

import (
	"net/netip"
	"sync"
	"time"
)

// How many wrong passwords are allowed within tryWindow: few for one user from one
// address; many for one user from all addresses, so that locking out others takes effort.
const (
	tryWindow   = 5 * time.Minute
	triesBoth   = 5
	triesNet    = 20
	triesUser   = 100
	mostTracked = 10_000
)

// limits counts wrong passwords. It is safe for concurrent use.
type limits struct {
	mu    sync.Mutex
	tries map[string]tried
}

// tried is the number of tries, and the time of the last.
type tried struct {
	n    int
	last time.Time
}

func newLimits() *limits { return &limits{tries: map[string]tried{}} }

// tryKeys lists what a try counts against, each with its bound.
func tryKeys(name string, from netip.Addr) map[string]int {
	net := networkOf(from)
	return map[string]int{"both " + net + " " + name: triesBoth, "net " + net: triesNet, "user " + name: triesUser}
}

// networkOf returns an IPv4 address, or the network of an IPv6 address that one site has.
func networkOf(a netip.Addr) string {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return "-"
	}
	return p.String()
}

// begin counts a try before its outcome is known; false if there were too many.
func (l *limits) begin(name string, from netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := tryKeys(name, from)
	for key, most := range keys {
		if t := l.tries[key]; t.n >= most && now.Sub(t.last) < tryWindow {
			return false
		}
	}
	if len(l.tries)+len(keys) > mostTracked {
		l.drop(now)
	}
	for key := range keys {
		t := l.tries[key]
		if now.Sub(t.last) >= tryWindow {
			t.n = 0
		}
		l.tries[key] = tried{n: t.n + 1, last: now}
	}
	return true
}

// right takes back the count of begin.
func (l *limits) right(name string, from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range tryKeys(name, from) {
		t := l.tries[key]
		if t.n--; t.n > 0 {
			l.tries[key] = t
		} else {
			delete(l.tries, key) // so that an uncounted try evicts no other
		}
	}
}

// drop forgets expired tries, and everything if that is not enough.
func (l *limits) drop(now time.Time) {
	for key, t := range l.tries {
		if now.Sub(t.last) >= tryWindow {
			delete(l.tries, key)
		}
	}
	for key := range l.tries {
		if len(l.tries) < mostTracked/2 {
			return
		}
		delete(l.tries, key)
	}
}
