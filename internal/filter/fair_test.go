package filter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestFairLRU walks at random and holds the memory to a simple model of it.
func TestFairLRU(t *testing.T) {
	const size, networks, keys = 50, 8, 200
	rnd := rand.New(rand.NewPCG(1, 2))
	l := newFairLRU[int](size)
	network := func(i int) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 24) }
	owner, order := map[uint64]int{}, [networks][]uint64{} // the oldest first
	drop := func(key uint64) {
		n := owner[key]
		delete(owner, key)
		for i, k := range order[n] {
			if k == key {
				order[n] = append(order[n][:i:i], order[n][i+1:]...)
				return
			}
		}
	}
	for step := range 20_000 {
		key, n := rnd.Uint64N(keys), int(rnd.ExpFloat64())%networks
		if _, had := owner[key]; had {
			drop(key)
		}
		l.put(network(n), key, step)
		owner[key], order[n] = n, append(order[n], key)
		if len(owner) > size {
			most := 0
			for _, keys := range order {
				most = max(most, len(keys))
			}
			for _, keys := range order { // of networks with as much, any may give
				if _, kept := l.get(keys0(keys)); len(keys) == most && !kept {
					drop(keys[0])
					break
				}
			}
		}
		if len(l.values) != len(owner) || len(owner) > size {
			t.Fatalf("step %d: %d values, want %d", step, len(l.values), len(owner))
		}
		if v, ok := l.get(key); owner[key] == n && len(order[n]) > 0 && ok && v != step {
			t.Fatalf("step %d: got %d", step, v)
		}
		for k := range owner {
			if _, ok := l.get(k); !ok {
				t.Fatalf("step %d: %d is gone; %s", step, k, fmt.Sprint(order))
			}
		}
	}
	if len(l.shares) != len(l.heap) || len(l.shares) > networks {
		t.Errorf("%d shares, %d in the heap", len(l.shares), len(l.heap))
	}
}

func keys0(keys []uint64) uint64 {
	if len(keys) == 0 {
		return ^uint64(0)
	}
	return keys[0]
}
