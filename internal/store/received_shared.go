package store

import (
	"context"
	"net/netip"
	"sync"
)

// maxShared bounds the sets, and the sources, that are cached: some 100 octets each.
const maxShared = 100_000

// setSpan and sourceSpan are the granularity, in days, of the day until which sets and
// sources are in use, so that one in daily use is not written every day.
const (
	setSpan    = 64
	sourceSpan = 16
)

// lastUse is the day to note for a use.
func lastUse(day, span int64) int64 { return bounded((day/span + 1) * span) }

// sharedSet is a set that the database has, in use until a day.
type sharedSet struct{ id, lastDay int64 }

// sharedSource is the identities of a source; the spans are sorted, and must not be
// changed.
type sharedSource struct {
	spans   []identitySpan
	lastDay int64
}

// sharedCache caches what the rows of many batches share, for one epoch, which ends when
// some of it is removed or a source gets another span. Only committed data goes in.
type sharedCache struct {
	mu      sync.Mutex
	epoch   int64
	sets    map[textHash]sharedSet
	sources map[netip.Addr]sharedSource
}

// at clears the cache of another epoch. The caller holds the lock.
func (c *sharedCache) at(epoch int64) {
	if c.epoch != epoch || c.sets == nil {
		c.epoch, c.sets, c.sources = epoch, map[textHash]sharedSet{}, map[netip.Addr]sharedSource{}
	}
}

func (c *sharedCache) set(epoch int64, h textHash, day int64) (sharedSet, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(epoch)
	known, ok := c.sets[h]
	return known, ok && known.lastDay >= day
}

func (c *sharedCache) source(epoch int64, addr netip.Addr, day int64) (sharedSource, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(epoch)
	known, ok := c.sources[addr]
	return known, ok && known.lastDay >= day
}

// add caches what a transaction of that epoch found or stored.
func (c *sharedCache) add(epoch int64, sets map[textHash]sharedSet, sources map[netip.Addr]sharedSource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch || c.sets == nil {
		return // a later one has been cached meanwhile
	}
	if len(c.sets)+len(sets) > maxShared {
		clear(c.sets)
	}
	if len(c.sources)+len(sources) > maxShared {
		clear(c.sources)
	}
	for h, known := range sets {
		c.sets[h] = known
	}
	for addr, known := range sources {
		c.sources[addr] = known
	}
}

// epoch is the epoch of the shared rows. In a transaction that has taken ids it is stable
// until the end.
func (t *tx) epoch(ctx context.Context) (epoch int64, err error) {
	err = t.row(ctx, `SELECT coalesce(max(value), 0) FROM received_state WHERE name = 'epoch'`).Scan(&epoch)
	return epoch, err
}

// nextEpoch makes all daemons forget what they know of what batches share. It keeps
// batches out until the transaction ends.
func (t *tx) nextEpoch(ctx context.Context) error {
	if _, err := t.takeIDs(ctx, 0); err != nil {
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO received_state (name, value) VALUES ('epoch', 1)
		ON CONFLICT (name) DO UPDATE SET value = received_state.value + 1`)
	return err
}
