package filter

import (
	"container/heap"
	"container/list"
	"net/netip"
)

// fairLRU keeps values by key. When full it evicts the oldest value of the network with
// the most values, so that no network can evict those of others. It is not safe for
// concurrent use.
type fairLRU[V any] struct {
	size   int
	values map[uint64]*list.Element // of fairValue[V]
	shares map[netip.Prefix]*share
	heap   shareHeap // the network with the most values first
}

// fairValue is an element of share.values.
type fairValue[V any] struct {
	key   uint64
	share *share
	value V
}

// share is one network's part of a fairLRU.
type share struct {
	network netip.Prefix
	values  *list.List // the oldest first
	index   int        // in the heap
}

func newFairLRU[V any](size int) *fairLRU[V] {
	return &fairLRU[V]{size: size, values: map[uint64]*list.Element{}, shares: map[netip.Prefix]*share{}}
}

// get returns the value of a key.
func (l *fairLRU[V]) get(key uint64) (v V, ok bool) {
	e, ok := l.values[key]
	if !ok {
		return v, false
	}
	return e.Value.(*fairValue[V]).value, true
}

// put keeps a value for a key, as the newest of a network.
func (l *fairLRU[V]) put(network netip.Prefix, key uint64, v V) {
	if e, ok := l.values[key]; ok {
		l.remove(e)
	}
	s := l.shares[network]
	if s == nil {
		s = &share{network: network, values: list.New()}
		l.shares[network] = s
		heap.Push(&l.heap, s)
	}
	l.values[key] = s.values.PushBack(&fairValue[V]{key: key, share: s, value: v})
	heap.Fix(&l.heap, s.index)
	if len(l.values) > l.size {
		l.remove(l.heap[0].values.Front())
	}
}

func (l *fairLRU[V]) remove(e *list.Element) {
	v := e.Value.(*fairValue[V])
	s := v.share
	delete(l.values, v.key)
	s.values.Remove(e)
	if s.values.Len() == 0 {
		heap.Remove(&l.heap, s.index)
		delete(l.shares, s.network)
		return
	}
	heap.Fix(&l.heap, s.index)
}

// shareHeap is a heap.Interface with the largest share on top. Ties are broken
// arbitrarily.
type shareHeap []*share

func (h shareHeap) Len() int           { return len(h) }
func (h shareHeap) Less(i, j int) bool { return h[i].values.Len() > h[j].values.Len() }

func (h shareHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap.Interface's.
func (h *shareHeap) Push(x any) {
	s := x.(*share)
	s.index = len(*h)
	*h = append(*h, s)
}

// Pop is heap.Interface's.
func (h *shareHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}
