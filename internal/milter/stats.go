package milter

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are the counts of a Server since it was made; Open is the current number.
type Stats struct {
	Open           int
	Connections    uint64 // taken
	Refused        uint64 // closed because of Config.MaxConnections
	Unfit          uint64 // closed because the MTA lacks a required feature
	Messages       uint64 // answered, those of Troubles included
	Troubles       uint64 // answered by Config.Trouble
	Panics         uint64 // of Sessions
	ProtocolErrors uint64 // connections closed because the MTA's side broke the protocol
	Timeouts       uint64 // connections closed because the MTA's side was idle or slow
	AcceptErrors   uint64
	BytesRead      uint64
	BytesWritten   uint64
}

// counters is Stats as it is counted.
type counters struct {
	connections, refused, unfit, messages, troubles, panics,
	protocolErrors, timeouts, acceptErrors, bytesRead, bytesWritten atomic.Uint64
}

// Stats returns the counts. They are read one by one, not at one instant.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	c := &s.stats
	return Stats{
		Open:           open,
		Connections:    c.connections.Load(),
		Refused:        c.refused.Load(),
		Unfit:          c.unfit.Load(),
		Messages:       c.messages.Load(),
		Troubles:       c.troubles.Load(),
		Panics:         c.panics.Load(),
		ProtocolErrors: c.protocolErrors.Load(),
		Timeouts:       c.timeouts.Load(),
		AcceptErrors:   c.acceptErrors.Load(),
		BytesRead:      c.bytesRead.Load(),
		BytesWritten:   c.bytesWritten.Load(),
	}
}

// OpenOn counts the open connections that a listener took.
func (s *Server) OpenOn(ln net.Listener) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.conns {
		if l == ln {
			n++
		}
	}
	return n
}

// throttle passes one event per logInterval and counts the others.
type throttle struct {
	mu   sync.Mutex
	next time.Time
	held int
}

// allow reports whether to log now, and how many events were held back since the last time.
func (t *throttle) allow() (held int, ok bool) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		t.held++
		return 0, false
	}
	held, t.held = t.held, 0
	t.next = now.Add(logInterval)
	return held, true
}
