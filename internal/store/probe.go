package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Probe reports whether Open and Ready would succeed, and changes nothing: it makes no
// file, takes no lock and migrates nothing. Its errors are those of Open and Ready.
func Probe(ctx context.Context, cfg Config) error {
	s, err := newStore(cfg)
	if err != nil {
		return err
	}
	defer s.end()
	db, err := s.probing(ctx)
	if db == nil || err != nil {
		return err
	}
	err = s.probe(ctx, db)
	return errors.Join(wrap(ctx, "look", err), db.Close())
}

// probing opens the database for Probe; nil for a file that does not exist yet.
func (s *Store) probing(ctx context.Context) (*sql.DB, error) {
	if s.dialect.shared {
		db, _, err := s.dialect.open(ctx)
		return db, wrap(ctx, "open", err)
	}
	_, path, _ := strings.Cut(s.cfg.URL, ":")
	path = absolute(s.cfg.Dir, path)
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := refuseForeignFile(path); err != nil {
		return nil, err
	}
	// immutable keeps SQLite from creating files beside the database, which the probing
	// user would own. Changes that are only in the write-ahead log are not seen.
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"mode": {"ro"}, "immutable": {"1"}}.Encode()}
	return sql.Open("sqlite", dsn.String())
}

func (s *Store) probe(ctx context.Context, db *sql.DB) error {
	steps, err := migrations(s.steps)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: s.dialect.shared})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	at := 0
	tables, err := textColumn(ctx, tx, s.dialect.tables)
	if err != nil {
		return err
	}
	if err := s.refuseForeign(ctx, tx); err != nil {
		return err
	}
	if slices.Contains(tables, "migrations") {
		if at, err = s.schemaVersion(ctx, tx); err != nil {
			return err
		}
	}
	if at > len(steps) {
		return newer(at, len(steps))
	}
	if at < len(steps) && s.dialect.shared {
		return mayCreate(ctx, tx)
	}
	return nil
}

// mayCreate returns ErrUnavailable if the PostgreSQL user cannot create tables.
func mayCreate(ctx context.Context, tx *sql.Tx) error {
	var schema sql.NullString
	var allowed sql.NullBool
	err := tx.QueryRowContext(ctx, `SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE')`).Scan(&schema, &allowed)
	switch {
	case err != nil:
		return err
	case !schema.Valid:
		return errNoSchema
	case !allowed.Bool:
		return fmt.Errorf("%w: the user may not make tables in the schema %s; as the owner of the database: GRANT USAGE, CREATE ON SCHEMA %s TO the user that store names, or make that user the owner",
			ErrUnavailable, schema.String, schema.String)
	}
	return nil
}
