package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

func TestConfigErrors(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no kind":          {URL: "dmarcd.db"},
		"empty":            {},
		"no file":          {URL: "sqlite:"},
		"parameters":       {URL: "sqlite:x.db?mode=memory"},
		"bad URL":          {URL: "postgres://u:secret@host:notaport/db"},
		"no password file": {URL: "postgres://u@127.0.0.1:1/db", PasswordFile: "none"},
		"another kind":     {URL: "mysql://u:secret@host/db"},
	} {
		cfg.Dir = t.TempDir()
		_, err := Open(t.Context(), cfg)
		if !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unusable checks that a store can be opened and says that it is not to be had.
func unusable(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := s.Load(ctx, next("a", memory.Position{}, newTraffic(1, 1).batch(10, epoch0, time.Hour)))
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRecord) || errors.Is(err, ErrSchema) {
		t.Errorf("load: %v", err)
	}
}

func openAnyway(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestNobodyThereAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := openAnyway(t, Config{URL: "postgres://dmarcd@" + address + "/dmarcd?sslmode=disable"})
	unusable(t, s)
	if err := s.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

// A server that accepts and never answers.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := openAnyway(t, Config{URL: "postgres://dmarcd@" + l.Addr().String() + "/dmarcd?sslmode=disable&connect_timeout=1"})
	unusable(t, s)
	// Nor does a start wait longer than it wants to.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	patient, err := Open(ctx, Config{URL: "postgres://dmarcd@" + l.Addr().String() + "/dmarcd?sslmode=disable"})
	if err != nil || time.Since(start) > 3*time.Second {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	if err := patient.Close(); err != nil { // which ends the attempt
		t.Error(err)
	}
}

func TestPasswordIsReadAtEachConnection(t *testing.T) {
	db := postgresDatabase(t)
	file := filepath.Join(db.dir, "password")
	if err := os.WriteFile(file, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := db.config(t)
	cfg.PasswordFile = "password"
	s := openAnyway(t, cfg)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.writer.SetMaxIdleConns(0)
	if err := s.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without the file: %v", err)
	}
}

// A migration that takes longer than anybody waits is finished all the same.
func TestLongMigration(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.prepare(t)
		count := len(must(migrations(s.steps)))
		slow := map[string]string{
			"sqlite":   `CREATE TABLE slow AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 400000) SELECT count(*) AS n FROM c`,
			"postgres": `CREATE TABLE slow AS SELECT 1 AS n FROM pg_sleep(1)`,
		}
		s.steps = upTo(t, s, count, slow[db.kind])
		waits := 0
		eventually(t, 30*time.Second, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := s.Ready(ctx)
			if err != nil && !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
			waits++
			return err
		})
		if waits < 2 {
			t.Errorf("it took %d waits only", waits)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSQLiteFileLater(t *testing.T) {
	dir := t.TempDir()
	s := openAnyway(t, Config{URL: "sqlite:sub/test.db", Dir: dir})
	unusable(t, s)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	load(t, s, "a", newTraffic(1, 1).batch(10, epoch0, time.Hour))
}

func TestSQLiteDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test.db"), []byte(sqliteMagic+strings.Repeat("and then no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openAnyway(t, Config{URL: "sqlite:test.db", Dir: dir})
	unusable(t, s)
	if err := s.Ping(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestSQLiteFull(t *testing.T) {
	db := sqliteDatabase(t)
	s, d := db.open(t), newTraffic(1, 100)
	load(t, s, "a", d.batch(500, epoch0, time.Hour))
	before := counted(t, s)
	rawChange(t, s, `PRAGMA max_page_count = 300`)
	big := next("a", memory.Position{Segment: 1, Offset: 1000}, d.batch(5000, epoch0, time.Hour))
	if err := s.Load(t.Context(), big); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRecord) {
		t.Fatalf("%v", err)
	}
	if n := len(all(t, s)); n != 500 || len(before) != len(counted(t, s)) {
		t.Errorf("%d records", n)
	}
	rawChange(t, s, `PRAGMA max_page_count = 1000000`)
	if err := s.Load(t.Context(), big); err != nil {
		t.Fatal(err)
	}
}

// A disk that is full in earnest: a file system of a megabyte.
func TestSQLiteDiskFull(t *testing.T) {
	dir := smallDisk(t, "size=1m")
	s, d := database{kind: "sqlite", url: "sqlite:test.db", dir: dir}.open(t), newTraffic(1, 10)
	at, taken := memory.Position{}, 0
	var err error
	for range 100 {
		batch := next("a", at, d.batch(100, epoch0, time.Hour))
		if err = s.Load(t.Context(), batch); err != nil {
			break
		}
		at, taken = batch.To, taken+100
	}
	if !errors.Is(err, ErrUnavailable) || taken == 0 {
		t.Fatalf("after %d: %v", taken, err)
	}
	if p, err := s.Position(t.Context(), "a"); err != nil || p != at {
		t.Errorf("position %v, want %v: %v", p, at, err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=50m"); err != nil {
		t.Fatal(err)
	}
	load(t, s, "a", d.batch(100, epoch0, time.Hour))
	if n := len(all(t, s)); n != taken+100 {
		t.Errorf("%d records, want %d", n, taken+100)
	}
}

func smallDisk(t *testing.T, options string) string {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skip("no right to mount a small disk:", err)
	}
	t.Cleanup(func() { // after the store was closed
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestSQLiteReadOnly(t *testing.T) {
	dir := smallDisk(t, "size=50m")
	db := database{kind: "sqlite", url: "sqlite:test.db", dir: dir}
	s := db.open(t)
	load(t, s, "a", newTraffic(1, 1).batch(10, epoch0, time.Hour))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s = openAnyway(t, db.config(t))
	unusable(t, s)
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	load(t, s, "a", newTraffic(1, 1).batch(10, epoch0, time.Hour))
}

func TestSQLiteLocked(t *testing.T) {
	db := sqliteDatabase(t)
	s := db.open(t, func(s *Store) { s.timing.attempt = 300 * time.Millisecond })
	other := db.open(t)
	conn := must(other.writer.Conn(t.Context()))
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	unusable(t, s)
	if err := s.Ping(t.Context()); err != nil {
		t.Error("reading:", err)
	}
	if _, err := conn.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	load(t, s, "a", newTraffic(1, 1).batch(10, epoch0, time.Hour))
}

func TestPostgresOutage(t *testing.T) {
	ctl := postgresCtl(t)
	db := postgresDatabase(t)
	s, d := db.open(t), newTraffic(1, 10)
	load(t, s, "a", d.batch(100, epoch0, time.Hour))
	at := memory.Position{Segment: 1, Offset: 1000}
	for _, verb := range []string{"stop", "kill"} {
		batch := next("a", at, d.batch(100, epoch0, time.Hour))
		ctl(verb)
		if err := s.Load(t.Context(), batch); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", verb, err)
		}
		if _, err := s.Find(t.Context(), "x", 1); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", verb, err)
		}
		later := openAnyway(t, db.config(t))
		ctl("start")
		eventually(t, 20*time.Second, func() error { return s.Load(t.Context(), batch) })
		eventually(t, 20*time.Second, func() error { return later.Ping(t.Context()) })
		at = batch.To
	}
	if n := len(all(t, s)); n != 300 {
		t.Errorf("%d records", n)
	}
}

// A server that hangs: nothing waits for it longer than the attempt may take.
func TestPostgresHangs(t *testing.T) {
	ctl := postgresCtl(t)
	s := postgresDatabase(t).open(t, func(s *Store) { s.timing.attempt = time.Second })
	batch := next("a", memory.Position{}, newTraffic(1, 10).batch(100, epoch0, time.Hour))
	ctl("pause")
	start := time.Now()
	if err := s.Load(t.Context(), batch); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("waited %v", took)
	}
	ctl("start")
	eventually(t, 20*time.Second, func() error { return s.Load(t.Context(), batch) })
}

func eventually(t *testing.T, limit time.Duration, do func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = do(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// childEnv makes this test binary another daemon: it loads until it is killed, or
// leads. The value is what to do; the others are the database.
const childEnv, childURLEnv, childDirEnv = "DMARCD_STORE_TEST_CHILD", "DMARCD_STORE_TEST_URL", "DMARCD_STORE_TEST_DIR"

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		child(role)
	}
	os.Exit(m.Run())
}

func child(role string) {
	ctx := context.Background()
	s := must(Open(ctx, Config{URL: os.Getenv(childURLEnv), Dir: os.Getenv(childDirEnv)}))
	switch role {
	case "load":
		d := newTraffic(9, 20)
		for at := must(s.Position(ctx, "a")); ; {
			batch := next("a", at, d.batch(200, epoch0, time.Hour))
			if err := s.Load(ctx, batch); err != nil {
				panic(err)
			}
			at = batch.To
			fmt.Println(at.Offset)
		}
	case "lead":
		panic(s.Lead(ctx, "test", func(ctx context.Context, epoch int64) error {
			fmt.Println(epoch)
			<-ctx.Done()
			return ctx.Err()
		}))
	}
}

// startChild starts another daemon and gives what it prints, line by line.
func startChild(t *testing.T, db database, role string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(must(os.Executable()))
	cmd.Env = append(os.Environ(), childEnv+"="+role, childURLEnv+"="+db.url, childDirEnv+"="+db.dir)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// A daemon that is killed amid loading leaves whole batches.
func TestCrash(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		for round := range 3 {
			cmd, lines := startChild(t, db, "load")
			for range 3 + round {
				if !lines.Scan() {
					t.Fatal("the other daemon has ended")
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			s := db.open(t)
			p, err := s.Position(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			records, sum := all(t, s), counted(t, s).messages()
			if want := p.Offset / 1000 * 200; want == 0 || int64(len(records)) != want || sum != want {
				t.Errorf("position %v, %d records, %d counted", p, len(records), sum)
			}
			checkBooks(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
