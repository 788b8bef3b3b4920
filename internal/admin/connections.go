package admin

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// maxConnections is how many connections are open at a time. Those that say nothing are
// the first to go: however many there are, a client that asks is answered.
const maxConnections = 128

// connections are the open ones. It is kept by the server's ConnState.
type connections struct {
	mu   sync.Mutex
	open int
	idle *list.List // of net.Conn: without a request, since the longest time first
	at   map[net.Conn]*list.Element
}

func newConnections() *connections {
	return &connections{idle: list.New(), at: map[net.Conn]*list.Element{}}
}

// note is http.Server.ConnState's.
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

// makeRoom closes the connection that has said nothing for the longest time or, where all
// others ask, the new one. The caller holds the lock.
func (c *connections) makeRoom(fresh net.Conn) {
	oldest := fresh
	if e := c.idle.Front(); e != nil {
		oldest = e.Value.(net.Conn)
		c.idle.Remove(e)
		delete(c.at, oldest)
	}
	_ = oldest.Close() // its reader ends, and notes that it is closed
}
