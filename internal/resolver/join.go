package resolver

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

// lookup answers from the cache, or waits until ctx is done for the one query that all
// equal look-ups share. A cached name is answered even if ctx is done, because it costs
// no time.
func (c *Client) lookup(ctx context.Context, name dns.Name, qtype uint16) *result {
	k := key{name, qtype}
	if name.IsZero() {
		return failed(k, dns.ErrNXDomain)
	}
	s := c.shard(k)
	now := c.now()
	s.mu.Lock()
	if r := s.get(k, now); r != nil {
		s.stats.Hits++
		s.mu.Unlock()
		return r
	}
	f, err := c.join(ctx, s, k)
	s.mu.Unlock()
	if err != nil {
		return failed(k, temporary(err))
	}
	select {
	case <-f.done:
		return f.res
	case <-ctx.Done():
	}
	if r := leave(s, k, f); r != nil {
		return r
	}
	return failed(k, temporary(context.Cause(ctx)))
}

// shard returns the part of the cache for a key.
func (c *Client) shard(k key) *shard {
	h := maphash.String(c.seed, k.name.String()) + uint64(k.qtype)
	return c.shards[h%uint64(len(c.shards))]
}

// join finds the pending look-up of k, or starts one. The lock of s is held.
func (c *Client) join(ctx context.Context, s *shard, k key) (*flight, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if f := s.flights[k]; f != nil {
		f.callers++
		s.stats.Joined++
		return f, nil
	}
	if s.closed {
		return nil, errClosed
	}
	shared, cancel := context.WithCancel(c.base)
	f := &flight{done: make(chan struct{}), cancel: cancel, callers: 1}
	s.flights[k] = f
	s.stats.Misses++
	c.flights.Go(func() { c.fly(shared, s, k, f) })
	return f, nil
}

// leave stops waiting; the last caller to leave cancels the look-up. The result is not nil
// if it arrived in the meantime.
func leave(s *shard, k key, f *flight) *result {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-f.done:
		return f.res
	default:
	}
	if f.callers--; f.callers == 0 {
		f.cancel()
		if s.flights[k] == f { // a new caller must not join a look-up that is ending
			delete(s.flights, k)
		}
	}
	return nil
}

// fly performs a look-up for all its callers, and caches the result.
func (c *Client) fly(ctx context.Context, s *shard, k key, f *flight) {
	defer f.cancel()
	r, ttl := c.place(ctx, k)
	if errors.Is(ctx.Err(), context.Canceled) && errors.Is(r.err, dns.ErrTemporary) {
		ttl = 0 // cancelled: that says nothing about the name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ttl = min(ttl, maxTTL); ttl > 0 {
		s.put(k, r, c.now().Add(ttl))
	}
	if s.flights[k] == f {
		delete(s.flights, k)
	}
	f.res = r
	close(f.done)
}

// place resolves k once there is a free place on the wire. The time of the look-up starts
// then, because a name that had to queue is not a slow one. Callers have their own
// deadlines.
func (c *Client) place(ctx context.Context, k key) (*result, time.Duration) {
	select {
	case c.onWire <- struct{}{}:
		defer func() { <-c.onWire }()
	case <-ctx.Done():
		return failed(k, temporary(fmt.Errorf("over %d look-ups under way: %w", maxOnWire, context.Cause(ctx)))), 0
	}
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	return c.resolve(ctx, k)
}

// failed is the result of a look-up that returned no records.
func failed(k key, reason error) *result {
	return &result{err: &dns.Error{Name: k.name, Type: mdns.TypeToString[k.qtype], Err: reason}}
}

// missing is the result of a look-up that found a name that does not exist: the queried
// one, or the target of its alias.
func missing(k key, alias bool) *result {
	return &result{err: &dns.Error{Name: k.name, Type: mdns.TypeToString[k.qtype], Err: dns.ErrNXDomain, Alias: alias}}
}

// temporary marks a reason that says nothing about the name.
func temporary(reason error) error { return fmt.Errorf("%w: %w", dns.ErrTemporary, reason) }

// tries is the maximum number of sends of a query: two per server.
func tries(servers int) int { return min(2*servers, maxTries) }

// keepFor is how long an answer may be kept.
func keepFor(seconds uint32, most time.Duration) time.Duration {
	return min(time.Duration(seconds)*time.Second, most)
}
