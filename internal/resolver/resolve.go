package resolver

import (
	"context"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/dns"
)

// errHops: too many aliases, usually a loop.
var errHops = failuref(outcomeBogus, "CNAME loop, or over %d aliases", maxHops)

// resolve finds the records for k, following all aliases, and how long the answer may be
// kept; 0 if not at all.
func (c *Client) resolve(ctx context.Context, k key) (*result, time.Duration) {
	q, err := newQuery(k.name, k.qtype)
	if err != nil {
		return failed(k, temporary(err)), 0
	}
	ttl, hops, alias := time.Duration(1<<63-1), 0, false
	for asked := 0; ; asked++ {
		f, fail := c.ask(ctx, &q)
		if fail != nil {
			if fail.ours {
				return failed(k, temporary(fail)), 0
			}
			return failed(k, temporary(fail)), failureTTL
		}
		ttl, hops, alias = min(ttl, f.ttl), hops+f.hops, alias || asked == 0 && f.alias
		switch {
		case hops > maxHops:
			return failed(k, temporary(errHops)), failureTTL
		case f.outcome == outcomeNXDomain:
			return missing(k, alias), ttl
		case f.outcome == outcomeNoData:
			return failed(k, dns.ErrNoData), ttl
		case f.follow == "":
			return f.res, ttl
		}
		if q, err = followQuery(f.follow, k.qtype); err != nil {
			return failed(k, temporary(err)), failureTTL
		}
	}
}

// ask tries the servers in turn. The second round repeats only those that did not answer,
// now without EDNS, because some middleboxes drop it. The failure is ours if no try said
// anything about the name.
func (c *Client) ask(ctx context.Context, q *query) (*interpretation, *failure) {
	servers := c.order()
	answered := make([]bool, len(servers))
	var reasons []string
	ours := true
	for try := range tries(len(servers)) {
		i := try % len(servers)
		if answered[i] {
			continue
		}
		f, fail := c.askServer(ctx, q, servers[i], try < len(servers))
		if fail == nil {
			return f, nil
		}
		reasons = append(reasons, fail.detail)
		ours = ours && fail.ours
		if ctx.Err() != nil {
			break
		}
		answered[i] = fail.outcome != outcomeTimeout && fail.outcome != outcomeNetwork
	}
	return nil, &failure{detail: strings.Join(slices.Compact(reasons), "; "), ours: ours}
}

// askServer queries one server: over TCP if its UDP answer was truncated or unreadable,
// and without EDNS if it does not support it (RFC 6891 section 7).
func (c *Client) askServer(ctx context.Context, q *query, s *server, edns bool) (*interpretation, *failure) {
	at := attempt{server: s, edns: edns}
	for {
		f, fail := c.exchange(ctx, q, at)
		switch {
		case fail == nil:
			return f, nil
		case fail.useTCP && !at.tcp:
			at.tcp = true
		case fail.dropEDNS && at.edns:
			at.edns = false
		default:
			return nil, fail
		}
	}
}
