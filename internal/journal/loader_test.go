package journal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

// Batches have their bounds, and never hold records of two segments.
func TestBatches(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, nil, func(c *Config) { c.SegmentBytes = minSegment })
	paced(t, j, newRecord, 0, 300)
	closeNow(t, j)
	s := newStore()
	j = open(t, dir, s, func(c *Config) { c.BatchRecords = 7 })
	syncNow(t, j)
	s.check(t, 300)
	pos := memory.Position{}
	segments := map[uint64]bool{}
	for _, b := range s.batches {
		if b.From != pos || len(b.Records) > 7 || len(b.Records) == 0 {
			t.Errorf("batch from %v (%v) with %d records", b.From, pos, len(b.Records))
		}
		pos = b.To
		segments[b.To.Segment] = true
	}
	if len(segments) < 3 {
		t.Errorf("%d segments; the test wants several", len(segments))
	}
	closeNow(t, j)
}

func TestBatchBytes(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, 20)
	closeNow(t, j)
	s := newStore()
	j = open(t, dir, s, func(c *Config) { c.BatchBytes = 1 })
	syncNow(t, j)
	s.check(t, 20)
	if len(s.batches) != 20 {
		t.Errorf("%d batches, want 20", len(s.batches))
	}
}

// A batch that is full goes at once; one that is not, after Linger.
func TestLinger(t *testing.T) {
	s := newStore()
	loaded := make(chan int, 10)
	s.after = func(_ context.Context, b memory.Batch) error {
		loaded <- len(b.Records)
		return nil
	}
	j := open(t, t.TempDir(), s, func(c *Config) { c.Linger, c.BatchRecords = time.Hour, 5 })
	fill(t, j, newRecord, 0, 7)
	if n := <-loaded; n != 5 {
		t.Errorf("%d records in the first batch, want 5", n)
	}
	select {
	case n := <-loaded:
		t.Errorf("%d more did not linger", n)
	default:
	}
	syncNow(t, j)
	if n := <-loaded; n != 2 {
		t.Errorf("%d records in the second batch, want 2", n)
	}
	closeNow(t, j)

	s = newStore()
	j = open(t, t.TempDir(), s, func(c *Config) { c.Linger = 30 * time.Millisecond })
	start := time.Now()
	s.mu.Lock()
	fill(t, j, newRecord, 0, 3)
	s.mu.Unlock()
	until(t, j, "loaded", func(st Stats) bool { return st.Unloaded == 0 })
	if took := time.Since(start); took < 25*time.Millisecond {
		t.Errorf("loaded after %v", took)
	}
	if len(s.batches) != 1 {
		t.Errorf("%d batches, want 1", len(s.batches))
	}
}

// Whatever a store does, each record is loaded once, at last.
func TestTroubledStore(t *testing.T) {
	down := errors.New("down")
	for name, prepare := range map[string]func(s *store, n func() int64){
		"refuses now and then": func(s *store, n func() int64) {
			s.before = func(context.Context, memory.Batch) error {
				if n()%3 != 0 {
					return down
				}
				return nil
			}
		},
		"fails after committing": func(s *store, n func() int64) {
			s.after = func(context.Context, memory.Batch) error {
				if n()%2 == 0 {
					return down
				}
				return nil
			}
		},
		"does not know where it is": func(s *store, n func() int64) {
			s.after = func(context.Context, memory.Batch) error { return down }
			s.asked = func(context.Context) error {
				if n()%4 != 0 {
					return down
				}
				return nil
			}
		},
		"hangs before": func(s *store, n func() int64) {
			s.before = func(ctx context.Context, _ memory.Batch) error {
				if n()%3 == 0 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
		},
		"hangs after": func(s *store, n func() int64) {
			s.after = func(ctx context.Context, _ memory.Batch) error {
				if n()%3 == 0 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
		},
		"hangs when asked": func(s *store, n func() int64) {
			s.asked = func(ctx context.Context) error {
				if n()%3 == 0 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
			s.before = func(context.Context, memory.Batch) error {
				if n()%2 == 0 {
					return down
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			var calls atomic.Int64
			prepare(s, func() int64 { return calls.Add(1) })
			j := open(t, t.TempDir(), s, func(c *Config) {
				c.SegmentBytes, c.BatchRecords, c.LoadTimeout = minSegment, 10, 5*time.Millisecond
			})
			fill(t, j, newRecord, 0, 150)
			syncNow(t, j)
			s.check(t, 150)
			if st := j.Stats(); st.Loaded != 150 || st.Unloaded != 0 {
				t.Errorf("Stats: %+v", st)
			}
		})
	}
}

// Records that the store will never take are left out, without others, and counted.
func TestRefusedRecords(t *testing.T) {
	s := newStore()
	bad := []string{"0", "17", "18", "199"}
	s.before = func(_ context.Context, b memory.Batch) error {
		for i := range b.Records {
			if slices.Contains(bad, b.Records[i].QueueID) {
				return fmt.Errorf("insert: %w", ErrRecord)
			}
		}
		return nil
	}
	dir := t.TempDir()
	j := open(t, dir, nil, func(c *Config) { c.SegmentBytes = minSegment })
	fill(t, j, newRecord, 0, 200)
	closeNow(t, j)
	j = open(t, dir, s, func(c *Config) { c.RetryMin, c.RetryMax = time.Hour, time.Hour }) // not waited for
	syncNow(t, j)
	for n := range 200 {
		want := 1
		if slices.Contains(bad, fmt.Sprint(n)) {
			want = 0
		}
		if got := s.times(n); got != want {
			t.Errorf("record %d: loaded %d times, want %d", n, got, want)
		}
	}
	if st := j.Stats(); st.Lost.Refused != 4 || s.lost != 4 || st.Loaded != 196 {
		t.Errorf("%d lost in the store; Stats: %+v", s.lost, st)
	}
}

// A store that refuses all is not believed: most of the records are kept.
func TestRefusesAll(t *testing.T) {
	s := newStore()
	s.before = func(_ context.Context, b memory.Batch) error {
		if len(b.Records) > 0 {
			return ErrRecord
		}
		return nil
	}
	dir := t.TempDir()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, 50)
	closeNow(t, j)
	j = open(t, dir, s, func(c *Config) { c.RetryMin, c.RetryMax = time.Hour, time.Hour })
	until(t, j, "some are refused", func(st Stats) bool { return st.Lost.Refused >= maxRefusals })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := j.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync: %v", err)
	}
	if st := j.Stats(); st.Lost.Refused != maxRefusals || st.Unloaded != 50-maxRefusals {
		t.Errorf("Stats: %+v", st)
	}
}

// A store that cannot be reached for reasons of its own costs no record, however
// long it lasts, though smaller and smaller batches are tried.
func TestFailuresRefuseNothing(t *testing.T) {
	s := newStore()
	small := make(chan struct{})
	tries := 0
	s.before = func(_ context.Context, b memory.Batch) error {
		if tries++; len(b.Records) > 1 || tries < 40 {
			return errors.New("the disk of the store is full")
		}
		select {
		case <-small:
		default:
			close(small)
		}
		return nil
	}
	dir := t.TempDir()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, 20)
	closeNow(t, j)
	j = open(t, dir, s, func(c *Config) { c.RetryMax = time.Millisecond })
	<-small
	syncNow(t, j)
	s.check(t, 20)
	if st := j.Stats(); st.Lost != (Lost{}) || s.lost != 0 {
		t.Errorf("Stats: %+v", st)
	}
}

// The store was put back to an earlier state: it gets again what is still there.
func TestStoreGoesBack(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	j := open(t, dir, s, nil)
	fill(t, j, newRecord, 0, 5)
	syncNow(t, j)
	var id string
	var backup memory.Position
	for id, backup = range s.position {
	}
	fill(t, j, newRecord, 5, 10)
	syncNow(t, j)
	restore := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.position[id] = backup
		for n := 5; n < 10; n++ {
			delete(s.records, fmt.Sprint(n))
		}
		s.problems = nil
	}
	restore()
	fill(t, j, newRecord, 10, 12) // refused, for a gap
	syncNow(t, j)
	s.mu.Lock()
	s.problems = nil
	s.mu.Unlock()
	s.check(t, 12)
	closeNow(t, j)

	// While the journal is closed.
	restore()
	s.records["10"], s.records["11"] = 0, 0
	j = open(t, dir, s, nil)
	syncNow(t, j)
	s.check(t, 12)
	closeNow(t, j)

	// The segment is removed meanwhile: its records are not loaded.
	j = open(t, dir, s, nil)
	fill(t, j, newRecord, 12, 14)
	syncNow(t, j)
	restore()
	closeNow(t, j)
	s.records["12"], s.records["13"] = 0, 0
	j = open(t, dir, s, nil)
	syncNow(t, j)
	for n, want := range []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1} {
		if got := s.times(n); got != want {
			t.Errorf("record %d: %d times, want %d", n, got, want)
		}
	}
}

// A store that is new gets all that is there.
func TestStoreIsNew(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	j := open(t, dir, s, nil)
	fill(t, j, newRecord, 0, 5)
	syncNow(t, j)
	closeNow(t, j)
	s = newStore()
	j = open(t, dir, s, nil)
	fill(t, j, newRecord, 5, 7)
	syncNow(t, j)
	s.check(t, 7)
}

// Two journals with one id, as after copying a machine: none of them loses or doubles
// anything when both load, because one continues under an id of its own.
func TestCopiedJournal(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	s := newStore()
	closeNow(t, open(t, a, s, nil))
	if err := writeID(b, mustID(t, a)); err != nil {
		t.Fatal(err)
	}
	ja := open(t, a, s, nil)
	fill(t, ja, newRecord, 0, 5)
	syncNow(t, ja)
	jb := open(t, b, s, nil)
	for n := 5; n < 50; n += 10 {
		fill(t, jb, newRecord, n, n+5)
		syncNow(t, jb)
		fill(t, ja, newRecord, n+5, n+10)
		syncNow(t, ja)
	}
	closeNow(t, ja)
	closeNow(t, jb)
	s.problems = nil // it refused one batch
	s.check(t, 55)
	if mustID(t, a) == mustID(t, b) || len(s.position) != 2 {
		t.Errorf("ids: %v", s.position)
	}
}

// The store has a position that this journal never had: a clock that went back, and
// a directory that was emptied. What this process wrote is loaded all the same.
func TestStoreIsAhead(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 100, 105) // of before: taken as loaded
	closeNow(t, j)
	s.position[mustID(t, dir)] = memory.Position{Segment: 1 << 60, Offset: 1}
	j = open(t, dir, s, nil)
	fill(t, j, newRecord, 0, 5)
	syncNow(t, j)
	s.check(t, 5)
	closeNow(t, j)
	j = open(t, dir, s, nil)
	fill(t, j, newRecord, 5, 10)
	syncNow(t, j)
	s.check(t, 10)
	if len(s.position) != 2 {
		t.Errorf("ids: %v", s.position)
	}
}

func mustID(t *testing.T, dir string) string {
	t.Helper()
	id, err := readID(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A power cut may take from the journal what the store has already: the position
// is then beyond the segment's end.
func TestPositionAfterEnd(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	j := open(t, dir, s, nil)
	fill(t, j, newRecord, 0, 10)
	syncNow(t, j)
	closeNow(t, j)
	names, err := filepath.Glob(filepath.Join(dir, "*"+recordExt))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	truncate(t, names[0], segmentHead+50)
	j = open(t, dir, s, nil)
	fill(t, j, newRecord, 10, 12)
	syncNow(t, j)
	s.check(t, 12)
	if len(s.position) != 1 {
		t.Errorf("ids: %v", s.position)
	}
}

// A position in the middle of a frame, which no sound store has, loses that frame
// and no other.
func TestPositionInFrame(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, 5)
	_, _, end := j.index.bounds()
	closeNow(t, j)
	s.position[mustID(t, dir)] = memory.Position{Segment: end.Segment, Offset: segmentHead + 10}
	j = open(t, dir, s, nil)
	syncNow(t, j)
	for n, want := range []int{0, 1, 1, 1, 1} {
		if got := s.times(n); got != want {
			t.Errorf("record %d: %d times, want %d", n, got, want)
		}
	}
	if s.lost != 0 || len(s.problems) > 0 {
		t.Errorf("%d lost; %v", s.lost, s.problems)
	}
}

// The end of a segment that is being written was damaged and counted; the store,
// put back by a batch, is given the rest as before.
func TestSeekToDamagedEnd(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	j := open(t, dir, s, nil)
	fill(t, j, newRecord, 0, 3)
	syncNow(t, j)
	s.mu.Lock()
	fill(t, j, newRecord, 3, 6)
	_, _, end := j.index.bounds()
	truncate(t, filepath.Join(dir, segmentName(end.Segment, recordExt)), end.Offset-5)
	s.mu.Unlock()
	syncNow(t, j)
	failed := false
	s.after = func(_ context.Context, b memory.Batch) error {
		if failed {
			return nil
		}
		failed = true
		s.mu.Lock()
		defer s.mu.Unlock()
		s.position[mustID(t, dir)] = end // as before the batch
		for i := range b.Records {
			delete(s.records, b.Records[i].QueueID)
		}
		return errors.New("restored")
	}
	fill(t, j, newRecord, 6, 9)
	syncNow(t, j)
	fill(t, j, newRecord, 9, 12)
	syncNow(t, j)
	kept := 0
	for n := range 12 {
		kept += s.times(n)
	}
	if kept+int(s.lost) != 12 || s.lost != 1 {
		t.Errorf("%d loaded, %d lost; %v", kept, s.lost, s.problems)
	}
}
