package outgoing

import (
	"maps"
	"sync"
)

// Stats count what became of reports since the start of this daemon.
type Stats struct {
	Built    uint64           // aggregate reports made
	Unmade   uint64           // that no file could be made of
	Lost     uint64           // messages that are in no report: their days are too long ago
	Sent     uint64           // mails that the server took
	Attempts map[Cause]uint64 // that did not end so, by cause
	Failed   map[Final]uint64 // deliveries that ended so, for any reason but a success

	Capped     uint64 // mails held back: one organization requests too many
	Suppressed uint64 // destinations that were suppressed by themselves

	Bounces        uint64 // mails of ours that bounced
	BouncesIgnored uint64 // about other mail, or not about a failure

	FailuresSent      uint64 // failure reports queued
	FailuresCollapsed uint64 // messages counted in the report on another
	FailuresDropped   uint64 // beyond the limits, or for want of room
	FailuresIgnored   uint64 // messages on which nobody requests or may get a report

	Gauges *Gauges // nil unless this daemon leads
	Paused bool    // the queue waits for our mail server
}

// Final is how a delivery ended that was not sent, or bounced.
type Final struct {
	State State // failed, expired, suppressed or unverified
	Cause Cause
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

// begin makes the maps of counters.
func (c *counters) begin() {
	c.add(func(s *Stats) { s.Attempts, s.Failed = map[Cause]uint64{}, map[Final]uint64{} })
}

// attempt counts one that did not end in success.
func (c *counters) attempt(state State, cause Cause) {
	c.add(func(s *Stats) {
		if s.Attempts[cause]++; !state.Waiting() {
			s.Failed[Final{State: state, Cause: cause}]++
		}
	})
}

// gauges takes a new count, of some states or all.
func (c *counters) gauges(g Gauges) {
	c.add(func(s *Stats) {
		if s.Gauges != nil {
			all := maps.Clone(s.Gauges.Deliveries)
			maps.Copy(all, g.Deliveries)
			g.Deliveries = all
		}
		s.Gauges = &g
	})
}

// noGauges forgets what was counted: another daemon leads.
func (c *counters) noGauges() { c.add(func(s *Stats) { s.Gauges = nil }) }

func (c *counters) read() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Attempts, s.Failed = maps.Clone(s.Attempts), maps.Clone(s.Failed)
	return s
}
