package milter_test

import (
	"context"
	"net"
	"testing"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// patient keeps connections for as long as the test takes.
func patient(c *milter.Config) {
	c.Drain = milter.Drain{Idle: waitLimit, Quiet: 50 * time.Millisecond, Accept: waitLimit, Leave: waitLimit}
}

// shutdown begins to shut r down.
func shutdown(r *rig) <-chan error {
	down := make(chan error, 1)
	go func() { down <- r.srv.Shutdown(context.Background()) }()
	return down
}

// running checks that the shutdown waits.
func running(t *testing.T, down <-chan error) {
	t.Helper()
	select {
	case err := <-down:
		t.Fatalf("Shutdown returned %v", err)
	default:
	}
}

// TestDrainKeepsIdleConnections: an idle connection is kept for one more message, and
// meanwhile new ones are taken, for nobody else would.
func TestDrainKeepsIdleConnections(t *testing.T) {
	r := start(t, patient, nil)
	idle, spoken := r.open(), r.open()
	mustGreet(t, idle, miltertest.Peer{})
	mustSend(t, spoken, note("before"))
	down := shutdown(r)
	newcomer := r.open()
	barrier(t, newcomer)
	for _, m := range []*miltertest.MTA{spoken, idle} {
		running(t, down)
		if res := mustSend(t, m, note("one more")); !res.Accepts() {
			t.Errorf("message: %+v", res)
		}
	}
	for _, m := range []*miltertest.MTA{spoken, idle, newcomer} {
		if !m.Closed() {
			t.Error("a connection stayed open")
		}
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("still listening")
	}
}

// TestDrainGoesOnWithManyMessages: a connection on which one message follows another ends
// after the last.
func TestDrainGoesOnWithManyMessages(t *testing.T) {
	r := start(t, func(c *milter.Config) { patient(c); c.Drain.Quiet = time.Second }, nil)
	m := r.open()
	barrier(t, m)
	down := shutdown(r)
	for range 100 {
		mustSend(t, m, note("x"))
	}
	running(t, down)
	if err := m.Quit(); err != nil {
		t.Error(err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// TestDrainServesWhatItAccepted: a connection that Accept returned when the shutdown had
// begun is not reset.
func TestDrainServesWhatItAccepted(t *testing.T) {
	ln := newFakeListener()
	r := startOn(t, ln, patient, nil)
	first := ln.dial(t, nil)
	if err := first.Negotiate(miltertest.Postfix()); err != nil {
		t.Fatal(err)
	}
	late := &lateListener{fakeListener: newFakeListener(), accepting: make(chan struct{}), give: make(chan struct{})}
	m := late.dial(t, nil)
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(late) }()
	wait(t, "Accept", late.accepting)
	if err := first.Quit(); err != nil {
		t.Fatal(err)
	}
	down := shutdown(r)
	<-late.closed
	close(late.give)
	if err := m.Negotiate(miltertest.Postfix()); err != nil {
		t.Fatal(err)
	}
	if res := mustSend(t, m, note("x")); !res.Accepts() {
		t.Errorf("message: %+v", res)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// lateListener returns a connection that it had taken once it is closed.
type lateListener struct {
	*fakeListener
	accepting, give chan struct{}
	done            bool
}

func (l *lateListener) Accept() (net.Conn, error) {
	if l.done {
		return l.fakeListener.Accept()
	}
	l.done = true
	close(l.accepting)
	<-l.give
	return (<-l.ch).(net.Conn), nil
}
