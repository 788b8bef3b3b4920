package milter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// conn is one connection of an MTA. Its goroutine owns everything but what mu guards.
type conn struct {
	srv     *Server
	nc      net.Conn
	ctx     context.Context // ends with the connection
	cancel  context.CancelFunc
	session Session // nil before negotiation

	in       []byte // read buffer; small, or borrowed
	small    []byte
	borrowed *[]byte
	r, w     int       // in[r:w] is read and not yet consumed
	begun    time.Time // deadline of the packet under way; zero at a boundary
	out      []byte    // replies not yet sent
	value    []byte    // scratch for a header value
	names    names

	transaction // what the MTA has sent, and what is still expected

	mu       sync.Mutex
	idle     bool      // waiting for a packet, no message under way
	since    time.Time // when the connection was accepted or its last message answered; or, with a message under way, when that began
	deadline time.Time // of the read under way
	drainBy  time.Time // when to end if idle; zero while the server runs
	quiet    bool      // has had its one more message
	forced   bool      // end now
	crowded  bool      // end now: another connection has its place
}

func (c *conn) log() *slog.Logger { return c.srv.log.With("mta", c.nc.RemoteAddr().String()) }

func (s *Server) newConn(nc net.Conn) *conn {
	c := &conn{
		srv:   s,
		nc:    nc,
		small: make([]byte, smallBuffer),
		idle:  true,
		since: time.Now(),
	}
	c.in = c.small
	c.names.common = s.names
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// serve runs the connection to its end and cleans up.
func (c *conn) serve() {
	err := c.loop()
	c.cancel()
	c.nc.Close()
	c.giveBack()
	c.report(err)
	c.endSession()
}

func (c *conn) loop() error {
	for {
		cmd, data, err := c.next()
		if err != nil {
			return err
		}
		if err := c.step(cmd, data); err != nil {
			return err
		}
	}
}

// report counts and logs why the connection ended, if that is of interest.
func (c *conn) report(err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, errQuit), errors.Is(err, errCrowded), errors.Is(err, io.EOF):
	case errors.Is(err, errDrained):
		if c.underWay() {
			c.log().Warn("a connection was closed within a message: dmarcd stops")
		}
	case errors.Is(err, errUnfit):
		c.srv.stats.unfit.Add(1)
		if n, ok := c.srv.unfitLog.allow(); ok {
			c.log().Warn("a connection was refused", "error", err, "left_out", n)
		}
	case errors.Is(err, errProtocol):
		c.srv.stats.protocolErrors.Add(1)
		c.log().Warn("a connection was closed", "error", err)
	case errors.As(err, &timeout) && timeout.Timeout():
		c.srv.stats.timeouts.Add(1)
		c.log().Info("a connection was closed after a time-out", "packet_begun", !c.begun.IsZero())
	default:
		c.log().Debug("a connection was lost", "error", err)
	}
}

// next returns the next packet. Its data last until the next call.
func (c *conn) next() (command, []byte, error) {
	for {
		have := c.in[c.r:c.w]
		need := 5
		if len(have) >= 4 {
			n := binary.BigEndian.Uint32(have)
			if n == 0 || n > maxPacket {
				return 0, nil, protocolError("packet of %d bytes", n)
			}
			need = 4 + int(n)
			if len(have) >= need {
				c.r += need
				c.begun = time.Time{}
				return command(have[4]), have[5:need:need], nil
			}
		}
		if err := c.fill(need); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads more of a packet of need bytes. Replies are sent before it waits.
func (c *conn) fill(need int) error {
	if err := c.flush(); err != nil {
		return err
	}
	if c.r == c.w && !c.underWay() {
		c.shrink()
	}
	c.makeRoom(need)
	if err := c.await(); err != nil {
		return err
	}
	n, err := c.nc.Read(c.in[c.w:])
	c.w += n
	c.srv.stats.bytesRead.Add(uint64(n))
	switch {
	case n > 0:
		return nil
	case err == nil:
		return io.ErrNoProgress
	case errors.Is(err, io.EOF) && c.w > c.r:
		return protocolError("connection closed within a packet: %.64q", cut(c.in[c.r:c.w]))
	}
	if why := c.ended(); why != nil {
		return why
	}
	return err
}

// makeRoom makes the buffer hold need bytes from r, or at least more of them
// than there are: memory follows what was sent, not what was announced.
func (c *conn) makeRoom(need int) {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if need <= len(c.in)-c.r {
		return
	}
	have := c.in[c.r:c.w]
	n := len(have)
	if size := min(need, max(2*n, largeBuffer)); size > len(c.in) {
		to := c.srv.borrow(size)
		copy(*to, have)
		c.giveBack()
		c.in, c.borrowed = *to, to
	} else if c.r > 0 {
		copy(c.in, have)
	}
	c.r, c.w = 0, n
}

// shrink releases the memory that a large message needed: most connections are idle.
func (c *conn) shrink() {
	c.giveBack()
	if cap(c.value) > smallBuffer {
		c.value = nil
	}
	if cap(c.out) > smallBuffer {
		c.out = nil
	}
}

// giveBack returns the borrowed buffer. Its content is lost.
func (c *conn) giveBack() {
	if c.borrowed != nil {
		c.srv.giveBack(c.borrowed)
		c.in, c.borrowed = c.small, nil
		c.r, c.w = 0, 0
	}
}

// await sets the deadline of the next read: long at a boundary between packets, short
// and fixed once a packet has begun, so that one cannot drip in.
func (c *conn) await() error {
	now := time.Now()
	deadline := now.Add(c.srv.cfg.IdleTimeout)
	// An MTA speaks at once. A peer that does not is none, and occupies a connection.
	if c.w > c.r || c.stage == stageNew {
		if c.begun.IsZero() {
			c.begun = now.Add(c.srv.cfg.PacketTimeout)
		}
		deadline = c.begun
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.forced:
		return errDrained
	case c.crowded:
		return errCrowded
	}
	c.idle = !c.underWay()
	if by := c.drainsBy(now); c.idle && !by.IsZero() && by.Before(deadline) {
		deadline = by
	}
	c.deadline = deadline
	return c.nc.SetReadDeadline(deadline)
}

// drainsBy is when the connection must end if it is idle; zero while the server runs. The
// caller holds mu.
func (c *conn) drainsBy(now time.Time) time.Time {
	if quiet := now.Add(c.srv.cfg.Drain.Quiet); c.quiet && quiet.Before(c.drainBy) {
		return quiet
	}
	return c.drainBy
}

// begins notes that a message is under way, before more of it is read: its first
// packets often come in one read, and nobody may take the place for an idle one's.
func (c *conn) begins() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle, c.since = false, now
}

// answered notes that a message was answered.
func (c *conn) answered() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = now
	c.quiet = !c.drainBy.IsZero()
}

// ended says why a failed read had to fail: the connection was dropped for another, or the
// server shuts down and has nothing to wait for or no time left. Otherwise it is nil.
func (c *conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.crowded:
		return errCrowded
	case c.forced, c.idle && !c.drainBy.IsZero():
		return errDrained
	}
	return nil
}

// drain makes the connection end by that time unless a message is under way.
func (c *conn) drain(by time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.drainBy.IsZero() && c.drainBy.Before(by) {
		return
	}
	c.drainBy = by
	if c.idle && by.Before(c.deadline) {
		// Fails only on a connection that is closed already.
		_ = c.nc.SetReadDeadline(by)
	}
}

// force ends the connection: a Session at work has its context ended, and
// its answer is replaced.
func (c *conn) force() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forced = true
	c.cancel()
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

func (c *conn) isForced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forced
}

// flush sends all replies in one write.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout)); err != nil {
		return fmt.Errorf("milter: %w", err)
	}
	n, err := c.nc.Write(c.out) // TCP_NODELAY is set: package net does so by default
	c.srv.stats.bytesWritten.Add(uint64(n))
	c.out = c.out[:0]
	return err
}
