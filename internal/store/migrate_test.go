package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// upTo is the migrations of s up to a version, and more after them.
func upTo(t *testing.T, s *Store, version int, more ...string) fs.FS {
	t.Helper()
	steps, err := migrations(s.steps)
	if err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{}
	for _, step := range steps[:version] {
		out[step.name+".sql"] = &fstest.MapFile{Data: []byte(step.sql)}
	}
	for i, text := range more {
		out[fmt.Sprintf("%04d_test.sql", version+i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// schema lists what the database holds, a line for each column.
func schema(t *testing.T, s *Store) []string {
	t.Helper()
	query := `SELECT m.name || ' ' || p.name || ' ' || p.type || ' ' || p."notnull" || ' ' || p.pk FROM sqlite_master m, pragma_table_info(m.name) p
		UNION SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master WHERE type = 'index'`
	if s.dialect.name == "postgres" {
		query = `SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable FROM information_schema.columns WHERE table_schema = current_schema()
			UNION SELECT replace(indexdef, schemaname || '.', '') FROM pg_indexes WHERE schemaname = current_schema()`
	}
	var lines []string
	err := s.read(t.Context(), "schema", func(ctx context.Context, t *tx) error {
		return t.rows(ctx, func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			lines = append(lines, line)
			return err
		}, query)
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func TestMigrateFromEachVersion(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		count := len(must(migrations(db.prepare(t).steps)))
		fresh := sibling(t, db).open(t)
		want := schema(t, fresh)
		for version := range count {
			db := sibling(t, db)
			old := db.prepare(t)
			old.steps = upTo(t, old, version)
			if err := old.Ready(t.Context()); err != nil {
				t.Fatalf("version %d: %v", version, err)
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			if got := schema(t, db.open(t)); !slices.Equal(got, want) {
				t.Errorf("from version %d:\n%s\nwant:\n%s", version, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	})
}

// sibling is another fresh database of the same kind.
func sibling(t *testing.T, db database) database {
	if db.kind == "sqlite" {
		return sqliteDatabase(t)
	}
	return postgresDatabase(t)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		running := db.open(t)
		count := running.version
		if err := running.write(t.Context(), "test", func(context.Context, *tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		newer := db.prepare(t)
		newer.steps = upTo(t, newer, count, `CREATE TABLE later (id INTEGER PRIMARY KEY)`)
		if err := newer.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), db.config(t))
		if !errors.Is(err, ErrSchema) || errors.Is(err, ErrUnavailable) {
			t.Fatalf("open: %v", err)
		}
		for _, part := range []string{fmt.Sprint(count), fmt.Sprint(count + 1), "newer dmarcd", "backup"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
		if err := running.write(t.Context(), "test", func(context.Context, *tx) error { return nil }); !errors.Is(err, ErrSchema) {
			t.Errorf("a daemon that ran before writes on: %v", err)
		}
	})
}

func TestFailedMigrationLeavesAllAsBefore(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		before, count := schema(t, s), s.version
		bad := db.prepare(t)
		bad.steps = upTo(t, bad, count, `CREATE TABLE first (id INTEGER PRIMARY KEY); DROP TABLE days`, `CREATE TABLE second (id INTEGER PRIMARY KEY); SELECT nonsense FROM nowhere`)
		err := bad.Ready(t.Context())
		if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "undone") {
			t.Fatalf("a failing migration: %v", err)
		}
		if got := schema(t, s); !slices.Equal(got, before) {
			t.Errorf("schema changed:\n%s", strings.Join(got, "\n"))
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSeveralDaemonsStartAtOnce(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		var wait sync.WaitGroup
		for range 4 {
			s := db.prepare(t)
			wait.Go(func() {
				if err := s.Ready(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	})
}

func TestMigrationFiles(t *testing.T) {
	var names [2][]string
	for i, kind := range []string{"sqlite", "postgres"} {
		sub, err := fs.Sub(migrationFiles, "migrations/"+kind)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := migrations(sub)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			names[i] = append(names[i], step.name)
		}
	}
	if !slices.Equal(names[0], names[1]) {
		t.Errorf("SQLite has %v, PostgreSQL %v", names[0], names[1])
	}
	if _, err := migrations(fstest.MapFS{"0002_gap.sql": {}}); err == nil {
		t.Error("a gap is taken")
	}
}
