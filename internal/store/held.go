package store

import (
	"context"
	"database/sql"
	"time"

	"dmarcd/internal/memory"
)

var _ memory.HeldMail = (*Store)(nil)

// CountHeld is memory.HeldMail's.
func (s *Store) CountHeld(ctx context.Context, host string) (n int64, oldest time.Time, err error) {
	err = s.read(ctx, "count held mail", func(ctx context.Context, t *tx) error {
		var first sql.NullInt64
		if err := t.row(ctx, `SELECT count(*), min(id) FROM messages WHERE held = 1 AND ($1 = '' OR held_host IS NULL OR held_host = $1)`, host).Scan(&n, &first); err != nil {
			return err
		}
		oldest = time.Time{}
		if first.Valid {
			oldest = timeOfID(first.Int64)
		}
		return nil
	})
	return n, oldest, err
}

// Unhold is memory.HeldMail's.
func (s *Store) Unhold(ctx context.Context, key int64) (bool, error) {
	var n int64
	err := s.write(ctx, "note that mail is no longer held", func(ctx context.Context, t *tx) error {
		var err error
		n, err = t.exec(ctx, `UPDATE messages SET held = 0, held_host = NULL WHERE id = $1 AND held = 1`, key)
		return err
	})
	return n > 0, err
}
