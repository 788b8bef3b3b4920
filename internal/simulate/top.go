package simulate

import (
	"cmp"
	"slices"
)

// top counts the most frequent of any number of keys in bounded memory, by the
// "space-saving" method: if it is full, a new key replaces the rarest and inherits its
// count. So a key's count may be too high, by a known error, but never too low; a key
// with more than 1/limit of all is certainly kept. Below the limit all counts are exact.
// The limit is raised while the shared spare room lasts. The same input gives the same
// result.
type top[K comparable, D any] struct {
	limit   int
	spare   *int // keys beyond the limit that may still be taken; nil for none
	total   int64
	evicted bool
	heap    []*counted[K, D] // the rarest first
	index   map[K]*counted[K, D]
}

// counted is one key with its count and detail.
type counted[K comparable, D any] struct {
	key    K
	count  int64
	over   int64 // of these at most this many were of other keys
	at     int   // place in the heap
	detail D     // of the count less over
}

// least is how often the key was counted for certain.
func (c *counted[K, D]) least() int64 { return c.count - c.over }

func newTop[K comparable, D any](limit int) top[K, D] { return top[K, D]{limit: limit} }

// indexedFrom is from how many keys on they are found by a map.
const indexedFrom = 32

// add counts a key and returns its detail; fresh reports that the key is new, so that the
// detail is empty or another key's.
func (t *top[K, D]) add(k K) (detail *D, fresh bool) {
	t.total++
	c := t.find(k)
	switch {
	case c != nil:
		c.count++
	case len(t.heap) < t.limit || t.widen():
		c = &counted[K, D]{key: k, count: 1, at: len(t.heap)}
		t.heap = append(t.heap, c)
		t.remember(c)
		t.up(c.at)
		return &c.detail, true
	default:
		t.evicted = true
		c = t.heap[0]
		if t.index != nil {
			delete(t.index, c.key)
		}
		c.key, c.over = k, c.count
		c.count++
		t.remember(c)
		fresh = true
	}
	t.down(c.at)
	return &c.detail, fresh
}

// widen raises the limit by one, from the spare room. A count that is already inexact
// would not improve.
func (t *top[K, D]) widen() bool {
	if t.evicted || t.spare == nil || *t.spare == 0 {
		return false
	}
	*t.spare--
	t.limit++
	return true
}

// clear forgets everything but its room.
func (t *top[K, D]) clear() {
	t.heap, t.index, t.total, t.evicted = t.heap[:0], nil, 0, false
}

func (t *top[K, D]) find(k K) *counted[K, D] {
	if t.index != nil {
		return t.index[k]
	}
	for _, c := range t.heap {
		if c.key == k {
			return c
		}
	}
	return nil
}

func (t *top[K, D]) remember(c *counted[K, D]) {
	switch {
	case t.index != nil:
		t.index[c.key] = c
	case len(t.heap) > indexedFrom:
		t.index = map[K]*counted[K, D]{}
		for _, c := range t.heap {
			t.index[c.key] = c
		}
	}
}

func (t *top[K, D]) swap(i, j int) {
	h := t.heap
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (t *top[K, D]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].count <= t.heap[i].count {
			return
		}
		t.swap(i, parent)
		i = parent
	}
}

func (t *top[K, D]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.heap[child].count < t.heap[least].count {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

// sorted returns at most most keys that certainly occur most often, and the count of all
// others: of keys left out, or not attributable to a key. Keys with equal counts are
// sorted by name.
func (t *top[K, D]) sorted(most int, name func(K) string) (shown []*counted[K, D], others int64) {
	shown = slices.Clone(t.heap)
	slices.SortFunc(shown, func(a, b *counted[K, D]) int {
		return cmp.Or(cmp.Compare(b.least(), a.least()), cmp.Compare(b.count, a.count), cmp.Compare(name(a.key), name(b.key)))
	})
	if t.evicted {
		shown = slices.DeleteFunc(shown, func(c *counted[K, D]) bool { return !t.frequent(c) })
	}
	shown = shown[:min(len(shown), most)]
	others = t.total
	for _, c := range shown {
		others -= c.least()
	}
	return shown, others
}

// frequent reports whether enough of a key's count is its own to distinguish it from
// transient ones.
func (t *top[K, D]) frequent(c *counted[K, D]) bool {
	const share = 10 // one in share
	return c.least()*share > c.over
}
