package store

import (
	"context"
	"fmt"
	"math"
)

// detailTables are the tables that a store that is too large is made smaller by. Like
// otherTables they count towards Retention.MaxBytes.
func detailTables() []string { return []string{"messages", "message_domains", "traces"} }

// otherTables are the tables that only age shrinks.
func otherTables() []string {
	return []string{
		"texts", "aggregates", "reports", "report_files", "deliveries", "policies",
		"received_items", "received_reports", "received_raws", "received_faults", "received_sets", "received_set_names",
		"received_identities", "received_blocks", "received_rollup_days", "received_snapshots",
		"console_users", "console_credentials", "console_audit",
	}
}

// Size is the size of the store in bytes. For SQLite it is the pages in use. For
// PostgreSQL it is its tables with their indexes, without the space that removed rows
// have left in them, which is an estimate.
func (s *Store) Size(ctx context.Context) (int64, error) { return s.dialect.size(ctx, s) }

// postgresSize adds up the tables. The message tables keep their size when rows are
// removed, and reuse the space later; so they count by the recorded size of their
// content, where that is less. Dead rows of other tables are included.
func postgresSize(ctx context.Context, s *Store) (int64, error) {
	var total int64
	err := s.read(ctx, "size", func(ctx context.Context, t *tx) error {
		var booked int64
		err := t.row(ctx, `SELECT CAST(coalesce(sum(message_bytes + trace_bytes), 0) AS BIGINT) FROM days`).Scan(&booked)
		if err != nil {
			return err
		}
		detail, err := t.relationSizes(ctx, detailTables())
		if err != nil {
			return err
		}
		rest, err := t.relationSizes(ctx, otherTables())
		if err != nil {
			return err
		}
		total = min(booked, detail) + rest
		return nil
	})
	return total, err
}

// relationSizes adds up tables of PostgreSQL.
func (t *tx) relationSizes(ctx context.Context, tables []string) (int64, error) {
	var sum int64
	for _, table := range tables {
		var n int64
		if err := t.row(ctx, `SELECT pg_total_relation_size($1::regclass)`, table).Scan(&n); err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// squeeze removes the oldest detail while the store is larger than most.
func (s *Store) squeeze(ctx context.Context, most int64, p *Pruned) error {
	while := func(drop func(context.Context) (int64, error)) func(context.Context) (int64, error) {
		return func(ctx context.Context) (int64, error) {
			if size, err := s.Size(ctx); err != nil || size <= most {
				return 0, err
			}
			return drop(ctx)
		}
	}
	err := s.untilNone(ctx, &p.OversizeTraces, while(func(ctx context.Context) (int64, error) {
		return s.dropTraces(ctx, math.MaxInt64)
	}))
	if err != nil {
		return err
	}
	err = s.untilNone(ctx, &p.Oversize, while(func(ctx context.Context) (int64, error) {
		n, err := s.dropMessages(ctx, math.MaxInt64, notHeld, &p.OversizeTraces)
		if err == nil && n == 0 {
			n, err = s.dropMessages(ctx, math.MaxInt64, onlyHeld, &p.OversizeTraces)
		}
		return n, err
	}))
	if err != nil {
		return err
	}
	if size, err := s.Size(ctx); err != nil || size <= most {
		return err
	}
	s.log.WarnContext(ctx, fmt.Sprintf("the store is larger than retention.max_bytes (%d) with aggregates alone; shorten retention.aggregates or raise it", most))
	return nil
}
