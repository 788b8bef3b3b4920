package admin

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// maxConnections bounds the open connections. Idle ones are closed first, so that a client
// that asks is always answered.
const maxConnections = 128

// connections are the open ones. The server's ConnState maintains it.
type connections struct {
	mu   sync.Mutex
	open int
	idle *list.List // of net.Conn: without a request, longest idle first
	at   map[net.Conn]*list.Element
}

func newConnections() *connections {
	return &connections{idle: list.New(), at: map[net.Conn]*list.Element{}}
}

// note implements http.Server.ConnState.
func (c *connections) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.at[conn]; ok {
		c.idle.Remove(e)
		delete(c.at, conn)
	}
	switch state {
	case http.StateNew:
		c.open++
		if c.open > maxConnections {
			c.makeRoom(conn)
		}
		c.at[conn] = c.idle.PushBack(conn)
	case http.StateIdle:
		c.at[conn] = c.idle.PushBack(conn)
	case http.StateClosed, http.StateHijacked:
		c.open--
	}
}

// makeRoom closes the longest idle connection or, if all others are in use, the new one. The
// caller holds the lock.
func (c *connections) makeRoom(fresh net.Conn) {
	oldest := fresh
	if e := c.idle.Front(); e != nil {
		oldest = e.Value.(net.Conn)
		c.idle.Remove(e)
		delete(c.at, oldest)
	}
	_ = oldest.Close() // its reader ends and records that it is closed
}
