package store

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignDatabase opens a database with tables of something else, which is left as it
// is, and is told what to do.
func TestForeignDatabase(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		if db.kind == "sqlite" {
			s := db.open(t)
			if _, err := s.writer.ExecContext(t.Context(), `DROP TABLE migrations`); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			rawExec(t, db.url, `CREATE TABLE messages (a INTEGER)`)
		}
		_, err := Open(t.Context(), Config{URL: db.url, Dir: db.dir})
		advised(t, err, ErrSchema, "give dmarcd a database of its own")
	})
}

// TestNextStep has each error say what to do, on one line.
func TestNextStep(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.db"), []byte(strings.Repeat("no database at all ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	ready(t, Config{URL: "sqlite:x.db", Dir: dir}, "move it away")

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
	ready(t, Config{URL: change(func(u *url.URL) { u.Path = "/nosuch" })}, "create it with createdb")
	ready(t, Config{URL: change(func(u *url.URL) { u.User = url.User("nobody_known") })}, "create the role")
	db := postgresDatabase(t)
	super := change(func(u *url.URL) { u.User = url.User("postgres") })
	rawExec(t, super, `DROP ROLE IF EXISTS next_step; CREATE ROLE next_step LOGIN`)
	u, err := url.Parse(db.url)
	if err != nil {
		t.Fatal(err)
	}
	rawExec(t, base, `GRANT USAGE ON SCHEMA `+u.Query().Get("search_path")+` TO PUBLIC`)
	u.User = url.User("next_step")
	ready(t, Config{URL: u.String()}, "GRANT CREATE, USAGE ON SCHEMA")
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
}

func advised(t *testing.T, err, kind error, want string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want %q in it, on one line", err, want)
	}
}
