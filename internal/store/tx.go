package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// attempts at a transaction that the database rolls back in favour of others.
const attempts = 8

// tx is one transaction. It is used by one goroutine.
type tx struct {
	s      *Store
	sql    *sql.Tx
	write  bool
	wanted []string // statements worth keeping
}

// write runs do in a read-write transaction and commits it. do runs again if the database
// rolled it back, so it must have no other side effects. Any other error of do rolls the
// transaction back and is returned, wrapped by its meaning: ErrUnavailable, ErrRecord,
// ErrSchema or the error itself. After ErrUnavailable the transaction may have been
// committed nevertheless.
func (s *Store) write(ctx context.Context, doing string, do func(context.Context, *tx) error) error {
	if err := s.Ready(ctx); err != nil {
		return err
	}
	return s.retry(ctx, doing, func(ctx context.Context) error {
		return s.transact(ctx, s.writer, &sql.TxOptions{}, true, func(ctx context.Context, t *tx) error {
			if err := s.dialect.guard(ctx, s, t); err != nil {
				return err
			}
			return do(ctx, t)
		})
	})
}

// read runs do in a transaction that sees one state of the database. It should be
// short: while it is open SQLite's log of changes cannot be folded in.
func (s *Store) read(ctx context.Context, doing string, do func(context.Context, *tx) error) error {
	if err := s.Ready(ctx); err != nil {
		return err
	}
	options := &sql.TxOptions{ReadOnly: true}
	if s.dialect.shared {
		options.Isolation = sql.LevelRepeatableRead
	}
	return s.retry(ctx, doing, func(ctx context.Context) error {
		return s.transact(ctx, s.reader, options, false, do)
	})
}

func (s *Store) retry(ctx context.Context, doing string, try func(context.Context) error) error {
	var err error
	for n := range attempts {
		if n > 0 {
			pause := time.Duration(1+rand.IntN(10<<n)) * time.Millisecond
			select {
			case <-ctx.Done():
				return wrap(ctx, doing, ctx.Err())
			case <-time.After(pause):
			}
		}
		limited, cancel := context.WithTimeout(ctx, s.timing.attempt)
		err = try(limited)
		cancel()
		if err == nil || known(err) || classify(err) != faultRetry {
			break
		}
	}
	return wrap(ctx, doing, err)
}

func (s *Store) transact(ctx context.Context, db *sql.DB, options *sql.TxOptions, write bool, do func(context.Context, *tx) error) error {
	raw, err := db.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	t := &tx{s: s, sql: raw, write: write}
	if err := do(ctx, t); err != nil {
		if undo := raw.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) && !known(err) {
			err = fmt.Errorf("%w (and %w)", err, undo)
		}
		return err
	}
	if err := raw.Commit(); err != nil {
		return err
	}
	s.prepare(ctx, t.wanted)
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	cleanAll(args)
	var res sql.Result
	var err error
	if stmt := t.prepared(ctx, query); stmt != nil {
		res, err = stmt.ExecContext(ctx, args...)
	} else {
		res, err = t.sql.ExecContext(ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// rows runs a query and passes each row to take, which must not use the transaction.
func (t *tx) rows(ctx context.Context, take func(scan func(...any) error) error, query string, args ...any) error {
	cleanAll(args)
	var rows *sql.Rows
	var err error
	if stmt := t.prepared(ctx, query); stmt != nil {
		rows, err = stmt.QueryContext(ctx, args...)
	} else {
		rows, err = t.sql.QueryContext(ctx, query, args...)
	}
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			_ = rows.Close()
			return err
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// row runs a query for one row; Scan returns ErrNotFound where there is none.
func (t *tx) row(ctx context.Context, query string, args ...any) oneRow {
	return oneRow{ctx: ctx, t: t, query: query, args: args}
}

type oneRow struct {
	ctx   context.Context
	t     *tx
	query string
	args  []any
}

// Scan runs the query and takes its first row.
func (r oneRow) Scan(into ...any) error {
	found := false
	err := r.t.rows(r.ctx, func(scan func(...any) error) error {
		if found {
			return nil
		}
		found = true
		return scan(into...)
	}, r.query, r.args...)
	if err == nil && !found {
		return ErrNotFound
	}
	return err
}

// prepared is a statement kept across transactions; nil if there is none yet.
// PostgreSQL's driver keeps its own for each connection.
func (t *tx) prepared(ctx context.Context, query string) *sql.Stmt {
	if !t.write || !t.s.dialect.prepares {
		return nil
	}
	if kept, ok := t.s.prepared.Load(query); ok {
		return t.sql.StmtContext(ctx, kept.(*sql.Stmt))
	}
	if !slices.Contains(t.wanted, query) {
		t.wanted = append(t.wanted, query)
	}
	return nil
}

// prepare makes the statements that a transaction would have liked to find. Only
// now is the one connection that writes free for it.
func (s *Store) prepare(ctx context.Context, queries []string) {
	for _, query := range queries {
		stmt, err := s.writer.PrepareContext(ctx, query)
		if err != nil {
			return // the next transaction tries again
		}
		if _, twice := s.prepared.LoadOrStore(query, stmt); twice {
			_ = stmt.Close()
		}
	}
}

// insertMany writes rows of equal length by statements of many rows each: head, then
// VALUES lists, then tail. take, if not nil, receives the rows that tail returns.
// Statements have few sizes, so that each is planned once.
func (t *tx) insertMany(ctx context.Context, head string, rows [][]any, tail string, take func(scan func(...any) error) error) error {
	return t.many(ctx, head, nil, rows, tail, take)
}

// many is insertMany for other statements too, where the types of the columns, as
// PostgreSQL names them, do not follow from the statement.
func (t *tx) many(ctx context.Context, head string, types []string, rows [][]any, tail string, take func(scan func(...any) error) error) error {
	for size := t.s.dialect.maxRows; len(rows) > 0; size /= 2 {
		for ; len(rows) >= size; rows = rows[size:] {
			width := len(rows[0])
			args := make([]any, 0, size*width)
			for _, row := range rows[:size] {
				args = append(args, row...)
			}
			query := t.s.listQuery(head, size, width, types, tail)
			if take == nil {
				if _, err := t.exec(ctx, query, args...); err != nil {
					return err
				}
			} else if err := t.rows(ctx, take, query, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// listKey names a statement of many rows.
type listKey struct {
	head, tail string
	size       int
}

// listQuery is the statement for a number of rows, built once.
func (s *Store) listQuery(head string, size, width int, types []string, tail string) string {
	key := listKey{head: head, tail: tail, size: size}
	if kept, ok := s.lists.Load(key); ok {
		return kept.(string)
	}
	query := head + s.dialect.valueLists(size, width, types) + tail
	s.lists.Store(key, query)
	return query
}

// valueLists is " VALUES ($1,$2),($3,$4) ", or the same with the dialect's placeholders.
// The first list carries the types, if any; the others inherit them.
func (d *dialect) valueLists(rows, width int, types []string) string {
	var b strings.Builder
	b.WriteString(" VALUES ")
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		switch {
		case d.anonymous:
			b.WriteString(strings.Repeat("?,", width-1) + "?")
		case i == 0 && types != nil:
			for n, name := range types {
				fmt.Fprintf(&b, "%sCAST($%d AS %s)", strings.Repeat(",", min(n, 1)), n+1, name)
			}
		default:
			writeArgs(&b, i*width+1, width)
		}
		b.WriteByte(')')
	}
	b.WriteByte(' ')
	return b.String()
}

// argList is "$3,$4,$5" for first 3 and n 3.
func argList(first, n int) string {
	var b strings.Builder
	writeArgs(&b, first, n)
	return b.String()
}

func writeArgs(b *strings.Builder, first, n int) {
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "$%d", first+i)
	}
}

// cleanAll makes text fit for either database: neither NUL nor invalid UTF-8, which
// PostgreSQL refuses, and SQLite would truncate at or return unchanged.
func cleanAll(args []any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = clean(s)
		}
	}
}

func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// lostConnection recognises a connection that ended below the driver.
func lostConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
