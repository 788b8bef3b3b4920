package main

import (
	"bufio"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

// "make soak" gives these the numbers that the goals name; without it the tests
// are short.
var (
	soakKills  = flag.Int("soak.kills", 8, "how often TestKilledUnderLoad kills the daemon")
	soakSwaps  = flag.Int("soak.swaps", 5, "how often TestSwappedUnderLoad restarts the daemon")
	soakOutage = flag.Duration("soak.outage", 3*time.Second, "how long TestStoreAway keeps the store away")
	soakRate   = flag.Int("soak.rate", 200, "messages/s of TestStoreAway")
	soakTimes  = flag.Bool("soak.times", false, "hold TestStoreAway to its times: wants a machine with nothing else to do")
)

// soakStores are the stores to try: SQLite, and PostgreSQL where there is one.
func soakStores(t *testing.T) map[string]string {
	stores := map[string]string{"sqlite": "sqlite:dmarcd.db"}
	server := os.Getenv("DMARCD_TEST_POSTGRES")
	if server == "" {
		t.Log("without PostgreSQL: DMARCD_TEST_POSTGRES names none (scripts/with-postgres starts one)")
		return stores
	}
	stores["postgres"] = postgresDatabase(t, server)
	return stores
}

// TestKilledUnderLoad kills the daemon at random instants while it answers mail as
// fast as it can: every message that was answered is remembered, and none twice.
func TestKilledUnderLoad(t *testing.T) {
	for name, url := range soakStores(t) {
		t.Run(name, func(t *testing.T) {
			s := newSoakSite(t, url, "")
			for i := range *soakKills {
				s.start()
				var sending sync.WaitGroup
				for range 8 {
					sending.Go(func() { s.send(t.Context(), nil, nil) })
				}
				alive := time.After(time.Duration(rand.IntN(600)) * time.Millisecond)
				<-alive
				s.kill()
				sending.Wait()
				if i%20 == 19 {
					t.Logf("killed %d times, %d messages answered", i+1, len(s.answered))
				}
			}
			s.start()
			s.awaitLoaded(len(s.answered)) // a stop waits for the store only so long
			s.stop()
			s.counted()
		})
	}
}

// latencies are how long answers took in one phase.
type latencies struct {
	mu   sync.Mutex
	took []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, d)
}

// take gives the 99th percentile and starts anew.
func (l *latencies) take() (p99 time.Duration, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := l.took
	l.took = nil
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[(len(took)-1)*99/100], len(took)
}

// TestStoreAway stops PostgreSQL under load and starts it again: mail is answered
// as before, nothing is lost, and the store is caught up with.
func TestStoreAway(t *testing.T) {
	server, control := ownPostgres(t)
	ctl := func(word string) {
		t.Helper()
		if out, err := exec.Command(control, word).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", word, err, out)
		}
	}
	s := newSoakSite(t, postgresDatabase(t, server), "")
	s.start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pace := time.NewTicker(time.Second / time.Duration(*soakRate))
	defer pace.Stop()
	var times latencies
	var sending sync.WaitGroup
	for range 16 {
		sending.Go(func() { s.send(ctx, pace.C, times.add) })
	}
	phase := func(d time.Duration) time.Duration {
		<-time.After(d)
		p99, n := times.take()
		t.Logf("%v: %d messages, p99 %v", d, n, p99)
		return p99
	}
	phase(time.Second) // caches become warm
	before := phase(max(*soakOutage/10, 2*time.Second))
	ctl("stop")
	during := phase(*soakOutage)
	ctl("start")
	s.mu.Lock()
	due := len(s.answered)
	s.mu.Unlock()
	caughtUp := s.awaitLoaded(due)
	after, _ := times.take()
	cancel()
	sending.Wait()
	t.Logf("p99 before %v, during %v, after %v; caught up %v after the store came back", before, during, after, caughtUp)
	s.stop()
	s.counted()
	if *soakTimes && (during > before+5*time.Millisecond || after > before+5*time.Millisecond || caughtUp > 2*time.Minute) {
		t.Error("slower than it may be")
	}
}

// awaitLoaded waits until the store has that many messages, and says how long.
func (s *soakSite) awaitLoaded(n int) time.Duration {
	s.t.Helper()
	db := s.openStore()
	began := time.Now()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		tomorrow := (memory.DayOf(time.Now()) + 2).Begin() // whole days are counted exactly
		have, err := db.Count(s.t.Context(), time.Time{}, tomorrow)
		if err != nil {
			s.t.Fatal(err)
		}
		if have >= int64(n) {
			break
		}
		if time.Since(began) > 5*time.Minute {
			s.t.Fatalf("%d of %d messages are in the store after %v", have, n, time.Since(began))
		}
	}
	return time.Since(began)
}

// postgresDatabase makes a database on a server, for one test, and gives its URL.
func postgresDatabase(t *testing.T, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", server) // the driver that package store brings
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := fmt.Sprintf("dmarcd_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// ownPostgres starts a server that nobody else uses, and gives its URL and the
// script that stops and starts it.
func ownPostgres(t *testing.T) (server, control string) {
	t.Helper()
	if os.Getenv("DMARCD_TEST_POSTGRES_CTL") == "" {
		t.Skip("without a PostgreSQL that can be stopped: run by scripts/with-postgres, which needs root on Debian")
	}
	cmd := exec.Command("../../scripts/with-postgres", "sh", "-c",
		`echo "$DMARCD_TEST_POSTGRES"; echo "$DMARCD_TEST_POSTGRES_CTL"; exec cat`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		_ = cmd.Wait() // its status is that of cat
	})
	lines := bufio.NewScanner(out)
	for _, into := range []*string{&server, &control} {
		if !lines.Scan() {
			t.Fatalf("scripts/with-postgres told nothing: %v", lines.Err())
		}
		*into = lines.Text()
	}
	return server, control
}
