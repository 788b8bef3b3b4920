package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// quick shortens what leadership waits for.
func quick(s *Store) {
	s.timing.lead = leadTiming{poll: 50 * time.Millisecond, probe: 50 * time.Millisecond, answer: 2 * time.Second, grace: 300 * time.Millisecond}
}

// leader is a daemon that wants to lead.
type leader struct {
	s       *Store
	epoch   atomic.Int64 // while it leads; 0 otherwise
	stopped chan error
	stop    context.CancelFunc
}

func startLeader(t *testing.T, s *Store) *leader {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &leader{s: s, stop: stop, stopped: make(chan error, 1)}
	go func() {
		l.stopped <- s.Lead(ctx, "test", func(ctx context.Context, epoch int64) error {
			l.epoch.Store(epoch)
			<-ctx.Done()
			l.epoch.Store(0)
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-l.stopped:
		case <-time.After(20 * time.Second):
			t.Error("does not stop leading")
		}
		l.stopped <- nil
	})
	return l
}

func (l *leader) leads() error {
	if l.epoch.Load() == 0 {
		return errors.New("does not lead")
	}
	return nil
}

// named has the server know the database's connections by the test's name for them.
func (db database) named(t *testing.T, name string) database {
	t.Helper()
	u := must(url.Parse(db.url))
	q := u.Query()
	q.Set("application_name", name+" of "+q.Get("search_path"))
	u.RawQuery = q.Encode()
	db.url = u.String()
	return db
}

// refused waits until the daemon has asked for the lock that often. All attempts but the
// last were refused, and the last one too if another daemon leads all the time.
func refused(t *testing.T, db database, times int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	asked := map[time.Time]bool{}
	eventually(t, 20*time.Second, func() error {
		var at time.Time
		err := conn.QueryRow(t.Context(), `SELECT query_start FROM pg_stat_activity
			WHERE application_name = current_setting('application_name') AND state = 'idle' AND query LIKE 'SELECT pg_try_advisory_lock%'`).Scan(&at)
		if err != nil {
			return fmt.Errorf("the lock was not asked for: %w", err)
		}
		if asked[at] = true; len(asked) < times {
			return fmt.Errorf("the lock was asked for %d times", len(asked))
		}
		return nil
	})
}

// fenced tries a write that only the leader of the epoch may do.
func fenced(t *testing.T, s *Store, epoch int64) error {
	t.Helper()
	return s.write(t.Context(), "test", func(ctx context.Context, t *tx) error { return t.fence(ctx, epoch) })
}

func TestLead(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t, quick)
		if err := fenced(t, s, 0); !errors.Is(err, ErrFenced) {
			t.Errorf("before anybody led: %v", err)
		}
		var epochs []int64
		mine := errors.New("mine")
		for range 2 {
			err := s.Lead(t.Context(), "test", func(ctx context.Context, epoch int64) error {
				epochs = append(epochs, epoch)
				if err := fenced(t, s, epoch); err != nil {
					t.Error(err)
				}
				if l, err := s.Leader(t.Context()); err != nil || l.Epoch != epoch || l.Ended || l.Holder == "" {
					t.Errorf("%+v, %v", l, err)
				}
				return mine
			})
			if !errors.Is(err, mine) {
				t.Error(err)
			}
		}
		if len(epochs) != 2 || epochs[1] <= epochs[0] {
			t.Errorf("epochs %v", epochs)
		}
		if l, err := s.Leader(t.Context()); err != nil || !l.Ended {
			t.Errorf("%+v, %v", l, err)
		}
		for _, epoch := range epochs {
			if err := fenced(t, s, epoch); !errors.Is(err, ErrFenced) {
				t.Errorf("epoch %d: %v", epoch, err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		err := s.Lead(ctx, "test", func(ctx context.Context, _ int64) error { stop(); <-ctx.Done(); return ctx.Err() })
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Several tasks share one term, whichever comes and goes; leadership is given up with
// the last of them.
func TestTasksShareATerm(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t, quick)
		type started struct {
			epoch int64
			tasks []string
		}
		begin := func(name string, result error) (at chan started, end func(), done chan error) {
			at, done = make(chan started, 1), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				done <- s.Lead(ctx, name, func(ctx context.Context, epoch int64) error {
					now, tasks := s.Leading()
					at <- started{now, tasks}
					if now != epoch {
						t.Errorf("epoch %d, told as %d", epoch, now)
					}
					if result != nil {
						return result
					}
					<-ctx.Done()
					return context.Cause(ctx)
				})
			}()
			return at, cancel, done
		}
		first, endFirst, firstDone := begin("reports", nil)
		one := <-first
		second, endSecond, secondDone := begin("retention", nil)
		two := <-second
		if one.epoch != two.epoch || !slices.Equal(two.tasks, []string{"reports", "retention"}) {
			t.Errorf("%+v and %+v", one, two)
		}
		failing := errors.New("failing")
		third, _, thirdDone := begin("poll", failing)
		if three := <-third; three.epoch != one.epoch {
			t.Errorf("%+v", three)
		}
		if err := <-thirdDone; !errors.Is(err, failing) {
			t.Error(err)
		}
		endFirst()
		if err := <-firstDone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if epoch, tasks := s.Leading(); epoch != one.epoch || !slices.Equal(tasks, []string{"retention"}) {
			t.Errorf("epoch %d, tasks %q", epoch, tasks)
		}
		if err := fenced(t, s, one.epoch); err != nil {
			t.Errorf("the term ended with one of its tasks: %v", err)
		}
		endSecond()
		if err := <-secondDone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if l, err := s.Leader(t.Context()); err != nil || !l.Ended {
			t.Errorf("not given up: %+v, %v", l, err)
		}
		if epoch, tasks := s.Leading(); epoch != 0 || tasks != nil {
			t.Errorf("epoch %d, tasks %q", epoch, tasks)
		}
		if err := s.Lead(t.Context(), "closing", func(ctx context.Context, _ int64) error {
			s.end() // as Close does
			<-ctx.Done()
			return failing
		}); !errors.Is(err, failing) {
			t.Errorf("while the store was closed: %v", err)
		}
		if err := s.Lead(t.Context(), "late", func(context.Context, int64) error { return nil }); !errors.Is(err, ErrUnavailable) {
			t.Errorf("after it was closed: %v", err)
		}
		s = db.open(t, quick)
		again, end, done := begin("retention", nil)
		if next := <-again; next.epoch <= one.epoch {
			t.Errorf("epoch %d after %d", next.epoch, one.epoch)
		}
		end()
		<-done
	})
}

func TestLeadershipPassesOn(t *testing.T) {
	db := postgresDatabase(t)
	a, b := startLeader(t, db.open(t, quick)), (*leader)(nil)
	eventually(t, 10*time.Second, a.leads)
	second := db.named(t, "second")
	b = startLeader(t, second.open(t, quick))
	refused(t, second, 2)
	if b.leads() == nil {
		t.Fatal("two lead")
	}

	// In order.
	a.stop()
	start := time.Now()
	eventually(t, 10*time.Second, b.leads)
	t.Logf("in order: after %v", time.Since(start))

	// The server ends the leader's connection; the same one, or the other, leads next.
	c := startLeader(t, db.open(t, quick))
	epoch := b.epoch.Load()
	var both atomic.Bool
	watch, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for watch.Err() == nil {
			if b.leads() == nil && c.leads() == nil {
				both.Store(true)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	start = time.Now()
	rawChange(t, b.s, `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database()
		AND (l.classid::bigint << 32 | l.objid::bigint) = `+leaderKey)
	eventually(t, 10*time.Second, func() error {
		if now := max(b.epoch.Load(), c.epoch.Load()); now <= epoch {
			return errors.New("nobody leads anew")
		}
		return nil
	})
	t.Logf("after the connection: %v", time.Since(start))
	if both.Load() {
		t.Error("two led at once")
	}
	if err := fenced(t, b.s, epoch); !errors.Is(err, ErrFenced) {
		t.Errorf("the old epoch may write: %v", err)
	}
}

// A daemon is killed: the next one leads within a minute, by the times that are
// used in earnest.
func TestLeaderIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the real thing")
	}
	db := postgresDatabase(t)
	cmd, lines := startChild(t, db, "lead")
	if !lines.Scan() {
		t.Fatal("the other daemon does not lead")
	}
	second := db.named(t, "second")
	l := startLeader(t, second.open(t))
	refused(t, second, 1)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, time.Minute, l.leads)
	t.Logf("leads after %v", time.Since(start))
}

// A leader whose server hangs stops by itself, before another could take over.
func TestLeaderIsCutOff(t *testing.T) {
	ctl := postgresCtl(t)
	db := postgresDatabase(t)
	l := startLeader(t, db.open(t, quick, func(s *Store) { s.timing.attempt = time.Second; s.timing.lead.answer = 500 * time.Millisecond }))
	eventually(t, 10*time.Second, l.leads)
	ctl("pause")
	eventually(t, 5*time.Second, func() error {
		if l.leads() == nil {
			return errors.New("still leads")
		}
		return nil
	})
	ctl("start")
	eventually(t, 20*time.Second, l.leads)
}

// The server is configured to find out soon that the leader's host has vanished.
func TestLeaderIsWatchedByTheServer(t *testing.T) {
	db := postgresDatabase(t)
	s := db.open(t)
	conn, err := s.connectLeader(t.Context(), must(pgx.ParseConfig(db.url)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for name, want := range map[string]string{
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "20000",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), `SHOW `+name).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, want %q (%v)", name, got, want, err)
		}
	}
}
