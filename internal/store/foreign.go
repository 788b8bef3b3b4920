package store

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// sqliteMagic begins each SQLite file.
const sqliteMagic = "SQLite format 3\x00"

// refuseForeignFile checks an existing file before SQLite opens it: a file that is not
// SQLite's belongs to something else.
func refuseForeignFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil // SQLite reports the error
	}
	defer f.Close()
	head := make([]byte, len(sqliteMagic))
	n, err := io.ReadFull(f, head)
	if n == 0 || err == nil && string(head) == sqliteMagic {
		return nil
	}
	return fmt.Errorf("%w: %s is no SQLite database; point store at another file, or move it away", ErrForeign, path)
}

// refuseForeign returns ErrForeign if the database, or its schema, has tables and none of
// them identifies it as ours.
func (s *Store) refuseForeign(ctx context.Context, tx *sql.Tx) error {
	tables, err := textColumn(ctx, tx, s.dialect.tables)
	if err != nil || len(tables) == 0 {
		return err
	}
	if slices.Contains(tables, "migrations") {
		columns, err := textColumn(ctx, tx, s.dialect.columns)
		if err != nil {
			return err
		}
		if slices.Contains(columns, "version") && slices.Contains(columns, "name") && slices.Contains(columns, "applied_at") {
			names, err := textColumn(ctx, tx, `SELECT name FROM migrations ORDER BY version LIMIT 1`)
			if err != nil || len(names) == 0 || strings.HasPrefix(names[0], firstMigration) {
				return err
			}
		}
	}
	const shown = 3
	more := ""
	if len(tables) > shown {
		tables, more = tables[:shown], ", …"
	}
	return fmt.Errorf("%w: it has tables of another program (%s%s); give dmarcd a database of its own, or a schema of its own by search_path", ErrForeign, strings.Join(tables, ", "), more)
}

// firstMigration is the prefix of the first migration of every database of ours.
const firstMigration = "0001_"

// textColumn runs a query for one column of texts.
func textColumn(ctx context.Context, tx *sql.Tx, query string) (list []string, err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}
