package milter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Drain is how long Shutdown waits. An MTA whose connection is closed takes its default
// action for the rest of the SMTP session, so that a later message in it passes unjudged:
// a connection is kept while a message can be expected.
type Drain struct {
	// Idle is how long a connection without a message under way is kept for one more. 0 means 25 s.
	Idle time.Duration
	// Quiet is how long a connection is kept after that message, or if it was opened
	// during the shutdown. 0 means 3 s.
	Quiet time.Duration
	// Accept is how long new connections are taken while older ones are kept: until the
	// successor runs, nothing else accepts them. 0 means 20 s.
	Accept time.Duration
	// Leave is how long connections to a socket of systemd are left in its queue before
	// that: a successor is there to take them, or will be soon. It is well below the
	// time-outs of MTAs. 0 means 5 s.
	Leave time.Duration
}

func (d *Drain) setDefaults() {
	d.Idle = cmp.Or(d.Idle, 25*time.Second)
	d.Quiet = cmp.Or(d.Quiet, 3*time.Second)
	d.Accept = cmp.Or(d.Accept, 20*time.Second)
	d.Leave = cmp.Or(d.Leave, 5*time.Second)
}

// ForceGrace is how long Shutdown waits beyond the end of its context, for Sessions
// whose contexts it ended.
const ForceGrace = 2 * time.Second

// Shutdown waits until messages under way are answered, and keeps idle connections for
// one more message, as set by Config.Drain; then it stops accepting and returns. If ctx
// ends first, the contexts of active Sessions are cancelled and their messages get the
// answer of Config.Trouble; where the MTA does not wait for an answer its connection is
// closed, and it takes its default action. All goroutines have ended when Shutdown
// returns, unless a Session ignored its context: the error then says how many did.
func (s *Server) Shutdown(ctx context.Context) error {
	s.awaitOlder(ctx, s.beginDrain())
	s.stopAccepting()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.open() {
		c.force()
	}
	grace := time.NewTimer(ForceGrace)
	defer grace.Stop()
	select {
	case <-done:
		return fmt.Errorf("milter: messages were cut off: %w", ctx.Err())
	case <-grace.C:
	}
	left := s.open()
	for _, c := range left {
		c.nc.Close()
	}
	return fmt.Errorf("milter: %d sessions did not end: %w", len(left), ctx.Err())
}

// beginDrain sets every connection's time to end, and returns them. Sockets from systemd
// are paused.
func (s *Server) beginDrain() (older []*conn) {
	s.mu.Lock()
	s.closing = true
	for ln := range s.listeners {
		if in, ok := ln.(*inheritedListener); ok {
			in.pause()
		}
	}
	s.mu.Unlock()
	by := time.Now().Add(s.cfg.Drain.Idle)
	older = s.open()
	for _, c := range older {
		c.drain(by)
	}
	return older
}

// awaitOlder waits for the end of those connections, as long as others are accepted.
func (s *Server) awaitOlder(ctx context.Context, older []*conn) {
	ended := make(chan struct{})
	go func() {
		for _, c := range older {
			<-c.ctx.Done()
		}
		close(ended)
	}()
	leave, accept := time.NewTimer(s.cfg.Drain.Leave), time.NewTimer(s.cfg.Drain.Accept)
	defer leave.Stop()
	defer accept.Stop()
	for {
		select {
		case <-leave.C:
			s.resumeInherited()
		case <-ended:
			return
		case <-accept.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) resumeInherited() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.resume:
	default:
		close(s.resume)
	}
}

// waitPaused waits until a paused socket is to be served again; false means never.
func (s *Server) waitPaused(in *inheritedListener) bool {
	select {
	case <-s.quit:
		return false
	case <-s.resume:
		return in.resume()
	}
}

// stopAccepting closes the listeners. Connections opened during the shutdown end soon:
// their MTA has not sent a message yet.
func (s *Server) stopAccepting() {
	s.mu.Lock()
	if !s.stopped() {
		close(s.quit)
	}
	for ln := range s.listeners {
		ln.Close()
	}
	s.mu.Unlock()
	by := time.Now().Add(s.cfg.Drain.Quiet)
	for _, c := range s.open() {
		c.drain(by)
	}
}

// stopped reports whether nothing more is accepted.
func (s *Server) stopped() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// Why a connection ends without a fault of either side.
var (
	errQuit    = errors.New("milter: quit")
	errDrained = errors.New("milter: shut down")
	errCrowded = errors.New("milter: made room for another connection")
)
