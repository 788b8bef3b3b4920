package store

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

// days of mail, 400 a day.
func fewDays(t *testing.T, s *Store, days int) (d *traffic) {
	t.Helper()
	d = newTraffic(1, 30)
	for i := range days {
		load(t, s, "a", d.batch(400, epoch0.Add(time.Duration(i)*24*time.Hour), 24*time.Hour))
	}
	return d
}

// checkBooks compares the rows of the table days with the data.
func checkBooks(t *testing.T, s *Store) {
	t.Helper()
	var messages, bytes, traces, realMessages, realBytes, realTraces int64
	err := s.read(t.Context(), "books", func(ctx context.Context, t *tx) error {
		if err := t.row(ctx, `SELECT CAST(coalesce(sum(messages), 0) AS BIGINT), CAST(coalesce(sum(message_bytes), 0) AS BIGINT), CAST(coalesce(sum(trace_bytes), 0) AS BIGINT) FROM days`).Scan(&messages, &bytes, &traces); err != nil {
			return err
		}
		if err := t.row(ctx, `SELECT count(*), CAST(coalesce(sum(length(record) + $1), 0) AS BIGINT) FROM messages`, messageOverhead).Scan(&realMessages, &realBytes); err != nil {
			return err
		}
		return t.row(ctx, `SELECT CAST(coalesce(sum(length(body) + $1), 0) AS BIGINT) FROM traces`, traceOverhead).Scan(&realTraces)
	})
	if err != nil || messages != realMessages || bytes != realBytes || traces != realTraces {
		t.Errorf("the books say %d messages of %d bytes, traces of %d; there are %d, %d, %d (%v)", messages, bytes, traces, realMessages, realBytes, realTraces, err)
	}
}

func TestPruneByAge(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		d := fewDays(t, s, 6)
		before, counts := rowCount(t, s, "traces"), counted(t, s)
		now := epoch0.Add(6 * 24 * time.Hour)
		p, err := s.Prune(t.Context(), Retention{Messages: 60 * time.Hour, Traces: 24 * time.Hour, Aggregates: 400 * 24 * time.Hour}, now)
		if err != nil || p.Messages != 1400 || p.Aggregates != 0 || p.Oversize != 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		left := all(t, s)
		if len(left) != 1000 || left[0].At.Before(now.Add(-60*time.Hour)) {
			t.Errorf("%d left, from %v", len(left), left[0].At)
		}
		if n := rowCount(t, s, "traces"); n == 0 || n+p.Traces != before {
			t.Errorf("%d traces of %d left, %d removed", n, before, p.Traces)
		}
		if n := rowCount(t, s, "message_domains"); n != 2000 {
			t.Errorf("%d domains", n)
		}
		if !maps.Equal(counts, counted(t, s)) {
			t.Error("aggregates changed")
		}
		checkBooks(t, s)

		texts := rowCount(t, s, "texts")
		p, err = s.Prune(t.Context(), Retention{Messages: 60 * time.Hour, Aggregates: 48 * time.Hour}, now)
		if err != nil || p.Aggregates == 0 || p.Messages != 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		if days, first := aggregateDays(t, s), memory.DayOf(now)-2; len(days) != 2 || days[0] != first {
			t.Errorf("aggregates of %v", days)
		}
		if n := rowCount(t, s, "texts"); n == 0 || n >= texts {
			t.Errorf("%d texts of %d left", n, texts)
		}
		// A text that was dropped is stored again.
		load(t, s, "b", d.batch(400, epoch0, time.Hour))
		if counted(t, s); rowCount(t, s, "texts") == 0 {
			t.Error("no texts")
		}
		for sum, n := range counted(t, s) {
			if sum.what != "messages" && sum.text == "" || n == 0 {
				t.Errorf("%+v: %d", sum, n)
			}
		}
		checkBooks(t, s)
	})
}

func TestPruneBySize(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		for range 3 {
			fewDays(t, s, 8)
		}
		counts := counted(t, s)
		size, err := s.Size(t.Context())
		if err != nil || size < 1<<20 {
			t.Fatal(size, err)
		}
		p, err := s.Prune(t.Context(), Retention{MaxBytes: size * 3 / 4}, epoch0)
		if err != nil || p.Bytes > size*3/4 || p.Bytes < size/2 || p.OversizeTraces == 0 || p.Oversize == 0 || p.Messages+p.Traces != 0 {
			t.Fatalf("of %d: %+v, %v", size, p, err)
		}
		left := all(t, s)
		if int64(len(left)) != 3*8*400-p.Oversize || !left[0].At.After(epoch0.Add(12*time.Hour)) {
			t.Errorf("%d left, from %v", len(left), left[0].At)
		}
		if !maps.Equal(counts, counted(t, s)) {
			t.Error("aggregates changed")
		}
		checkBooks(t, s)
		if p, err := s.Prune(t.Context(), Retention{MaxBytes: 1}, epoch0); err != nil || len(all(t, s)) != 0 || rowCount(t, s, "message_domains") != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		if !maps.Equal(counts, counted(t, s)) {
			t.Error("aggregates changed")
		}
		checkBooks(t, s)
	})
}

// What SQLite no longer needs is given back to the file system.
func TestSQLiteGivesSpaceBack(t *testing.T) {
	db := sqliteDatabase(t)
	s := db.open(t, func(s *Store) { s.timing.sparePages = 200 })
	d := newTraffic(1, 100)
	for i := range 6 {
		load(t, s, "a", d.batch(1000, epoch0.Add(time.Duration(i)*time.Hour), time.Hour))
	}
	length := func() int64 {
		rawChange(t, s, `PRAGMA wal_checkpoint(TRUNCATE)`)
		return must(os.Stat(filepath.Join(db.dir, "test.db"))).Size()
	}
	before := length()
	if _, err := s.Prune(t.Context(), Retention{Messages: time.Hour}, epoch0.Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if after := length(); after > before/2 || before < 4<<20 {
		t.Errorf("%d bytes of %d", after, before)
	}
	for _, name := range []string{"test.db", "test.db-wal", "test.db-shm"} {
		if info, err := os.Stat(filepath.Join(db.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestPruneWhileLoading(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t, func(s *Store) { s.timing.slicePause = time.Millisecond })
		d := fewDays(t, s, 10)
		var wait sync.WaitGroup
		wait.Go(func() {
			if p, err := s.Prune(t.Context(), Retention{Messages: time.Hour, MaxBytes: 1}, epoch0.Add(240*time.Hour)); err != nil || p.Messages+p.Oversize < 4000 {
				t.Errorf("%+v, %v", p, err)
			}
		})
		for i := range 20 {
			load(t, s, "b", d.batch(50, epoch0.Add(time.Duration(230+i)*time.Hour), time.Hour))
		}
		wait.Wait()
		checkBooks(t, s)
	})
}
