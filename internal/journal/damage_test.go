package journal

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"dmarcd/internal/memory"
)

// journalOf makes a closed journal with one segment of n records.
func journalOf(t *testing.T, n int) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, n)
	closeNow(t, j)
	names := glob(t, dir, recordExt)
	if len(names) != 1 {
		t.Fatal(names)
	}
	return dir, names[0]
}

// reopen puts b into the segment, loads the journal into a new store, and returns
// it after ten more records.
func reopen(t *testing.T, dir, path string, b []byte, n int) *store {
	t.Helper()
	for _, old := range glob(t, dir, recordExt) {
		if err := os.Remove(old); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path, string(b))
	s := newStore()
	j := open(t, dir, s, nil)
	fill(t, j, newRecord, n, n+10)
	syncNow(t, j)
	closeNow(t, j)
	for i := n; i < n+10; i++ {
		if s.times(i) != 1 {
			t.Errorf("record %d, of a later segment: %d times", i, s.times(i))
		}
	}
	if len(s.problems) > 0 {
		t.Error(s.problems)
	}
	return s
}

// A segment cut anywhere in its last two frames, as by a power cut.
func TestTornTail(t *testing.T) {
	const n = 4
	dir, path := journalOf(t, n)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{segmentHead}
	for end := segmentHead; end < len(b); {
		end += frameLen(b[end:])
		ends = append(ends, end)
	}
	if len(ends) != n+1 {
		t.Fatal(ends)
	}
	step := 7
	if testing.Short() {
		step = 29
	}
	for salvage := ends[n-2] - 1; salvage <= len(b); salvage += step {
		s := reopen(t, dir, path, b[:salvage], n)
		for i := range n {
			want := 0
			if ends[i+1] <= salvage {
				want = 1
			}
			if got := s.times(i); got != want {
				t.Errorf("cut at %d: record %d loaded %d times, want %d", salvage, i, got, want)
			}
		}
		if s.lost != 0 {
			t.Errorf("cut at %d: %d lost", salvage, s.lost)
		}
	}
}

// A segment with one octet changed loses one record, and says so; without its head
// it loses all.
func TestFlippedOctet(t *testing.T) {
	const n = 4
	dir, path := journalOf(t, n)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := segmentHead // where the last frame begins
	for last+frameLen(good[last:]) < len(good) {
		last += frameLen(good[last:])
	}
	step := 13
	if testing.Short() {
		step = 101
	}
	for at := 0; at < len(good); at += step {
		b := bytes.Clone(good)
		b[at] ^= 0x55
		s := reopen(t, dir, path, b, n)
		kept := 0
		for i := range n {
			kept += s.times(i)
		}
		switch {
		case at < segmentHead && (kept != 0 || s.lost != n),
			at >= segmentHead && kept != n-1,
			at >= segmentHead && at < last && s.lost != 1,
			s.lost > n:
			t.Errorf("octet %d: %d of %d loaded, %d lost", at, kept, n, s.lost)
		}
	}
}

// Segments that are missing, empty, or no files.
func TestStrangeSegments(t *testing.T) {
	const n = 4
	dir, path := journalOf(t, n)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := reopen(t, dir, path, nil, n); s.lost != 0 {
		t.Errorf("empty: %d lost", s.lost)
	}
	if s := reopen(t, dir, path, make([]byte, 4096), n); s.lost > 1 {
		t.Errorf("zeros: %d lost", s.lost)
	}
	if s := reopen(t, dir, filepath.Join(dir, segmentName(7, recordExt)), b, n); s.lost != n {
		t.Errorf("under another number: %d lost, want %d", s.lost, n)
	}
}

// A segment is removed by hand while the store is not there.
func TestSegmentRemovedWhileOpen(t *testing.T) {
	const n = 4
	dir, path := journalOf(t, n)
	s := newStore()
	hold := make(chan struct{})
	s.asked = func(context.Context) error { <-hold; return nil }
	j := open(t, dir, s, nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := j.Pending(t.Context(), func(*memory.Record) bool { t.Error("read a removed file"); return true }); err != nil {
		t.Error(err)
	}
	fill(t, j, newRecord, 0, 3)
	close(hold)
	syncNow(t, j)
	s.check(t, 3)
	if s.lost != n {
		t.Errorf("%d lost, want %d", s.lost, n)
	}
}

// The file being written is cut by somebody else: lost records are counted, and what
// comes later is loaded.
func TestSegmentCutWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	s.mu.Lock()
	j := open(t, dir, s, nil)
	fill(t, j, newRecord, 0, 10)
	_, _, end := j.index.bounds()
	path := filepath.Join(dir, segmentName(end.Segment, recordExt))
	truncate(t, path, (segmentHead+end.Offset)/2)
	s.mu.Unlock()
	syncNow(t, j)
	fill(t, j, newRecord, 10, 20)
	syncNow(t, j)
	kept := 0
	for i := range 20 {
		kept += s.times(i)
	}
	if kept < 10 || kept+int(s.lost) != 20 || j.Stats().Lost.Unreadable != s.lost || len(s.problems) > 0 {
		t.Errorf("%d loaded, %d lost; %v", kept, s.lost, s.problems)
	}
}
