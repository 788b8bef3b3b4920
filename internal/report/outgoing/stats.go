package outgoing

import (
	"maps"
	"sync"
)

// Stats count what became of reports since the start of this daemon.
type Stats struct {
	Built    uint64           // aggregate reports made
	Unmade   uint64           // that no file could be made of
	Sent     uint64           // mails that the server took
	Attempts map[Cause]uint64 // that did not end so, by cause
	Failed   map[Cause]uint64 // deliveries given up, by cause

	Suppressed uint64 // destinations that were suppressed by themselves

	Bounces        uint64 // mails of ours that came back
	BouncesIgnored uint64 // that speak of no mail of ours, or not of a failure

	FailuresSent      uint64 // failure reports queued
	FailuresCollapsed uint64 // messages counted in the report on another
	FailuresDropped   uint64 // beyond the limits, or for want of room
	FailuresIgnored   uint64 // messages that nobody asks or may get a report of

	Gauges *Gauges // nil unless this daemon leads
	Paused bool    // the queue waits for our mail server
}

// counters are Stats under a lock.
type counters struct {
	mu sync.Mutex
	s  Stats
}

func (c *counters) add(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.s)
}

func (c *counters) attempt(cause Cause, final bool) {
	c.add(func(s *Stats) {
		if s.Attempts == nil {
			s.Attempts, s.Failed = map[Cause]uint64{}, map[Cause]uint64{}
		}
		if s.Attempts[cause]++; final {
			s.Failed[cause]++
		}
	})
}

func (c *counters) setGauges(g *Gauges) { c.add(func(s *Stats) { s.Gauges = g }) }

func (c *counters) read() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Attempts, s.Failed = maps.Clone(s.Attempts), maps.Clone(s.Failed)
	return s
}
