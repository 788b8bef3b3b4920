package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config is how a Server works. Only NewSession must be given.
type Config struct {
	// NewSession makes the Session of a new connection, once negotiation
	// succeeded. ctx ends with the connection.
	NewSession func(ctx context.Context) Session
	// RcptReplies reports at each negotiation whether a Session may refuse recipients; nil means
	// never. If it is false, recipients get no replies, which is cheaper.
	RcptReplies func() bool
	// Trouble is the answer to a message on which a Session panicked, or that shutdown interrupted: the
	// zero Reply to accept, or one with a code of 4xx. Anything else accepts. nil accepts.
	Trouble func() Reply

	// IdleTimeout is the longest wait between packets; 0 means two hours and 10 s, as for
	// libmilter. It must be above the MTA's SMTP time-outs (Sendmail: an hour): an MTA may
	// let mail pass unchecked once its filter has closed the connection, and clients can
	// wait for that.
	IdleTimeout   time.Duration
	PacketTimeout time.Duration // longest wait for the rest of a packet, and for the first one. 0 means 10 s
	WriteTimeout  time.Duration // 0 means 10 s

	// MaxConnections is the cap on open connections; 0 means none. One above it takes the
	// place of those that have no message under way, or is closed at once where all have:
	// the MTA then takes its default action without waiting.
	MaxConnections int
	// StallTime is how long a message may take before its connection, too, may be closed
	// for one above MaxConnections. 0 means 5 min, the time that Postfix lets a client be
	// idle.
	StallTime time.Duration

	// Drain is how long Shutdown waits; zero values mean the defaults.
	Drain Drain

	Log *slog.Logger // nil discards
}

// Defaults of Config.
const (
	defaultIdleTimeout   = 2*time.Hour + 10*time.Second
	defaultPacketTimeout = 10 * time.Second
	defaultWriteTimeout  = 10 * time.Second
	defaultStallTime     = 5 * time.Minute
)

const (
	// logInterval is the least time between two log lines on the same matter
	// where each connection could bring one.
	logInterval = 10 * time.Second
	// maxAcceptDelay bounds the wait after an error of Accept.
	maxAcceptDelay = time.Second
)

// Server serves milter connections. Its methods may be called from several goroutines.
type Server struct {
	cfg   Config
	log   *slog.Logger
	names map[string]string
	large sync.Pool // of *[]byte, largeBuffer long

	stats     counters
	fullLog   throttle
	unfitLog  throttle
	acceptLog throttle
	poorMTA   atomic.Bool // an MTA that keeps no leading space was logged

	mu        sync.Mutex
	closing   bool          // Shutdown was called
	resume    chan struct{} // closed when inherited sockets are served again in a shutdown
	quit      chan struct{} // closed when nothing more is accepted
	listeners map[net.Listener]bool
	conns     map[*conn]net.Listener // that took it
	running   sync.WaitGroup         // connections, and what accepts them
}

// NewServer makes a Server.
func NewServer(cfg Config) *Server {
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = defaultIdleTimeout
	}
	if cfg.PacketTimeout <= 0 {
		cfg.PacketTimeout = defaultPacketTimeout
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = defaultWriteTimeout
	}
	if cfg.StallTime <= 0 {
		cfg.StallTime = defaultStallTime
	}
	cfg.Drain.setDefaults()
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:       cfg,
		log:       log,
		names:     commonNames(),
		resume:    make(chan struct{}),
		quit:      make(chan struct{}),
		listeners: map[net.Listener]bool{},
		conns:     map[*conn]net.Listener{},
	}
}

// Serve takes connections from ln until Shutdown, when it returns nil, or until something
// else closes ln. It owns ln and closes it. After other errors of Accept, such as too
// many open files, it waits and retries. Several listeners may be served at once.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.addListener(ln) {
		return nil
	}
	defer s.removeListener(ln)
	var delay time.Duration
	for {
		nc, err := ln.Accept()
		if err == nil {
			delay = 0
			s.start(nc, ln)
			continue
		}
		if in, ok := ln.(*inheritedListener); ok && errors.Is(err, os.ErrDeadlineExceeded) {
			if !s.waitPaused(in) {
				return nil
			}
			continue
		}
		if s.stopped() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("milter: %w", err)
		}
		delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
		s.stats.acceptErrors.Add(1)
		if n, ok := s.acceptLog.allow(); ok {
			s.log.Error("connections from MTAs cannot be accepted", "error", err, "again_in", delay, "left_out", n)
		}
		select {
		case <-time.After(delay):
		case <-s.quit:
			return nil
		}
	}
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[ln] = true
	s.running.Add(1)
	return true
}

func (s *Server) removeListener(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
	s.running.Done()
}

// start serves nc in a goroutine of its own, or closes it if there are too many. An
// accepted connection is served even during a shutdown: its MTA has already sent data,
// and would take its default action without an answer.
func (s *Server) start(nc net.Conn, ln net.Listener) {
	s.mu.Lock()
	limit := s.cfg.MaxConnections
	full := limit > 0 && len(s.conns) >= limit && !s.makeRoom()
	var c *conn
	if !full {
		c = s.newConn(nc)
		s.conns[c] = ln
		s.running.Add(1) // Serve runs, so that the count is not zero
		if s.stopped() {
			c.drain(time.Now().Add(s.cfg.Drain.Quiet))
		}
	}
	s.mu.Unlock()
	if full {
		s.stats.refused.Add(1)
		if n, ok := s.fullLog.allow(); ok {
			s.log.Warn("too many connections from MTAs: one was closed, and its mail passes unjudged unless the MTA defers it", "mta", nc.RemoteAddr().String(), "limit", limit, "left_out", n)
		}
		nc.Close()
		return
	}
	s.stats.connections.Add(1)
	go s.run(c)
}

func (s *Server) run(c *conn) {
	defer s.running.Done()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
	c.serve()
}

func (s *Server) open() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	cs := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		cs = append(cs, c)
	}
	return cs
}

func (s *Server) rcptReplies() bool { return s.cfg.RcptReplies != nil && s.cfg.RcptReplies() }

// trouble gets the reply of Config.Trouble. It runs while a panic is being recovered, so
// a panic here would end the process.
func (s *Server) trouble() (r Reply) {
	if s.cfg.Trouble == nil {
		return Reply{}
	}
	defer func() {
		if v := recover(); v != nil {
			s.stats.panics.Add(1)
			s.log.Error("a fault of dmarcd was caught while it looked for the answer to trouble", "panic", fmt.Sprintf("%.500v", v))
			r = Reply{}
		}
	}()
	return s.cfg.Trouble()
}

// borrow lends a buffer of at least size bytes. Those of the usual size are
// kept for the next message.
func (s *Server) borrow(size int) *[]byte {
	if size <= largeBuffer {
		if b, ok := s.large.Get().(*[]byte); ok {
			return b
		}
		size = largeBuffer
	}
	b := make([]byte, size)
	return &b
}

func (s *Server) giveBack(b *[]byte) {
	if len(*b) == largeBuffer {
		s.large.Put(b)
	}
}
