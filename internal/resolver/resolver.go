// Package resolver is dmarcd's DNS client: it asks recursive servers over UDP
// and TCP, checks that an answer is one to the question asked, keeps answers by
// their TTL, and says with the words of package dns why there is none. NXDOMAIN,
// no data and "nothing is known" never stand for each other.
//
// A message has one budget: the deadline of the context that its look-ups carry.
// A look-up returns as soon as that context is done. Equal look-ups under way are
// joined; the shared one goes on as long as anybody waits for it.
//
// The library github.com/miekg/dns gives names, words and resolv.conf. Its Msg is
// not used to read answers: it takes a section shorter than its count for whole,
// which would turn a cut answer into "no such record".
//
// Divergences:
//   - RFC 2308 section 5: a negative answer without SOA should not be cached. It
//     is, for half a minute: stub resolvers such as systemd-resolved drop the SOA.
//   - RFC 8020: NXDOMAIN is not applied to the names below; every name is asked for.
//   - RFC 2308 section 7.2 lets a dead server be cached for all names. What is kept
//     of a failure, time-outs included, is for the one name and type: a domain whose
//     servers are dead costs its own mail time and nobody else's.
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

// Limits of our own where the RFCs give none.
const (
	maxHops    = 8        // aliases followed for one look-up
	maxTries   = 8        // tries of one query over all servers
	maxOnWire  = 2048     // look-ups on the wire at once; each holds a socket
	maxIgnored = 64       // packets to one query that do not belong to it, before TCP is used
	maxRecords = 500      // records of the type asked for that are taken of one answer
	maxBytes   = 32 << 10 // octets of their data
)

// How long answers are kept at most, whatever they say.
const (
	maxTTL         = time.Hour
	maxNegativeTTL = 15 * time.Minute
	unsignedTTL    = 30 * time.Second // negative, and no SOA tells
	// A failure, a time-out too, is kept just long enough that a flood of mail from
	// a dead domain does not wait for it message by message. One for want of a place,
	// a socket or time is not kept: it is not the name's.
	failureTTL = 5 * time.Second // RFC 2308 section 7 allows five minutes
)

const (
	defaultTimeout    = 2 * time.Second
	defaultCacheBytes = 64 << 20
)

// Config says whom to ask and what to keep.
type Config struct {
	// Servers are recursive servers in the order of preference: host or
	// host:port, port 53 where none is given. A host name is looked up once, by
	// New, with the system's resolver. Empty: those of ResolvConf.
	Servers []string
	// ResolvConf is the file to take servers from; "" is /etc/resolv.conf.
	ResolvConf string
	// Timeout is for one try of one query; 0 is 2 s.
	Timeout time.Duration
	// CacheEntries is how many answers are kept at most; 0 keeps none.
	CacheEntries int
	// CacheBytes is how much memory they may take, roughly; 0 is 64 MiB.
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

// errClosed is why look-ups fail after Close.
var errClosed = errors.New("resolver closed")

// New makes a Client. It opens no connection, but looks up servers given by
// host name. The error names the server or the file at fault.
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

// Close ends the look-ups under way as temporary failures, waits for them and
// closes all sockets. Later look-ups that are not in the cache fail likewise.
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

// Stats are counts since the start, but Entries and Bytes, which are of now.
type Stats struct {
	Hits    uint64 // look-ups answered from the cache
	Misses  uint64 // look-ups that had to ask
	Joined  uint64 // look-ups that waited for an equal one under way
	Entries int    // answers kept
	Bytes   int64  // memory they take, roughly
}

// Stats adds up the counts of the cache.
func (c *Client) Stats() Stats {
	var sum Stats
	for _, s := range c.shards {
		s.addTo(&sum)
	}
	return sum
}
