package milter_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// discardConn is a memConn that forgets what is answered.
type discardConn struct{ *memConn }

func (discardConn) Write(b []byte) (int, error) { return len(b), nil }

// TestNoAllocationPerPacket: a message of many fields and chunks costs no more
// allocations than one of few.
func TestNoAllocationPerPacket(t *testing.T) {
	ln := newFakeListener()
	startOn(t, ln, func(c *milter.Config) {
		c.NewSession = func(context.Context) milter.Session { return idleSession{} }
	}, nil)
	session := func(fields, chunks int) []byte {
		c := &memConn{closed: make(chan struct{})}
		m := miltertest.New(c)
		m.Put('O', []byte{0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff})
		m.Put('C', miltertest.Str("h"), []byte{'U'})
		m.PutStrings('M', "<a@b>")
		m.PutStrings('R', "<c@d>")
		for i := range fields {
			m.PutStrings('L', fmt.Sprint("X-Own-", i%5), " plain")
			m.PutStrings('L', "Received", " folded\n\tvalue")
		}
		m.Put('N')
		for range chunks {
			m.Put('B', bytes.Repeat([]byte("x"), 20_000))
		}
		m.Macros('E', "i", "4F00")
		m.Put('E')
		m.Put('Q')
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		return c.out.Bytes()
	}
	cost := func(in []byte) float64 {
		return testing.AllocsPerRun(20, func() {
			c := &memConn{in: in, piece: 8192, closed: make(chan struct{})}
			ln.ch <- discardConn{c}
			<-c.closed
		})
	}
	few, many := cost(session(5, 1)), cost(session(2000, 50))
	if many > few+3 {
		t.Errorf("%v allocations for 4,000 fields and 50 chunks, %v for 10 and 1", many, few)
	}
}

// TestIdleConnectionsAreSmall: what a large message needed is given back when
// it is over.
func TestIdleConnectionsAreSmall(t *testing.T) {
	const connections = 100
	r := start(t, func(c *milter.Config) {
		c.NewSession = func(context.Context) milter.Session { return idleSession{} }
	}, nil)
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what a pool held goes with the second
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	msg := note("x")
	msg.Raw = []byte("X:" + strings.Repeat("x\r\n ", 20_000) + "x\r\n\r\n" + strings.Repeat("y", 100_000))
	conns := make([]net.Conn, connections)
	for i := range conns {
		// The fake MTA's buffers are released, its connection is kept.
		m, err := miltertest.Open("tcp", r.addr, miltertest.Postfix())
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, m, msg)
		conns[i] = m.Conn
		defer m.Conn.Close()
	}
	if each := (heap() - before) / connections; each > 32<<10 {
		t.Errorf("%d bytes for each idle connection", each)
	}
	runtime.KeepAlive(conns)
}

// TestOwnNamesAreBounded: an endless number of field names is not remembered.
func TestOwnNamesAreBounded(t *testing.T) {
	var got []string
	r := start(t, nil, func(s *recorder) {
		s.onHeader = func(name string, _ []byte) { got = append(got, name) }
	})
	var raw, want strings.Builder
	for i := range 300 {
		name := fmt.Sprintf("X-%d-%s", i, strings.Repeat("y", i))
		raw.WriteString(name + ": v\r\n")
		want.WriteString(name + "\n")
	}
	m := r.open()
	for range 2 {
		got = nil
		mustSend(t, m, &miltertest.Message{From: "<>", Rcpts: []string{"<b@c>"}, Raw: []byte(raw.String() + "\r\n")})
		if strings.Join(got, "\n")+"\n" != want.String() {
			t.Error("names differ")
		}
	}
}
