// Package resolver is dmarcd's DNS client. It queries recursive servers over UDP and TCP,
// checks that an answer matches the question, caches answers by their TTL, and reports a
// missing answer with the errors of package dns. NXDOMAIN, no data and "unknown" are
// always kept apart.
//
// A message has one budget: the deadline of the context of its look-ups. A look-up returns
// as soon as that context is done. Equal pending look-ups are joined; the shared one
// continues while any caller waits for it.
//
// The library github.com/miekg/dns provides names, codes and resolv.conf. Its Msg does not
// parse answers, because it accepts a section shorter than its count as complete, which
// would turn a truncated answer into "no such record".
//
// Divergences:
//   - RFC 2308 section 5: a negative answer without SOA should not be cached. It
//     is, for half a minute: stub resolvers such as systemd-resolved drop the SOA.
//   - RFC 8020: NXDOMAIN is not applied to the names below; every name is queried.
//   - RFC 2308 section 7.2 allows caching a dead server for all names. Here a failure,
//     time-outs included, is cached for one name and type only, so that a domain with
//     dead servers delays only its own mail.
//   - The case of names is not varied (0x20): some forwarders do not echo it, and
//     every look-up would then time out. Id and source port are random.
package resolver

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// Our own limits where the RFCs have none.
const (
	maxHops    = 8        // aliases followed for one look-up
	maxTries   = 8        // tries of one query across all servers
	maxOnWire  = 2048     // look-ups on the wire at once; each holds a socket
	maxIgnored = 64       // unrelated packets received for one query before TCP is used
	maxRecords = 500      // records of the requested type accepted in one answer
	maxBytes   = 32 << 10 // octets of their data
)

// Maximum time for which answers are kept.
const (
	maxTTL         = time.Hour
	maxNegativeTTL = 15 * time.Minute
	unsignedTTL    = 30 * time.Second // negative, without an SOA
	// A failure, time-outs included, is cached just long enough that each message of a flood
	// from a dead domain need not wait for it. A failure for lack of a place, a socket or time
	// is not cached: the name did not cause it.
	failureTTL = 5 * time.Second // RFC 2308 section 7 allows five minutes
)

const (
	defaultTimeout    = 2 * time.Second
	defaultCacheBytes = 64 << 20
)

// Config selects the servers and the size of the cache.
type Config struct {
	// Servers are recursive servers in order of preference: host or host:port, port 53 by
	// default. New resolves a host name once, with the system's resolver. If empty, the
	// servers of ResolvConf are used.
	Servers []string
	// ResolvConf is the file that lists the servers; "" is /etc/resolv.conf.
	ResolvConf string
	// Timeout bounds one try of one query; 0 is 2 s.
	Timeout time.Duration
	// CacheEntries bounds the number of cached answers; 0 disables the cache.
	CacheEntries int
	// CacheBytes bounds their approximate memory; 0 is 64 MiB.
	CacheBytes int64
	// Now is the clock of the cache; nil is time.Now.
	Now func() time.Time
	// Observe is called after each query on the wire, from several goroutines,
	// with the record type, one of Outcomes and the time taken; may be nil.
	Observe func(qtype, outcome string, took time.Duration)
}

// Client answers look-ups. It is safe for concurrent use.
type Client struct {
	servers []*server
	timeout time.Duration
	limit   time.Duration // for one look-up on the wire, all tries and aliases
	now     func() time.Time
	observe func(qtype, outcome string, took time.Duration)

	seed   maphash.Seed
	shards []*shard

	onWire  chan struct{} // one token for each look-up on the wire
	base    context.Context
	stop    context.CancelCauseFunc
	flights sync.WaitGroup
}

// errClosed is the error of look-ups after Close.
var errClosed = errors.New("resolver closed")

// New returns a Client. It opens no connection, but resolves servers given by host name.
// The error names the server or the file at fault.
func New(cfg Config) (*Client, error) {
	if cfg.Timeout < 0 || cfg.CacheEntries < 0 || cfg.CacheBytes < 0 {
		return nil, fmt.Errorf("resolver: negative setting: timeout %v, cache entries %d, cache bytes %d", cfg.Timeout, cfg.CacheEntries, cfg.CacheBytes)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = defaultCacheBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string, time.Duration) {}
	}
	servers, err := findServers(cfg)
	if err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	c := &Client{
		servers: servers,
		timeout: cfg.Timeout,
		limit:   cfg.Timeout * time.Duration(tries(len(servers))),
		now:     cfg.Now,
		observe: cfg.Observe,
		seed:    maphash.MakeSeed(),
		shards:  newShards(cfg.CacheEntries, cfg.CacheBytes),
		onWire:  make(chan struct{}, maxOnWire),
	}
	c.base, c.stop = context.WithCancelCause(context.Background())
	return c, nil
}

// Close ends pending look-ups as temporary failures, waits for them and closes all sockets.
// Later look-ups that are not in the cache fail likewise.
func (c *Client) Close() {
	for _, s := range c.shards {
		s.close()
	}
	c.stop(errClosed)
	c.flights.Wait()
	for _, s := range c.servers {
		s.close()
	}
}

// Stats are counts since the start, except Entries and Bytes, which are current.
type Stats struct {
	Hits    uint64 // look-ups answered from the cache
	Misses  uint64 // look-ups that needed a query
	Joined  uint64 // look-ups that joined a pending one
	Entries int    // answers kept
	Bytes   int64  // their approximate memory
}

// Stats sums the counts of the cache.
func (c *Client) Stats() Stats {
	var sum Stats
	for _, s := range c.shards {
		s.addTo(&sum)
	}
	return sum
}
