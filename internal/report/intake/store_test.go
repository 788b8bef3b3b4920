package intake

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/report/analysis"
)

// memoryStore keeps what is ingested, each token of a feed once.
type memoryStore struct {
	mu       sync.Mutex
	items    []analysis.Item
	tokens   map[string]bool
	states   map[string]analysis.FeedState
	pairs    []analysis.Pair
	err      error // of everything
	stuck    error // of Ingest alone
	failures int
	changed  chan struct{} // closed and made anew at each change
}

func newMemoryStore() *memoryStore {
	return &memoryStore{tokens: map[string]bool{}, states: map[string]analysis.FeedState{}, changed: make(chan struct{})}
}

func (m *memoryStore) change() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Ingest is Store's.
func (m *memoryStore) Ingest(_ context.Context, b *analysis.Batch) ([]analysis.Classified, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.change()
	if err := cmp.Or(m.err, m.stuck); err != nil {
		m.failures++
		return nil, err
	}
	var out []analysis.Classified
	for i := range b.Items {
		item := &b.Items[i]
		known := item.Token != "" && m.tokens[item.Feed+" "+item.Token]
		m.tokens[item.Feed+" "+item.Token] = true
		for j := range item.Reports {
			out = append(out, analysis.Classified{Item: i, Report: j, Status: item.Reports[j].Status, Known: known})
		}
		if !known {
			m.items = append(m.items, *item)
		}
	}
	for _, s := range b.Feeds {
		m.states[s.Host+" "+s.Name] = s
	}
	return out, nil
}

// HasTokens is analysis.Ingester's.
func (m *memoryStore) HasTokens(_ context.Context, feed string, tokens []string) (map[string]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	out := map[string]bool{}
	for _, token := range tokens {
		if m.tokens[feed+" "+token] {
			out[token] = true
		}
	}
	return out, nil
}

// Pairs is Store's.
func (m *memoryStore) Pairs(context.Context) ([]analysis.Pair, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pairs, m.err
}

// Feed is FeedStore's.
func (m *memoryStore) Feed(_ context.Context, host, name string) (analysis.FeedState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[host+" "+name], m.err
}

// SaveFeed is FeedStore's.
func (m *memoryStore) SaveFeed(_ context.Context, f analysis.FeedState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states[f.Host+" "+f.Name] = f
	return m.err
}

// stick lets everything but Ingest work.
func (m *memoryStore) stick(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stuck = err
}

func (m *memoryStore) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// await waits until what is asked for holds.
func (m *memoryStore) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		m.mu.Lock()
		done, changed := holds(), m.changed
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// wait waits for n items and gives them.
func (m *memoryStore) wait(t *testing.T, n int) []analysis.Item {
	t.Helper()
	m.await(t, "items", func() bool { return len(m.items) >= n })
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.items)
}

func (m *memoryStore) waitFailure(t *testing.T) {
	t.Helper()
	m.await(t, "a failure", func() bool { return m.failures > 0 })
}

func names(texts ...string) []dns.Name {
	var out []dns.Name
	for _, text := range texts {
		out = append(out, dns.MustParse(text))
	}
	return out
}

// customers are local parts with their domains, in turn.
func customers(pairs ...string) map[string][]dns.Name {
	out := map[string][]dns.Name{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = names(pairs[i+1])
	}
	return out
}

// sameLines compares without order.
func sameLines(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
