package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/analysis/analysistest"
)

// unpackedTables are those of received reports that are the same in schema 7.
var unpackedTables = []string{
	"received_names", "received_items", "received_reporters", "received_reports", "received_sets", "received_set_names", "received_identities",
}

// TestPackReceived takes a store over that has a table of rows: all figures are as
// before, what is sent again is found, and what retention had rolled up stays.
func TestPackReceived(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		now, like := db.open(t), analysistest.New()
		fillReceived(t, now, like, 11)
		labelSome(t, now, like)
		olddb := sibling(t, db)
		old := olddb.prepare(t)
		old.steps = upTo(t, old, 7)
		if err := old.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		unpackInto(t, now, old, 0)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		s := olddb.open(t)
		labelSome(t, s, analysistest.New())
		r := rand.New(rand.NewPCG(8, 9))
		for n := range 12 {
			q := analysis.Query{Filter: randomFilter(t, r)}
			t.Run(fmt.Sprint(n), func(t *testing.T) { compareFigures(t, s, like, q) })
		}
		all := analysis.Query{Filter: analysis.Filter{All: true, IncludeFailed: true}, Limit: 1000}
		sameRows(t, "reporters", must(s.Reporters(t.Context(), all)).Rows, must(now.Reporters(t.Context(), all)).Rows)
		m := &receivedMaker{r: rand.New(rand.NewPCG(11, 1))}
		for _, one := range must(s.Ingest(t.Context(), &analysis.Batch{Items: []analysis.Item{{Feed: "other", TakenAt: time.Now(), Reports: []analysis.Report{m.first(t)}}}})) {
			if one.Of == 0 {
				t.Errorf("a report that is stored is taken again: %+v", one)
			}
		}
		for _, table := range []string{"received_rows", "received_rollups"} {
			if err := s.read(t.Context(), "test", func(ctx context.Context, t *tx) error {
				_, err := t.keys(ctx, `SELECT count(*) FROM `+table)
				return err
			}); err == nil {
				t.Errorf("%s is still there", table)
			}
		}
	})
}

// TestPackRollups takes a store over of whose rows retention has removed a part.
func TestPackRollups(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		now := db.open(t)
		fillReceived(t, now, analysistest.New(), 12)
		olddb := sibling(t, db)
		old := olddb.prepare(t)
		old.steps = upTo(t, old, 7)
		if err := old.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		unpackInto(t, now, old, int64(memory.DayOf(receivedStart))+9)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		sameLasting(t, olddb.open(t), now)
	})
}

// sameLasting compares what is known of days without rows, too.
func sameLasting(t *testing.T, got, want *Store) {
	t.Helper()
	all := analysis.Query{Filter: analysis.Filter{All: true}, Limit: 1000}
	g, w := must(got.Overview(t.Context(), all)).Rows, must(want.Overview(t.Context(), all)).Rows
	for _, rows := range [][]analysis.OverviewRow{g, w} {
		for i := range rows {
			rows[i].Reporters, rows[i].LastReport = 0, time.Time{} // they go with the rows
		}
	}
	sameRows(t, "overview", g, w)
	sameRows(t, "services", must(got.Sources(t.Context(), all, analysis.LevelService)).Rows, must(want.Sources(t.Context(), all, analysis.LevelService)).Rows)
	sameRows(t, "trend", must(got.Trend(t.Context(), all)), must(want.Trend(t.Context(), all)))
}

// first is the first report that the maker would make.
func (m *receivedMaker) first(t *testing.T) analysis.Report {
	t.Helper()
	for range 20 {
		for _, it := range m.batch(nil).Items {
			for _, r := range it.Reports {
				return r
			}
		}
	}
	t.Fatal("no report")
	return analysis.Report{}
}

// unpackInto copies the received reports of a store into one of schema 7, without the
// rows before a day.
func unpackInto(t *testing.T, from, to *Store, pruned int64) {
	t.Helper()
	ctx := t.Context()
	tables := map[string][][]any{}
	var segments []segment
	err := from.read(ctx, "copy", func(ctx context.Context, t *tx) error {
		for _, table := range unpackedTables {
			rows, err := allOf(ctx, t, table)
			if err != nil {
				return err
			}
			tables[table] = rows
		}
		return t.rows(ctx, func(scan func(...any) error) error {
			var day int64
			var body []byte
			err := scan(&day, &body)
			all, ok := unpackAll(body, day)
			if !ok {
				return errors.New("a block cannot be unpacked")
			}
			segments = append(segments, all...)
			return err
		}, `SELECT day, body FROM received_blocks ORDER BY day, number`)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = to.write(ctx, "copy", func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `UPDATE received_state SET value = 1000000`); err != nil {
			return err
		}
		for _, table := range unpackedTables {
			for _, row := range tables[table] {
				if table == "received_identities" {
					row = row[:10] // the column about is younger
				}
				if _, err := t.exec(ctx, `INSERT INTO `+table+` VALUES (`+argList(1, len(row))+`)`, row...); err != nil {
					return fmt.Errorf("%s: %w", table, err)
				}
			}
		}
		if err := oldKeys(ctx, t); err != nil {
			return err
		}
		for i := range segments {
			if err := unpackSegment(ctx, t, &segments[i]); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, `INSERT INTO received_rollups (domain, day, service, disposition, spf, dkim, messages, records)
			SELECT r.domain, r.day, i.service, r.disposition, r.spf, r.dkim, CAST(sum(r.messages) AS BIGINT), count(*) FROM received_rows r
			JOIN received_identities i ON i.id = r.identity WHERE r.counts = 1 GROUP BY r.domain, r.day, i.service, r.disposition, r.spf, r.dkim`)
		if err != nil || pruned == 0 {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM received_rows WHERE day < $1`, pruned); err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO received_state (name, value) VALUES ('detail', $1)`, pruned)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func allOf(ctx context.Context, t *tx, table string) ([][]any, error) {
	rows, err := t.sql.QueryContext(ctx, `SELECT * FROM `+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]any
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// oldKeys returns reports keys that do not begin with their day.
func oldKeys(ctx context.Context, t *tx) error {
	keys := map[int64][]byte{}
	err := t.rows(ctx, func(scan func(...any) error) error {
		var id int64
		var key []byte
		err := scan(&id, &key)
		keys[id] = append([]byte("hash"), key[4:]...)
		return err
	}, `SELECT id, report_key FROM received_reports`)
	for id, key := range keys {
		if err == nil {
			_, err = t.exec(ctx, `UPDATE received_reports SET report_key = $1 WHERE id = $2`, key, id)
		}
	}
	return err
}

func unpackSegment(ctx context.Context, t *tx, g *segment) error {
	for _, r := range g.rows {
		_, err := t.exec(ctx, `INSERT INTO received_rows (report, number, day, next_day, domain, identity, aset, messages, whole, disposition, spf, dkim, flags, counts)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`, g.report, r.number, g.day, r.next, g.domain, r.identity, r.set, r.messages,
			r.whole, r.code>>2, r.code>>1&1, r.code&1, r.flags, boolInt(g.counts()))
		if err != nil {
			return err
		}
	}
	return nil
}
