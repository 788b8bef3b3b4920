package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations
var migrationFiles embed.FS

// migrateTime bounds all migrations together, waiting for another daemon's included.
const migrateTime = 30 * time.Minute

// migration is one step of the schema.
type migration struct {
	version int // from 1, without a gap
	name    string
	sql     string
}

func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names { // sorted
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("store: migration %s is not number %d", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version: version, name: strings.TrimSuffix(name, ".sql"), sql: string(text)})
	}
	return all, nil
}

// migrate brings the schema up to this version of dmarcd: all steps or none, in one
// transaction, under a lock that excludes other daemons.
func (s *Store) migrate(ctx context.Context) error {
	steps, err := migrations(s.steps)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	var done []migration
	fresh := false
	err = s.transact(ctx, s.writer, &sql.TxOptions{}, false, func(ctx context.Context, t *tx) error {
		done = nil
		if err := s.dialect.lockSchema(ctx, t.sql); err != nil {
			return err
		}
		if err := s.refuseForeign(ctx, t.sql); err != nil {
			return err
		}
		if _, err := t.sql.ExecContext(ctx, createMigrations); err != nil {
			return err
		}
		at, err := s.schemaVersion(ctx, t.sql)
		if err != nil {
			return err
		}
		fresh = at == 0
		if at > len(steps) {
			return newer(at, len(steps))
		}
		for _, step := range steps[at:] {
			if err := s.apply(ctx, t, step); err != nil {
				return err
			}
			done = append(done, step)
		}
		return nil
	})
	if err != nil {
		return wrap(ctx, "migrate", err)
	}
	s.version = len(steps)
	if fresh {
		return nil // made, and not changed
	}
	for _, step := range done {
		s.log.InfoContext(ctx, "the store's schema was brought up to date", "migration", step.name)
	}
	return nil
}

const createMigrations = `CREATE TABLE IF NOT EXISTS migrations (
	version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`

func (s *Store) apply(ctx context.Context, t *tx, step migration) error {
	_, err := t.sql.ExecContext(ctx, step.sql)
	if err == nil && step.name == packedStep {
		err = t.packReceived(ctx)
	}
	if err == nil {
		_, err = t.sql.ExecContext(ctx, `INSERT INTO migrations (version, name, applied_at) VALUES ($1, $2, $3)`,
			step.version, step.name, s.now().Unix())
	}
	switch fault := classify(err); {
	case err == nil:
		return nil
	case fault == faultUnavailable, fault == faultRetry, fault == faultDamaged:
		return err
	}
	return fmt.Errorf("%w: migration %s failed and was undone, the database is as it was: %w", ErrSchema, step.name, err)
}

func (s *Store) schemaVersion(ctx context.Context, tx *sql.Tx) (int, error) {
	var version int
	err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migrations`).Scan(&version)
	return version, err
}

// refuseNewer returns ErrSchema if a newer daemon has migrated the database since it was
// opened.
func (s *Store) refuseNewer(ctx context.Context, tx *sql.Tx) error {
	known := s.version
	at, err := s.schemaVersion(ctx, tx)
	if err == nil && at > known {
		return newer(at, known)
	}
	return err
}

func newer(found, known int) error {
	return fmt.Errorf("%w: the database has schema version %d, and this dmarcd knows versions up to %d: "+
		"it was used by a newer dmarcd. Run that version (or a newer one), or point `store` at another database or at a backup from before",
		ErrSchema, found, known)
}
