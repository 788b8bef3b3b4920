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
	"time"

	"modernc.org/sqlite"
)

// Settings of an SQLite file.
const (
	sqliteReaders  = 4
	sqliteBusy     = 5 * time.Second       // waiting for another process, such as a backup
	sqliteAgain    = 20 * time.Millisecond // between two attempts where SQLite itself does not wait
	sqliteMaxRows  = 64                    // of one INSERT: more gain nothing
	vacuumPages    = 500                   // given back at once; 2 MB
	vacuumSpare    = 8                     // one page in this many may stay free for new data
	vacuumMinSpare = 4096                  // pages, 16 MB, that always may
)

// newSQLite describes the file at path.
func newSQLite(cfg Config, path string) (*dialect, error) {
	if path == "" || strings.ContainsAny(path, "?#\x00") {
		return nil, fmt.Errorf("%w: %q is no file name for SQLite", ErrConfig, path)
	}
	path = absolute(cfg.Dir, path)
	// As durable as fsync, without writing the file's times each time. It applies to the
	// whole process, in which nothing else uses SQLite; where it is not available, fsync
	// is used.
	_, _ = sqlite.Fdatasync(true)
	return &dialect{
		name: "sqlite", prepares: true, maxRows: sqliteMaxRows, anonymous: true,
		tables:     `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`,
		columns:    `SELECT name FROM pragma_table_info('migrations')`,
		open:       func(ctx context.Context) (*sql.DB, *sql.DB, error) { return openSQLite(ctx, path) },
		lockSchema: func(context.Context, *sql.Tx) error { return nil }, // write transactions begin immediate
		guard:      func(ctx context.Context, s *Store, t *tx) error { return s.refuseNewer(ctx, t.sql) },
		size:       sqliteSize,
		giveBack:   sqliteGiveBack,
		lead:       leadAlone,
	}, nil
}

// openSQLite opens the file, creating it if needed, with one connection that writes and a
// few that read.
//
// A commit is synced to the disk (synchronous=FULL): the journal deletes loaded records,
// so a transaction lost in a power cut would be lost for good. There is about one commit
// a second, of a whole batch, so that this costs little.
func openSQLite(ctx context.Context, path string) (writer, reader *sql.DB, err error) {
	// SQLite gives its log and index files the mode of the database. An existing file is
	// not opened here: closing it would drop the locks that SQLite holds.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		err = refuseForeignFile(path)
	}
	switch {
	case errors.Is(err, ErrForeign):
		return nil, nil, err
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w; the folder must be there and belong to the user that dmarcd runs as", ErrUnavailable, err)
	}
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", sqliteBusy.Milliseconds()),
		"temp_store(memory)",  // nothing of mail in other folders
		"trusted_schema(off)", // the file is data, not code
		"cell_size_check(on)", // damage is found before it spreads
	}
	writing := append(slices.Clone(pragmas),
		"auto_vacuum(incremental)", // before the file has its first table
		"journal_mode(wal)",
		"synchronous(full)",
		"wal_autocheckpoint(8000)",     // pages: 32 MB, many batches
		"journal_size_limit(67108864)", // what the log keeps after a burst
		"cache_size(-16384)")
	writer, err = sqliteHandle(path, writing, "immediate")
	if err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(1)
	reader, err = sqliteHandle(path, append(pragmas, "cache_size(-4096)", "query_only(on)"), "deferred")
	if err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(sqliteReaders)
	reader.SetConnMaxIdleTime(5 * time.Minute)
	if err := firstPing(ctx, writer); err != nil {
		return nil, nil, errors.Join(fileError(path, err), writer.Close(), reader.Close())
	}
	return writer, reader, nil
}

// firstPing makes the connection that writes. SQLite ignores its busy time-out while it
// switches the file to write-ahead logging, which several daemons may do when they start
// at the same time.
func firstPing(ctx context.Context, writer *sql.DB) error {
	for start := time.Now(); ; {
		err := writer.PingContext(ctx)
		if !isBusy(err) || time.Since(start) > sqliteBusy {
			return err
		}
		if err := pause(ctx, sqliteAgain); err != nil {
			return err
		}
	}
}

func sqliteHandle(path string, pragmas []string, lock string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"_pragma": pragmas, "_txlock": {lock}}.Encode()}
	return sql.Open("sqlite", dsn.String())
}

// sqliteSize counts the pages in use.
func sqliteSize(ctx context.Context, s *Store) (int64, error) {
	var pages, free, bytes int64
	err := s.read(ctx, "size", func(ctx context.Context, t *tx) error {
		return errors.Join(
			t.row(ctx, `PRAGMA page_count`).Scan(&pages),
			t.row(ctx, `PRAGMA freelist_count`).Scan(&free),
			t.row(ctx, `PRAGMA page_size`).Scan(&bytes))
	})
	return (pages - free) * bytes, err
}

// sqliteGiveBack truncates the file by its free pages, except for some that the next
// records will need. A slice holds the write lock for a few milliseconds.
func sqliteGiveBack(ctx context.Context, s *Store) error {
	for {
		var pages, free int64
		err := s.read(ctx, "free space", func(ctx context.Context, t *tx) error {
			return errors.Join(
				t.row(ctx, `PRAGMA page_count`).Scan(&pages),
				t.row(ctx, `PRAGMA freelist_count`).Scan(&free))
		})
		if err != nil || free <= max(pages/vacuumSpare, s.timing.sparePages) {
			return err
		}
		err = s.write(ctx, "give space back", func(ctx context.Context, t *tx) error {
			// Each row that the pragma "returns" is a page moved: all must be read.
			rows, err := t.sql.QueryContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, vacuumPages))
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			return errors.Join(rows.Err(), rows.Close())
		})
		if err != nil {
			return err
		}
		if err := pause(ctx, s.timing.slicePause); err != nil {
			return err
		}
	}
}
