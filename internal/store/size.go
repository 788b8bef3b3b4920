package store

import (
	"context"
)

// ownTables are the tables whose size counts towards Retention.MaxBytes.
var ownTables = []string{"messages", "message_domains", "traces", "texts", "tallies"}

// Size is what the store takes up, in bytes: for SQLite the pages in use, for
// PostgreSQL its tables with their indexes and what they hold of dead rows.
func (s *Store) Size(ctx context.Context) (int64, error) { return s.dialect.size(ctx, s) }

func postgresSize(ctx context.Context, s *Store) (int64, error) {
	var total int64
	err := s.read(ctx, "size", func(ctx context.Context, t *tx) error {
		total = 0
		for _, table := range ownTables {
			var n int64
			if err := t.row(ctx, `SELECT pg_total_relation_size($1::regclass)`, table).Scan(&n); err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	return total, err
}
