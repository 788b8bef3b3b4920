package store

import (
	"database/sql"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestForeignDatabase opens databases of other programs, which are left as they are, and
// says what to do.
func TestForeignDatabase(t *testing.T) {
	for name, script := range map[string]string{
		"a table with a name of ours":   `CREATE TABLE messages (a INTEGER)`,
		"tables with other names":       `CREATE TABLE orders (a INTEGER); CREATE TABLE items (a INTEGER)`,
		"migrations of another program": `CREATE TABLE migrations (id INTEGER, migration TEXT, batch INTEGER)`,
		"migrations that look like ours": `CREATE TABLE migrations (version INTEGER, name TEXT, applied_at BIGINT); CREATE TABLE orders (a INTEGER);
			INSERT INTO migrations (version, name) VALUES (1, 'init')`,
	} {
		t.Run(name, func(t *testing.T) {
			eachDialect(t, func(t *testing.T, db database) {
				if db.kind == "sqlite" {
					raw := must(sql.Open("sqlite", filepath.Join(db.dir, "test.db")))
					if _, err := raw.ExecContext(t.Context(), script); err != nil {
						t.Fatal(err)
					}
					if err := raw.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					rawExec(t, db.url, script)
				}
				_, err := Open(t.Context(), Config{URL: db.url, Dir: db.dir})
				advised(t, err, ErrSchema, "give dmarcd a database of its own")
				if !errors.Is(err, ErrForeign) || errors.Is(err, ErrUnavailable) {
					t.Errorf("%v", err)
				}
				advised(t, Probe(t.Context(), Config{URL: db.url, Dir: db.dir}), ErrForeign, "give dmarcd a database of its own")
			})
		})
	}
}

// TestNextStep has each error say what to do, on one line.
func TestNextStep(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.db"), []byte(strings.Repeat("no database at all ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{URL: "sqlite:x.db", Dir: dir}); !errors.Is(err, ErrForeign) {
		t.Errorf("%v", err)
	} else {
		advised(t, err, ErrSchema, "move it away")
	}

	base := os.Getenv(postgresEnv)
	if base == "" {
		t.Skipf("the rest needs PostgreSQL: %s is not set (scripts/with-postgres sets it)", postgresEnv)
	}
	change := func(how func(u *url.URL)) string {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		how(u)
		return u.String()
	}
	ready(t, Config{URL: change(func(u *url.URL) { u.Path = "/nosuch" })}, "createdb nosuch --owner dmarcd")
	ready(t, Config{URL: change(func(u *url.URL) { u.User = url.User("nobody_known") })}, "pg_hba.conf")
	db := postgresDatabase(t)
	super := change(func(u *url.URL) { u.User = url.User("postgres") })
	rawExec(t, super, `DROP ROLE IF EXISTS next_step; CREATE ROLE next_step LOGIN`)
	u, err := url.Parse(db.url)
	if err != nil {
		t.Fatal(err)
	}
	rawExec(t, base, `GRANT USAGE ON SCHEMA `+u.Query().Get("search_path")+` TO PUBLIC`)
	u.User = url.User("next_step")
	ready(t, Config{URL: u.String()}, "GRANT USAGE, CREATE ON SCHEMA")
}

func ready(t *testing.T, c Config, want string) {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	advised(t, s.Ready(t.Context()), ErrUnavailable, want)
	advised(t, Probe(t.Context(), c), ErrUnavailable, want)
}

// TestProbe looks at databases that are in order, or yet to be made, and leaves them so.
func TestProbe(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		c := Config{URL: db.url, Dir: db.dir}
		if err := Probe(t.Context(), c); err != nil {
			t.Errorf("yet to be made: %v", err)
		}
		if files, _ := os.ReadDir(db.dir); db.kind == "sqlite" && len(files) != 0 {
			t.Errorf("made %v", files)
		}
		s, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := Probe(t.Context(), c); err != nil {
			t.Errorf("in use: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Probe(t.Context(), c); err != nil {
			t.Errorf("in order: %v", err)
		}
	})
}

func advised(t *testing.T, err, kind error, want string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want %q in it, on one line", err, want)
	}
}

// A server that refuses the password, or does not run, is reported in one line.
func TestConnectErrors(t *testing.T) {
	for _, c := range []struct{ code, want string }{
		{"28P01", `refuses the password of the user "dmarcd"; put the right one into the file that store_password_file names`},
		{"53300", "at 127.0.0.1:"},
		{"", "cannot be reached: "},
	} {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		defer l.Close()
		if c.code == "" {
			l.Close()
		}
		go refuseLogins(l, c.code)
		ready(t, Config{URL: "postgres://dmarcd@" + l.Addr().String() + "/dmarcd?sslmode=disable"}, c.want)
	}
}

// refuseLogins answers each connection with an error of PostgreSQL.
func refuseLogins(l net.Listener, code string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		backend := pgproto3.NewBackend(conn, conn)
		if _, err := backend.ReceiveStartupMessage(); err == nil {
			backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: "no\nnot now"})
			_ = backend.Flush() // the client says what it got
		}
		conn.Close()
	}
}

// TestURLIsNeverShown refuses URLs without telling what is in them.
func TestURLIsNeverShown(t *testing.T) {
	for _, url := range []string{
		"postgres://u:secret@host:notaport/db", "postgres://u:sec ret@host/db", "postgres://u:secret%zz@host/db", "postgres:u:secret@host",
		"postgres://u@host/db?sslmode=secret", "mysql://u:secret@host/db", "secret", "host=h password=secret", "mysql:u:secret@h",
		"postgres://u@host/db?password=secret&sslmode=never", "postgres://u@host/db?connect_timeout=secret",
	} {
		_, err := Open(t.Context(), Config{URL: url, Dir: t.TempDir()})
		if !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
