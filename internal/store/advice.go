package store

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// plainError states a database's error in one line, with what to do next.
type plainError struct {
	text  string
	cause error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.cause }

// told wraps an error with its plain text, or where there is none with one line.
func told(err error) error {
	if plain := (*plainError)(nil); errors.As(err, &plain) {
		return err
	}
	if dial := (*pgconn.ConnectError)(nil); errors.As(err, &dial) {
		return &plainError{text: connectText(dial), cause: err}
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		if text := serverText(pg); text != "" {
			return &plainError{text: text, cause: err}
		}
	}
	if text := err.Error(); strings.ContainsAny(text, "\r\n") {
		return &plainError{text: strings.Join(strings.Fields(text), " "), cause: err}
	}
	return err
}

// connectText says why the connection to PostgreSQL failed. The driver's own error
// repeats itself over several lines.
func connectText(dial *pgconn.ConnectError) string {
	c := dial.Config
	where := "PostgreSQL at " + net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	if strings.HasPrefix(c.Host, "/") {
		where = "PostgreSQL at the socket in " + c.Host
	}
	var pg *pgconn.PgError
	if !errors.As(dial, &pg) {
		text := "no answer"
		var op *net.OpError
		if reason := errors.Unwrap(dial); errors.As(dial, &op) { // of several addresses the first is enough
			text = op.Err.Error()
		} else if reason != nil {
			text = strings.Join(strings.Fields(reason.Error()), " ")
		}
		return fmt.Sprintf("%s cannot be reached: %s; is it running, and does it listen there?", where, text)
	}
	switch pg.Code {
	case "28P01":
		return fmt.Sprintf("%s refuses the password of the user %q; put the right one into the file that store_password_file names", where, c.User)
	case "28000":
		return fmt.Sprintf("%s does not let the user %q into the database %q from this host; allow it in pg_hba.conf, or correct the user in store (%s)", where, c.User, c.Database, pg.Message)
	case "3D000":
		return fmt.Sprintf("%s has no database %q; make it there: createdb %s --owner %s", where, c.Database, c.Database, c.User)
	}
	return where + ": " + strings.Join(strings.Fields(pg.Message), " ")
}

// serverText says what a reachable PostgreSQL refuses; "" where its own message is good
// enough.
func serverText(pg *pgconn.PgError) string {
	message := strings.Join(strings.Fields(pg.Message), " ")
	switch pg.Code {
	case "42501":
		return message + "; as the owner of the database: GRANT USAGE, CREATE ON SCHEMA public TO the user that store names, or make that user the owner"
	case "25006":
		return message + "; store names a server that only reads, such as a replica"
	case "53100":
		return message + "; the database server's disk is full"
	case "53300":
		return message + "; raise max_connections of the database server"
	}
	return ""
}

// fileError is an error of SQLite at opening its file.
func fileError(path string, err error) error {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return fmt.Errorf("%s: %w", path, err)
	}
	text := ""
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY:
		text = "cannot be opened for writing; it and its folder must belong to the user that dmarcd runs as"
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		text = "is damaged; stop dmarcd, and put a copy in its place or move the file away"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		text = "is locked by another program, such as a backup"
	case sqlite3.SQLITE_FULL:
		text = "cannot be written: the disk is full"
	default:
		return fmt.Errorf("%s: %w", path, err)
	}
	return &plainError{text: path + " " + text, cause: err}
}
