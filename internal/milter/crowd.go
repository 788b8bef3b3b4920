package milter

import (
	"slices"
	"time"
)

// crowdShare is the fraction of the connections dropped at once, so that the list is not
// scanned for each new one.
const crowdShare = 256

// makeRoom closes some of the connections without a message under way, the longest idle
// first, and reports whether there is room. Opening connections costs a local user
// nothing, so idle ones must not keep the MTA out. Where all have a message under way,
// those whose message has taken longer than Config.StallTime are closed. The caller holds
// mu.
func (s *Server) makeRoom() bool {
	type candidate struct {
		*conn
		idle  bool
		since time.Time
	}
	stalled := time.Now().Add(-s.cfg.StallTime)
	candidates := make([]candidate, 0, len(s.conns))
	for c := range s.conns {
		if idle, since := c.standing(); idle || since.Before(stalled) {
			candidates = append(candidates, candidate{conn: c, idle: idle, since: since})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		if a.idle != b.idle {
			if a.idle {
				return -1
			}
			return 1
		}
		return a.since.Compare(b.since)
	})
	for _, c := range candidates[:min(len(candidates), 1+s.cfg.MaxConnections/crowdShare)] {
		c.leave()
		delete(s.conns, c.conn)
		s.stats.refused.Add(1)
	}
	if len(candidates) > 0 {
		if n, ok := s.fullLog.allow(); ok {
			s.log.Warn("too many connections from MTAs: some without a message under way were closed",
				"limit", s.cfg.MaxConnections, "left_out", n)
		}
	}
	return len(s.conns) < s.cfg.MaxConnections
}

// standing is whether the connection waits for a message, and since when it does, or
// has one under way.
func (c *conn) standing() (idle bool, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle, c.since
}

// leave ends the connection, which is idle or stalled.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crowded = true
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails on one that is closed already
}
