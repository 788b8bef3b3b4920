// Package store keeps dmarcd's records in a database: SQLite, or a PostgreSQL that
// several daemons share. It loads batches of a journal exactly once, finds messages, adds
// up aggregates for reports, removes old data, and decides which of several daemons
// leads.
//
// # Adding a table and a query
//
// A migration is a pair of files, migrations/sqlite/NNNN_name.sql and
// migrations/postgres/NNNN_name.sql, numbered without a gap. It is never changed once
// released. Both make the same tables and columns; in them INTEGER, BIGINT, TEXT and
// BLOB/BYTEA are enough: times are integers, booleans 0 or 1, and foreign text may be a
// BLOB, which takes any octets. Add the table to otherTables, or detailTables, if it
// counts towards the size of the store.
//
// A query is written once, with $1, $2 for its arguments, in the SQL that both
// understand: both have ON CONFLICT, RETURNING and row values; CASE replaces greatest and
// least; dialect has what differs. It runs in
//
//	err := s.write(ctx, "queue report", func(ctx context.Context, t *tx) error {
//		_, err := t.exec(ctx, `UPDATE … WHERE id = $1`, id)
//		return err
//	})
//
// which is one transaction, retried where the database asks for that (so the function
// must have no other side effects), or in s.read, which sees one state of the database.
// t.fence(ctx, epoch) restricts a write to the leader. Reads of many rows go in pages by
// key (see Records), so that no transaction stays open while the caller works. A test
// calls eachDialect, which runs it on a fresh database of either kind.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says which database, and how to reach it.
type Config struct {
	// URL is "sqlite:PATH", relative to Dir, or "postgres://user@host/db?…" as
	// libpq reads it. With a pooler between (pgbouncer), it must pool sessions.
	URL string
	// PasswordFile holds PostgreSQL's password, without one final line end. It is read at
	// each connection, so that it can be changed at any time. "" for none.
	PasswordFile string
	Dir          string
	Holder       string           // this daemon in the list of leaders; "" for the host's name and process id
	Connections  int              // at most, to PostgreSQL, beside the leader's; 0 for 8
	Log          *slog.Logger     // nil for none
	Now          func() time.Time // nil for time.Now
}

// Store is a database that is open, or will be once it can be reached. Its
// methods may be called from several goroutines.
type Store struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	elapsed func() time.Duration // since Open, independent of the clock
	dialect *dialect
	steps   fs.FS // migrations
	version int   // of the schema that we know; the attempt's too

	readied atomic.Bool     // connected once, with the schema in order
	life    context.Context // ends with Close
	end     context.CancelFunc
	leading leading
	opening sync.Mutex // of attempt
	attempt *attempt   // to become ready; nil if none is under way
	// These belong to the attempt until readied, and are read by all afterwards.
	writer *sql.DB
	reader *sql.DB // the same as writer for PostgreSQL

	lists    sync.Map // listKey → query
	prepared sync.Map // query → *sql.Stmt of the writer; SQLite only
	texts    textCache
	shared   sharedCache
	infos    infoCache
	timing   timing

	undecodable atomic.Uint64
}

// timing holds the times that tests shorten.
type timing struct {
	attempt    time.Duration // of one transaction
	slicePause time.Duration // between slices of Prune, at least
	sparePages int64         // of SQLite, that are not given back
	lead       leadTiming

	retainFirst, retainAge, retainSize time.Duration
}

// Open checks the settings and tries the database. An unreachable, full or locked one is
// no error: it is logged, and every method tries again, and returns ErrUnavailable
// meanwhile. The errors of Open wrap ErrConfig or ErrSchema.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	switch err := s.Ready(ctx); {
	case err == nil:
	case errors.Is(err, ErrUnavailable):
		s.log.WarnContext(ctx, "the store cannot be used yet; records stay in the journal", "error", err)
	default:
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newStore(cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Holder == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		cfg.Holder = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if cfg.Connections <= 0 {
		cfg.Connections = 8
	}
	s := &Store{
		cfg: cfg, log: cfg.Log, now: cfg.Now,
		timing: timing{
			attempt: time.Minute, slicePause: 20 * time.Millisecond, sparePages: vacuumMinSpare, lead: defaultLeadTiming(),
			retainFirst: retainFirst, retainAge: retainAge, retainSize: retainSize,
		},
	}
	start := time.Now()
	s.elapsed = func() time.Duration { return time.Since(start) }
	s.life, s.end = context.WithCancel(context.Background())
	var err error
	switch scheme, rest, _ := strings.Cut(cfg.URL, ":"); scheme {
	case "sqlite":
		s.dialect, err = newSQLite(cfg, rest)
	case "postgres", "postgresql":
		s.dialect, err = newPostgres(cfg)
	default:
		err = fmt.Errorf("%w: store is neither sqlite:PATH nor postgres://USER@HOST/DATABASE", ErrConfig)
	}
	if err != nil {
		s.end()
		return nil, err
	}
	s.steps, err = fs.Sub(migrationFiles, "migrations/"+s.dialect.name)
	return s, err
}

// Shown is a store's URL without its password, wherever it is in the URL.
func Shown(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(unreadable)"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

// attempt is one attempt to become ready. It outlives the call that began it: a migration
// may take longer than a single call can wait.
type attempt struct {
	done chan struct{}
	err  error // once done is closed
}

// Ready connects and brings the schema up to date, unless that is done already. Its
// errors are ErrUnavailable, ErrDamaged and ErrSchema. When ctx ends it returns
// ErrUnavailable, and the work continues.
func (s *Store) Ready(ctx context.Context) error {
	if s.readied.Load() {
		return nil
	}
	s.opening.Lock()
	a := s.attempt
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		s.attempt = a
		go func() {
			a.err = s.makeReady(s.life)
			s.opening.Lock()
			s.attempt = nil
			s.opening.Unlock()
			close(a.done)
		}()
	}
	s.opening.Unlock()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return fmt.Errorf("%w: it does not answer, or is still being brought up to date: %w", ErrUnavailable, context.Cause(ctx))
	}
}

func (s *Store) makeReady(ctx context.Context) error {
	switch {
	case s.readied.Load(): // by the attempt before
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: closed", ErrUnavailable)
	}
	if s.writer == nil {
		writer, reader, err := s.dialect.open(ctx)
		if err != nil {
			return wrap(ctx, "open", err)
		}
		s.writer, s.reader = writer, reader
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	s.readied.Store(true)
	return nil
}

// Ping asks the database for an answer.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(ctx context.Context, t *tx) error {
		var one int
		return t.row(ctx, `SELECT 1`).Scan(&one)
	})
}

// Undecodable counts the items read so far that could not be decoded and were left out of
// results: records, traces, policy domains of aggregates.
func (s *Store) Undecodable() uint64 { return s.undecodable.Load() }

// Close waits for running operations and closes the database. No other method may be
// called afterwards.
func (s *Store) Close() error {
	s.end()
	for { // no attempt after this one gets far
		s.opening.Lock()
		a := s.attempt
		s.opening.Unlock()
		if a == nil {
			break
		}
		<-a.done
	}
	if s.readied.Store(false); s.writer == nil {
		return nil
	}
	s.prepared.Range(func(query, stmt any) bool {
		s.prepared.Delete(query)
		_ = stmt.(*sql.Stmt).Close()
		return true
	})
	err := s.writer.Close()
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	return err
}

// absolute is a path of the settings.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
