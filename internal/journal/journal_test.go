package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

func TestRecordsReachTheStore(t *testing.T) {
	s := newStore()
	j := open(t, t.TempDir(), s, func(c *Config) { c.SegmentBytes = minSegment })
	const each, writers = 100, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { fill(t, j, newRecord, w*each, (w+1)*each) })
	}
	wg.Wait()
	syncNow(t, j)
	s.check(t, each*writers)
	st := j.Stats()
	if st.Appended != each*writers || st.Loaded != each*writers || st.Unloaded != 0 || st.Lag != 0 || st.Lost != (Lost{}) {
		t.Errorf("Stats: %+v", st)
	}
	closeNow(t, j)
	if err := j.Append(nil); err != ErrClosed {
		t.Errorf("Append after Close: %v", err)
	}
	if err := j.Sync(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Sync after Close: %v", err)
	}
}

func TestStoreComesLater(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, nil, func(c *Config) { c.SegmentBytes = minSegment })
	if err := j.Sync(t.Context()); err != ErrNoSink {
		t.Errorf("Sync without a store: %v", err)
	}
	fill(t, j, newRecord, 0, 100)
	closeNow(t, j)
	j = open(t, dir, nil, nil)
	fill(t, j, newRecord, 100, 150)
	if st := j.Stats(); st.Unloaded != 150 {
		t.Errorf("%d unloaded, want 150", st.Unloaded)
	}
	closeNow(t, j)

	s := newStore()
	j = open(t, dir, s, nil)
	syncNow(t, j)
	s.check(t, 150)
	closeNow(t, j)
	files, err := filepath.Glob(filepath.Join(dir, "*"+recordExt))
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v (%v)", files, err)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "journal")
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, 1)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 4 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, nil, nil)
	_, err := Open(Config{Dir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())+" has "+dir) {
		t.Errorf("second Open: %v", err)
	}
	closeNow(t, j)
	closeNow(t, open(t, dir, nil, nil))
}

func TestIDStays(t *testing.T) {
	dir := t.TempDir()
	s := newStore()
	for n := range 3 {
		j := open(t, dir, s, nil)
		fill(t, j, newRecord, n, n+1)
		syncNow(t, j)
		closeNow(t, j)
	}
	if len(s.position) != 1 {
		t.Errorf("ids: %v", s.position)
	}
	s.check(t, 3)
	if err := os.WriteFile(filepath.Join(dir, idName), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "32 hexadecimal digits") {
		t.Errorf("a broken id: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	s := newStore()
	j := open(t, t.TempDir(), s, nil)
	if err := j.Append(make([]byte, MaxPayload+1)); err != ErrTooLarge {
		t.Errorf("got %v", err)
	}
	r := newRecord(0)
	r.Helo = strings.Repeat("x", 1<<20-1000)
	if err := j.Append(encode(t, r)); err != nil {
		t.Error(err)
	}
	fill(t, j, newRecord, 1, 2)
	syncNow(t, j)
	s.check(t, 2)
	if st := j.Stats(); st.Lost.Large != 1 || st.Appended != 3 {
		t.Errorf("Stats: %+v", st)
	}
}

// What cannot be decoded is counted, and does not keep the rest.
func TestNoRecords(t *testing.T) {
	s := newStore()
	j := open(t, t.TempDir(), s, nil)
	for _, b := range []string{"", "x", strings.Repeat("\xff", 100)} {
		if err := j.Append([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, j, newRecord, 0, 1)
	syncNow(t, j)
	s.check(t, 1)
	if st := j.Stats(); st.Lost.Unreadable != 3 || s.lost != 3 {
		t.Errorf("%d lost in the store, %+v", s.lost, st)
	}
}

func TestPending(t *testing.T) {
	s := newStore()
	down := errors.New("down")
	s.before = func(context.Context, memory.Batch) error { return down }
	j := open(t, t.TempDir(), s, func(c *Config) { c.SegmentBytes = minSegment })
	fill(t, j, newRecord, 0, 200)
	pending := func(limit int) (ids []string) {
		err := j.Pending(t.Context(), func(r *memory.Record) bool {
			ids = append(ids, r.QueueID)
			return len(ids) < limit
		})
		if err != nil {
			t.Error(err)
		}
		return ids
	}
	all := pending(1000)
	if len(all) != 200 || all[0] != "0" || all[199] != "199" {
		t.Errorf("%d pending: %v", len(all), all)
	}
	if writeSome := pending(10); len(writeSome) != 10 {
		t.Errorf("%d pending, want 10", len(writeSome))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Pending(ctx, func(*memory.Record) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("Pending when done: %v", err)
	}
}

func TestPendingAfterLoad(t *testing.T) {
	s := newStore()
	j := open(t, t.TempDir(), s, nil)
	fill(t, j, newRecord, 0, 10)
	syncNow(t, j)
	s.mu.Lock() // nothing more is taken
	defer s.mu.Unlock()
	fill(t, j, newRecord, 10, 13)
	var ids []string
	if err := j.Pending(t.Context(), func(r *memory.Record) bool { ids = append(ids, r.QueueID); return true }); err != nil {
		t.Fatal(err)
	}
	if strings.Join(ids, " ") != "10 11 12" {
		t.Errorf("pending: %v", ids)
	}
}

func TestLag(t *testing.T) {
	dir := t.TempDir()
	now := day0
	clock := func(c *Config) { c.Now = func() time.Time { return now } }
	j := open(t, dir, nil, clock)
	if lag := j.Stats().Lag; lag != 0 {
		t.Errorf("lag of nothing: %v", lag)
	}
	fill(t, j, newRecord, 0, 1)
	now = now.Add(time.Hour)
	fill(t, j, newRecord, 1, 2)
	if lag := j.Stats().Lag; lag != time.Hour {
		t.Errorf("lag: %v", lag)
	}
	closeNow(t, j)
	now = now.Add(time.Hour)
	j = open(t, dir, nil, clock)
	if lag := j.Stats().Lag; lag != 2*time.Hour {
		t.Errorf("lag after Open: %v", lag)
	}
	closeNow(t, j)

	s := newStore()
	hold := make(chan struct{})
	s.before = func(context.Context, memory.Batch) error {
		<-hold
		return nil
	}
	j = open(t, dir, s, func(c *Config) { clock(c); c.BatchRecords = 1 })
	hold <- struct{}{}
	until(t, j, "one loaded", func(st Stats) bool { return st.Lag == time.Hour && st.Unloaded == 1 })
	close(hold)
	syncNow(t, j)
	if lag := j.Stats().Lag; lag != 0 {
		t.Errorf("lag of nothing left: %v", lag)
	}
}

func TestSyncGivesUp(t *testing.T) {
	s := newStore()
	s.asked = func(context.Context) error { return errors.New("down") }
	j := open(t, t.TempDir(), s, nil)
	fill(t, j, newRecord, 0, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := j.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := j.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
}

// A store that does not come back from a call keeps Close no longer than its context
// and a little more.
func TestCloseHangingStore(t *testing.T) {
	s := newStore()
	called, release := make(chan struct{}), make(chan struct{})
	s.before = func(context.Context, memory.Batch) error { close(called); <-release; return nil }
	j := open(t, t.TempDir(), s, nil)
	fill(t, j, newRecord, 0, 1)
	<-called
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Close(ctx); err == nil || !strings.Contains(err.Error(), "did not return") {
		t.Errorf("Close: %v", err)
	}
	close(release)
	j.workers.Wait()
}

// TestNewerJournalIsRefused refuses a journal with records that this version
// cannot read, and keeps them.
func TestNewerJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, 5)
	closeNow(t, j)
	path := filepath.Join(dir, versionName)
	if err := os.WriteFile(path, []byte(strconv.Itoa(memory.Version+1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), fmt.Sprintf("version %d", memory.Version+1)) {
		t.Errorf("a newer journal: %v", err)
	}
	if err := os.WriteFile(path, []byte("0\n"), 0o600); err != nil { // an older one
		t.Fatal(err)
	}
	s := newStore()
	j = open(t, dir, s, nil)
	syncNow(t, j)
	s.check(t, 5)
	if b, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(memory.Version) {
		t.Errorf("the version is noted as %q, %v", b, err)
	}
}
