package store

import (
	"context"
	"database/sql"
)

// dialect is what differs between the two kinds of database.
type dialect struct {
	name     string // the folder of its migrations
	shared   bool   // several daemons may use it at once
	prepares bool   // statements of writes are kept by us
	maxRows  int    // of one VALUES list; a power of two
	// anonymous: arguments of long lists are written "?". SQLite searches all named
	// arguments for each use of one.
	anonymous bool

	tables  string // a query for the names of all tables that are not the database's own
	columns string // and one for the columns of the table "migrations"

	forUpdate string // suffix of a SELECT whose rows are about to be changed
	forShare  string // suffix of a SELECT whose rows must not change until the transaction ends

	// byIndex makes the rest of a transaction use indexes; "" where that needs no
	// statement. A fast-growing table has outdated statistics.
	byIndex string

	// open makes the pools for writing and for reading. It may fail for now.
	open func(context.Context) (writer, reader *sql.DB, err error)
	// lockSchema keeps out, until the transaction ends, all other migrations and
	// all writes.
	lockSchema func(context.Context, *sql.Tx) error
	// guard keeps migrations out of a write, and refuses to write to a schema
	// that is newer than we are.
	guard func(context.Context, *Store, *tx) error
	// size is the size of the database, without space free for reuse.
	size func(context.Context, *Store) (int64, error)
	// giveBack returns free space to the file system, in slices.
	giveBack func(context.Context, *Store) error
	// lead becomes the leader, serves one term, and returns why it ended; nil if ctx
	// ended.
	lead func(context.Context, *Store) error
}
