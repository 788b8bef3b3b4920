package mailer

import (
	"fmt"
	"io"
	"net"
	"time"
)

// maxHeard bounds what is read from a server in one session: replies take a hundredth of
// it, even for a hundred recipients.
const maxHeard = 1 << 20

// conn is a connection that bounds the time of each read and write.
//
// go-smtp sets one deadline for a command and its reply, and none while it writes the
// mail. Its deadlines therefore apply to reading only, and each write gets a new one.
type conn struct {
	net.Conn
	step  time.Duration // for one write
	heard int
}

// SetDeadline sets the deadline for a reply.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: each write has its own.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

func (c *conn) Read(p []byte) (int, error) {
	if c.heard >= maxHeard {
		return 0, fmt.Errorf("%w: over %d octets of replies", ErrProtocol, maxHeard)
	}
	n, err := c.Conn.Read(p)
	c.heard += n
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.step)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// greeted is a connection under TLS. No server sends a greeting there, but go-smtp expects
// one on every connection.
type greeted struct {
	net.Conn
	greeting io.Reader
}

func (g *greeted) Read(p []byte) (int, error) {
	if n, _ := g.greeting.Read(p); n > 0 {
		return n, nil
	}
	return g.Conn.Read(p)
}
