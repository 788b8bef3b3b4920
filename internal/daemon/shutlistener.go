package daemon

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"dmarcd/internal/text"
)

// shutListener is a listener that is open only while the console has a user. Before that nothing listens
// on its address, so that nobody outside finds a console without an owner.
type shutListener struct {
	address string
	anyUser func(context.Context) (bool, error)
	log     *slog.Logger
	done    chan struct{}
	close   sync.Once

	mu   sync.Mutex
	open net.Listener // nil while it is shut
	why  string       // it is shut
}

// Intervals of the check for users.
const (
	lookForUsers = 2 * time.Second
	askUsers     = 5 * time.Second
)

func newShutListener(address string, anyUser func(context.Context) (bool, error), log *slog.Logger) *shutListener {
	return &shutListener{address: address, anyUser: anyUser, log: log, done: make(chan struct{}), why: whyNoUser}
}

// Reasons for being shut.
const (
	whyNoUser = "the console has no user yet; add one by \"dmarcd user add NAME --role admin\""
	whyStore  = "the store cannot be asked for users"
)

// shutBecause returns why it is shut; "" if it is open.
func (l *shutListener) shutBecause() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// watch opens and shuts it until ctx ends.
func (l *shutListener) watch(ctx context.Context) {
	told := ""
	tick := time.NewTicker(lookForUsers)
	defer tick.Stop()
	for {
		if why := l.look(ctx); why != told && ctx.Err() == nil {
			if told = why; why != "" {
				l.log.Warn("the console cannot be reached; mail is filtered", "address", l.address, "why", why)
			} else {
				l.log.Info("the console can be reached", "address", l.address)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look opens or shuts it, and returns why it is shut.
func (l *shutListener) look(ctx context.Context) string {
	asking, cancel := context.WithTimeout(ctx, askUsers)
	defer cancel()
	some, err := l.anyUser(asking)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.why = whyStore
	case !some:
		l.why = whyNoUser
	case l.open != nil:
		return ""
	default:
		opened, err := net.Listen("tcp", l.address)
		if err != nil {
			l.why = text.Error(err)
			return l.why
		}
		l.open, l.why = opened, ""
		return ""
	}
	if l.open != nil {
		_ = l.open.Close() // those who are connected stay
		l.open = nil
	}
	return l.why
}

func (l *shutListener) current() net.Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Accept waits for a connection, and for the listener to be open.
func (l *shutListener) Accept() (net.Conn, error) {
	for {
		if open := l.current(); open != nil {
			conn, err := open.Accept()
			if err == nil || open == l.current() {
				return conn, err
			}
		}
		select {
		case <-l.done:
			return nil, net.ErrClosed
		case <-time.After(lookForUsers / 4):
		}
	}
}

// Close ends Accept.
func (l *shutListener) Close() error {
	l.close.Do(func() { close(l.done) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		return nil
	}
	return l.open.Close()
}

// Addr returns where it listens, or would listen.
func (l *shutListener) Addr() net.Addr {
	if open := l.current(); open != nil {
		return open.Addr()
	}
	return shutAddr(l.address)
}

type shutAddr string

func (shutAddr) Network() string  { return "tcp" }
func (a shutAddr) String() string { return string(a) }
