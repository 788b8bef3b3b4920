package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"dmarcd/internal/memory"
)

// Errors of a store. Test with errors.Is.
var (
	// ErrConfig: the settings cannot work: the URL, or a password file that is
	// not there at Open. Nothing but other settings helps.
	ErrConfig = errors.New("store: configuration")
	// ErrUnavailable is that of package memory.
	ErrUnavailable = memory.ErrUnavailable
	// ErrDamaged: the database is damaged. An operator has to act; until then it is
	// as good as unavailable, and is ErrUnavailable too.
	ErrDamaged error = damagedError{}
	// ErrForeign: the file or database belongs to another program. Nothing in it was
	// changed. It is an ErrSchema too.
	ErrForeign error = foreignError{}
	// ErrSchema: the database belongs to a newer version of dmarcd, or a
	// migration of it failed and was undone.
	ErrSchema = errors.New("store: schema")
	// ErrPosition: the batch does not follow the loaded part of its journal. Call
	// Position and continue from there.
	ErrPosition = errors.New("store: batch does not follow the position of its journal")
	// ErrRecord: the database will never take this batch, because of its content. It may
	// take part of it.
	ErrRecord = errors.New("store: record refused")
	// ErrFenced: the caller led once, and leads no more.
	ErrFenced = errors.New("store: leadership lost")
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("store: not found")
)

// damagedError is ErrDamaged.
type damagedError struct{}

func (damagedError) Error() string        { return "store: database damaged" }
func (damagedError) Is(target error) bool { return target == ErrUnavailable }

// foreignError is ErrForeign.
type foreignError struct{}

func (foreignError) Error() string        { return "store: not a database of dmarcd" }
func (foreignError) Is(target error) bool { return target == ErrSchema }

// fault classifies an error of the database.
type fault int

const (
	faultOther       fault = iota
	faultUnavailable       // not now
	faultRetry             // undone by the database in favour of another transaction: again at once
	faultData              // the data cannot be stored
	faultDamaged
)

// wrap wraps a database's error with one of our own. Errors that have one already, or
// that come from the caller's context, are returned unchanged.
func wrap(ctx context.Context, doing string, err error) error {
	if err == nil || known(err) {
		return err
	}
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || isInterrupted(err)) {
		return fmt.Errorf("store: %s: %w", doing, context.Cause(ctx))
	}
	err = told(err)
	switch classify(err) {
	case faultDamaged:
		return fmt.Errorf("%w: %s: %w", ErrDamaged, doing, err)
	case faultData:
		return fmt.Errorf("%w: %s: %w", ErrRecord, doing, err)
	case faultUnavailable, faultRetry:
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}

// known reports whether an error has one of our words already.
func known(err error) bool {
	for _, word := range []error{ErrConfig, ErrUnavailable, ErrSchema, ErrPosition, ErrRecord, ErrFenced, ErrNotFound} {
		if errors.Is(err, word) {
			return true
		}
	}
	return false
}

func classify(err error) fault {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return classifySQLite(lite.Code())
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return classifyPostgres(pg.Code)
	}
	var dial *pgconn.ConnectError
	var netErr net.Error
	switch {
	case errors.As(err, &dial), errors.As(err, &netErr), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, context.DeadlineExceeded), pgconn.SafeToRetry(err), lostConnection(err):
		return faultUnavailable
	}
	return faultOther
}

func classifySQLite(code int) fault {
	switch code {
	case sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED:
		return faultRetry
	}
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_INTERRUPT:
		return faultUnavailable
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return faultDamaged
	case sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return faultData
	}
	return faultOther
}

// classifyPostgres classifies by SQLSTATE, whose first two characters are the class
// (PostgreSQL documentation, appendix A).
func classifyPostgres(state string) fault {
	switch state {
	case "40001", "40P01", "0A000": // serialization, deadlock, a plan from before a migration
		return faultRetry
	case "XX001", "XX002": // damaged data, damaged index
		return faultDamaged
	case "25006", "25P03", "55P03", "28000", "28P01", "3D000", "42501", "57014": // read-only, idle too long, lock time-out, login, no such database, rights, statement time-out
		return faultUnavailable
	case "54000": // a limit of the server, such as an index row's size
		return faultData
	}
	if len(state) < 2 {
		return faultOther
	}
	switch state[:2] {
	case "08", "53", "57", "58": // connection, resources such as disk, shutdown, I/O
		return faultUnavailable
	case "22", "23": // data, constraints
		return faultData
	}
	return faultOther
}

func isInterrupted(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code()&0xff == sqlite3.SQLITE_INTERRUPT
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "57014" || pgconn.Timeout(err)
}

// isBusy reports that another connection holds SQLite's file.
func isBusy(err error) bool {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return false
	}
	code := lite.Code() & 0xff
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}
