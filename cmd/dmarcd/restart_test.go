package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/milter/miltertest"
)

// newActivatedSite is a site whose socket is open before the daemon and after it, as one
// of systemd's is.
func newActivatedSite(t *testing.T) *soakSite {
	t.Helper()
	s := newSoakSite(t, "sqlite:dmarcd.db", "")
	s.reconfigure("unix:"+s.socket, "systemd:milter")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // its process ends
	if s.passed, err = ln.File(); err != nil {
		t.Fatal(err)
	}
	return s
}

// reconfigure changes a piece of dmarcd.yaml.
func (s *soakSite) reconfigure(old, text string) {
	s.t.Helper()
	config, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	write(s.t, s.config, strings.Replace(string(config), old, text, 1))
}

// session sends some messages over a connection of its own and says goodbye. Before the
// first it waits for ready.
func (s *soakSite) session(messages int, ready func()) error {
	mta, err := miltertest.Dial("unix", s.socket)
	if err != nil {
		return err
	}
	defer mta.Conn.Close()
	mta.Timeout = 25 * time.Second
	if err := mta.Negotiate(miltertest.Postfix()); err != nil {
		return err
	}
	if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	for range messages {
		if err := s.sendOne(mta); err != nil {
			return err
		}
	}
	return mta.Quit()
}

// sendOne sends a forgery that the daemon holds to be one.
func (s *soakSite) sendOne(mta *miltertest.MTA) error {
	id := fmt.Sprintf("Q%08d", s.next.Add(1))
	res, err := mta.Send(&miltertest.Message{
		From: "<a@evil.example>", Rcpts: []string{"<user@example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", id}},
		Raw: []byte("From: a@good.example\r\nMessage-ID: <" + id + "@evil.example>\r\n\r\nbody\r\n"),
	})
	if err != nil {
		return fmt.Errorf("message %s: %w", id, err)
	}
	if res.Code != 550 {
		return fmt.Errorf("message %s, which is forged, was answered %+v", id, res.Answer)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = append(s.answered, id)
	return nil
}

// TestSwappedUnderLoad restarts the daemon again and again on a socket that outlives it,
// while sessions come as fast as they are served: none is reset, every message is judged
// and remembered.
func TestSwappedUnderLoad(t *testing.T) {
	s := newActivatedSite(t)
	s.start()
	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	for i := range 8 {
		sending.Go(func() {
			for ctx.Err() == nil {
				if err := s.session(1+i%4, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var longest time.Duration
	for range *soakSwaps {
		already := s.next.Load()
		for s.next.Load() < already+100 && !t.Failed() {
			<-time.After(time.Millisecond)
		}
		began := time.Now()
		s.stop()
		s.start()
		longest = max(longest, time.Since(began))
	}
	cancel()
	sending.Wait()
	s.stop()
	s.counted()
	t.Logf("%d restarts, the longest in %v", *soakSwaps, longest)
}

// TestStopKeepsIdleSessions stops the daemon while sessions wait: each has one more
// message judged.
func TestStopKeepsIdleSessions(t *testing.T) {
	const sessions = 20
	for name, site := range map[string]func(*testing.T) *soakSite{
		"socket of systemd": newActivatedSite,
		"socket of its own": func(t *testing.T) *soakSite { return newSoakSite(t, "sqlite:dmarcd.db", "") },
	} {
		t.Run(name, func(t *testing.T) {
			s := site(t)
			s.reconfigure("level: warn", "level: info")
			s.start()
			stopped := make(chan struct{})
			var waiting, sending sync.WaitGroup
			waiting.Add(sessions)
			for range sessions {
				sending.Go(func() {
					if err := s.session(1, func() { waiting.Done(); <-stopped }); err != nil {
						t.Error(err)
					}
				})
			}
			waiting.Wait()
			if err := s.daemon.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.awaitLog("stopping")
			close(stopped)
			sending.Wait()
			if err := s.daemon.Wait(); err != nil {
				t.Fatalf("the daemon ended with %v", err)
			}
			s.counted()
		})
	}
}

// TestStopWithOpenTransactions stops the daemon while messages are under way that never
// end: it ends within the drain time.
func TestStopWithOpenTransactions(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the whole drain time")
	}
	t.Parallel()
	const drainTime = 30 * time.Second
	s := newSoakSite(t, "sqlite:dmarcd.db", "")
	s.start()
	var closed atomic.Int32
	var waiting sync.WaitGroup
	for range 100 {
		mta, err := miltertest.Open("unix", s.socket, miltertest.Postfix())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
			t.Fatal(err)
		}
		mta.PutStrings(miltertest.CmdMail, "<a@good.example>")
		mta.PutStrings(miltertest.CmdRcpt, "<user@example.org>")
		mta.PutStrings(miltertest.CmdHeader, "From", " a@good.example")
		if err := mta.Flush(); err != nil {
			t.Fatal(err)
		}
		mta.Timeout = 2 * drainTime
		waiting.Go(func() {
			if mta.Closed() {
				closed.Add(1)
			}
		})
	}
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > drainTime {
		t.Errorf("ended after %v", took)
	}
	waiting.Wait()
	if n := closed.Load(); n != 100 {
		t.Errorf("%d of 100 connections were closed", n)
	}
}
