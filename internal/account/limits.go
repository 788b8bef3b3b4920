package account

import (
	"net/netip"
	"sync"
	"time"
)

// How many wrong passwords are taken within tryWindow. Those of one user from one
// address are few; those of one user from everywhere are many, so that nobody can lock
// others out with little effort.
const (
	tryWindow   = 5 * time.Minute
	triesBoth   = 5
	triesNet    = 20
	triesUser   = 100
	mostTracked = 10_000
)

// limits counts wrong passwords. It may be used by several goroutines.
type limits struct {
	mu    sync.Mutex
	tries map[string]tried
}

// tried is how often, and when last.
type tried struct {
	n    int
	last time.Time
}

func newLimits() *limits { return &limits{tries: map[string]tried{}} }

// keys are what a try counts for, each with its bound.
func tryKeys(name string, from netip.Addr) map[string]int {
	net := networkOf(from)
	return map[string]int{"both " + net + " " + name: triesBoth, "net " + net: triesNet, "user " + name: triesUser}
}

// networkOf is an IPv4 address, or the network of an IPv6 one that one site has.
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

// begin counts a try before it is known how it ends; false where there were too many.
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

// right takes back what begin counted.
func (l *limits) right(name string, from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range tryKeys(name, from) {
		t := l.tries[key]
		if t.n--; t.n > 0 {
			l.tries[key] = t
		} else {
			delete(l.tries, key) // so that tries that nobody made drive out no others
		}
	}
}

// drop forgets what is over, and everything where that is not enough.
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
