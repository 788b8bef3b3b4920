package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"
)

// What a PostgreSQL for tests is given by.
const (
	postgresEnv    = "DMARCD_TEST_POSTGRES"     // its URL; the user owns the database
	postgresCtlEnv = "DMARCD_TEST_POSTGRES_CTL" // a script: stop, start, kill, pause, status
)

// database is a fresh, empty database of one kind.
type database struct {
	kind string
	url  string
	dir  string
}

// eachDialect runs test on SQLite, and on PostgreSQL where there is one.
func eachDialect(t *testing.T, test func(t *testing.T, db database)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteDatabase(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgresDatabase(t)) })
}

func sqliteDatabase(t testing.TB) database {
	return database{kind: "sqlite", url: "sqlite:test.db", dir: t.TempDir()}
}

// postgresDatabase makes a schema of its own.
func postgresDatabase(t testing.TB) database {
	t.Helper()
	base := os.Getenv(postgresEnv)
	if base == "" {
		t.Skipf("no PostgreSQL: %s is not set (scripts/with-postgres sets it)", postgresEnv)
	}
	schema := fmt.Sprintf("test_%x", rand.Uint64())
	rawExec(t, base, `CREATE SCHEMA `+schema)
	t.Cleanup(func() { rawExec(t, base, `DROP SCHEMA `+schema+` CASCADE`) })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return database{kind: "postgres", url: u.String(), dir: t.TempDir()}
}

func rawExec(t testing.TB, dsn, query string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := db.ExecContext(ctx, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// open opens a store on the database; change may alter what the test shortens.
func (db database) open(t testing.TB, change ...func(*Store)) *Store {
	t.Helper()
	s := db.prepare(t, change...)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// prepare is open, but does not connect yet.
func (db database) prepare(t testing.TB, change ...func(*Store)) *Store {
	t.Helper()
	s, err := newStore(db.config(t))
	if err != nil {
		t.Fatal(err)
	}
	s.timing.slicePause = 0
	for _, c := range change {
		c(s)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return s
}

func (db database) config(t testing.TB) Config {
	return Config{URL: db.url, Dir: db.dir, Log: slog.New(slog.NewTextHandler(testLog{t}, nil))}
}

// testLog writes to the test's log.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil { // not after its end
		l.t.Logf("%s", p)
	}
	return len(p), nil
}

// postgresCtl makes the server stop, start, …; it skips the test if nothing can.
func postgresCtl(t testing.TB) func(verb string) {
	t.Helper()
	script := os.Getenv(postgresCtlEnv)
	if script == "" {
		t.Skipf("no PostgreSQL that a test may stop: %s is not set (scripts/with-postgres sets it)", postgresCtlEnv)
	}
	do := func(verb string) {
		t.Helper()
		if out, err := exec.Command(script, verb).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", script, verb, err, out)
		}
	}
	t.Cleanup(func() { do("start") })
	return do
}

// must fails the test on an error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
