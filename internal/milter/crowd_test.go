package milter_test

import (
	"testing"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// begin begins a message, and has it carried out up to the end of its header.
func begin(t *testing.T, m *miltertest.MTA) {
	t.Helper()
	mustGreet(t, m, miltertest.Peer{})
	m.PutStrings(miltertest.CmdMail, "<a@example.net>")
	m.PutStrings(miltertest.CmdRcpt, "<b@example.org>")
	m.PutStrings(miltertest.CmdHeader, "From", " a@example.net")
	m.Put(miltertest.CmdEOH)
	m.Put(miltertest.CmdBody, []byte("x"))
	if p, err := m.Get(); err != nil || p.Cmd != miltertest.RespContinue {
		t.Fatalf("body answered %q, %v", p.Cmd, err)
	}
}

// finish ends it.
func finish(t *testing.T, m *miltertest.MTA) {
	t.Helper()
	m.Put(miltertest.CmdEnd)
	if p, err := m.Get(); err != nil || p.Cmd != miltertest.RespAccept {
		t.Fatalf("end of message answered %q, %v", p.Cmd, err)
	}
}

// TestCrowdMakesRoom fills the server with connections on which nothing comes: silent,
// negotiated, greeted, with a message that was broken off. MTAs that come are served at
// once, and messages under way are not touched.
func TestCrowdMakesRoom(t *testing.T) {
	const limit = 4000
	r := start(t, func(c *milter.Config) { c.MaxConnections = limit }, nil)
	busy := r.open()
	begin(t, busy)
	for i := range limit + 100 {
		m, err := miltertest.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Conn.Close() })
		if i%4 == 0 {
			continue
		}
		if err := m.Negotiate(miltertest.Postfix()); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if i%4 == 2 {
			mustGreet(t, m, miltertest.Peer{})
		}
		if i%4 == 3 {
			begin(t, m)
			m.Put(miltertest.CmdAbort)
			if _, err := m.Helo("again"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 200 {
		began := time.Now()
		fresh := r.open()
		mustGreet(t, fresh, miltertest.Peer{})
		if res := mustSend(t, fresh, note("x")); !res.Accepts() {
			t.Fatalf("message: %+v", res)
		}
		if took := time.Since(began); took > time.Second {
			t.Fatalf("served after %v", took)
		}
	}
	finish(t, busy)
	if open := r.srv.Stats().Open; open > limit {
		t.Errorf("%d connections are open", open)
	}
}

// TestCrowdOfStalledMessages returns the places of messages that never end to others.
func TestCrowdOfStalledMessages(t *testing.T) {
	r := start(t, func(c *milter.Config) { c.MaxConnections, c.StallTime = 3, time.Nanosecond }, nil)
	stalled := []*miltertest.MTA{r.open(), r.open(), r.open()}
	for _, m := range stalled {
		begin(t, m)
	}
	barrier(t, r.open())
	if !stalled[0].Closed() {
		t.Error("the oldest message kept its place")
	}
	finish(t, stalled[2])
}
