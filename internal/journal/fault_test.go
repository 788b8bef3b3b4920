package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// disk intercepts the writes of a journal to its segments.
type disk struct {
	mu    sync.Mutex
	write func(b []byte, off int64) (n int, err error) // nil for none; n octets are written before the error
	trunc error
	sync  error
	hold  chan struct{} // not nil: writes of frames wait for it to be closed
}

type diskFile struct {
	file
	d *disk
}

func (d *disk) wrap(f file) file { return diskFile{f, d} }

func (d *disk) set(change func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (f diskFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	write, hold := f.d.write, f.d.hold
	f.d.mu.Unlock()
	if hold != nil && off > 0 {
		<-hold
	}
	if write == nil || off == 0 {
		return f.file.WriteAt(b, off)
	}
	n, err := write(b, off)
	if err == nil {
		n = len(b)
	}
	if w, werr := f.file.WriteAt(b[:n], off); werr != nil {
		return w, werr
	}
	return n, err
}

func (f diskFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.trunc != nil {
		return f.d.trunc
	}
	return f.file.Truncate(size)
}

func (f diskFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.sync != nil {
		return f.d.sync
	}
	return f.file.Sync()
}

// clock is a time that a test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) forward(d time.Duration) { c.ns.Add(int64(d)) }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(day0.UnixNano())
	return c
}

// A full disk costs records until there is room again, is asked once a second, and
// never again what was written by half.
func TestFullDisk(t *testing.T) {
	dir, d, c, s := t.TempDir(), &disk{}, newClock(), newStore()
	cfg := func(cfg *Config) { cfg.wrap, cfg.Now = d.wrap, c.now }
	j := open(t, dir, s, cfg)
	fill(t, j, newRecord, 0, 3)
	writes := 0
	d.set(func(d *disk) {
		d.write = func(b []byte, _ int64) (int, error) {
			writes++
			return len(b) / 2, &fs.PathError{Op: "write", Err: syscall.ENOSPC}
		}
	})
	for n := range 5 {
		if err := j.Append(encode(t, newRecord(100+n))); !errors.Is(err, ErrLost) {
			t.Errorf("Append to a full disk: %v", err)
		}
	}
	if writes != 1 {
		t.Errorf("%d writes in one second, want 1", writes)
	}
	c.forward(retryWrite)
	if err := j.Append(encode(t, newRecord(105))); !errors.Is(err, ErrLost) {
		t.Errorf("Append to a full disk, later: %v", err)
	}
	d.set(func(d *disk) { d.write = nil })
	c.forward(retryWrite)
	fill(t, j, newRecord, 3, 6)
	syncNow(t, j)
	s.check(t, 6)
	if st := j.Stats(); st.Lost != (Lost{Disk: 6}) || st.WriteErrors != 2 || writes != 2 || st.Appended != 12 {
		t.Errorf("%d writes; Stats: %+v", writes, st)
	}
	closeNow(t, j)
	closeNow(t, open(t, dir, s, nil))
	s.check(t, 6)
}

// Of a group that is written by half the whole records stay.
func TestFullDiskKeepsWhole(t *testing.T) {
	d, c, s := &disk{hold: make(chan struct{})}, newClock(), newStore()
	j := open(t, t.TempDir(), s, func(cfg *Config) { cfg.wrap, cfg.Now, cfg.Patience = d.wrap, c.now, time.Nanosecond })
	payload := encode(t, newRecord(0))
	if err := j.Append(payload); err != ErrLate { // holds the writer up
		t.Fatal(err)
	}
	until(t, j, "the writer has it", func(Stats) bool { return j.queue.size() > 0 && len(j.queue.kick) == 0 })
	for n := 1; n < 4; n++ {
		if err := j.Append(encode(t, newRecord(n))); err != ErrLate {
			t.Fatal(err)
		}
	}
	first := true
	d.set(func(d *disk) {
		d.write = func(b []byte, _ int64) (int, error) {
			if first { // it may have got more than one
				first = false
			}
			return frameHead + len(payload) + 1, syscall.ENOSPC
		}
		close(d.hold)
	})
	syncNow(t, j)
	st := j.Stats()
	if st.Loaded == 0 || st.Loaded+st.Lost.Disk != 4 || s.lost != 0 || st.Late != 4 {
		t.Errorf("Stats: %+v", st)
	}
	s.check(t, int(st.Loaded))
}

// Where a segment cannot be written, or not be cut, the next one is taken.
func TestBrokenSegment(t *testing.T) {
	for name, c := range map[string]struct{ write, trunc error }{
		"bad sector":         {syscall.EIO, nil},
		"cannot be cut":      {syscall.EIO, syscall.EIO},
		"full, and not cut":  {syscall.ENOSPC, syscall.EIO},
		"larger than may be": {syscall.EFBIG, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir, d, clk, s := t.TempDir(), &disk{}, newClock(), newStore()
			j := open(t, dir, s, func(cfg *Config) { cfg.wrap, cfg.Now = d.wrap, clk.now })
			fill(t, j, newRecord, 0, 3)
			broken := true
			d.set(func(d *disk) {
				d.trunc = c.trunc
				d.write = func(b []byte, off int64) (int, error) {
					if !broken {
						return 0, nil
					}
					broken = false
					return 7, c.write
				}
			})
			lost := 0
			if err := j.Append(encode(t, newRecord(3))); err != nil {
				lost = 1
			}
			if wantLost := c.write == syscall.ENOSPC; (lost == 1) != wantLost {
				t.Errorf("%d lost", lost)
			}
			clk.forward(retryWrite)
			fill(t, j, newRecord, 4-lost, 6)
			syncNow(t, j)
			closeNow(t, j)
			closeNow(t, open(t, dir, s, nil))
			s.check(t, 6)
			if s.lost != 0 {
				t.Errorf("%d lost in the store", s.lost)
			}
		})
	}
}

// A disk that hangs holds nobody up for longer than Patience, and loses nothing
// that the queue has room for.
func TestSlowDisk(t *testing.T) {
	d, s := &disk{hold: make(chan struct{})}, newStore()
	payload := encode(t, newRecord(0))
	j := open(t, t.TempDir(), s, func(cfg *Config) {
		cfg.wrap, cfg.Patience, cfg.QueueBytes = d.wrap, time.Millisecond, 10*(frameHead+len(payload))
	})
	for n := range 10 {
		if err := j.Append(encode(t, newRecord(n))); err != ErrLate {
			t.Fatalf("record %d: %v", n, err)
		}
	}
	if err := j.Append(payload); err != ErrQueueFull {
		t.Errorf("Append to a full queue: %v", err)
	}
	st := j.Stats()
	if st.Late != 10 || st.Lost != (Lost{Queue: 1}) || st.Appended != 11 || st.Queued == 0 {
		t.Errorf("Stats: %+v", st)
	}
	close(d.hold)
	syncNow(t, j)
	s.check(t, 10)
}

// A write that takes long, and Close that does not wait for it for ever.
func TestCloseHangingDisk(t *testing.T) {
	dir, d := t.TempDir(), &disk{hold: make(chan struct{})}
	j := open(t, dir, nil, func(cfg *Config) { cfg.wrap, cfg.Patience = d.wrap, time.Millisecond })
	if err := j.Append(encode(t, newRecord(0))); err != ErrLate {
		t.Fatal(err)
	}
	ctx, cancel := contextDone(t)
	defer cancel()
	if err := j.Close(ctx); err == nil || !strings.Contains(err.Error(), "did not return") {
		t.Errorf("Close: %v", err)
	}
	close(d.hold)
	j.workers.Wait()
	s := newStore()
	j = open(t, dir, s, nil)
	syncNow(t, j)
	s.check(t, 1)
}

func TestSyncErrors(t *testing.T) {
	d, s := &disk{}, newStore()
	j := open(t, t.TempDir(), s, func(cfg *Config) { cfg.wrap, cfg.SyncEvery = d.wrap, time.Nanosecond })
	d.set(func(d *disk) { d.sync = syscall.EIO })
	fill(t, j, newRecord, 0, 10)
	syncNow(t, j)
	closeNow(t, j)
	s.check(t, 10)
	if st := j.Stats(); st.SyncErrors == 0 || st.Syncs < st.SyncErrors {
		t.Errorf("Stats: %+v", st)
	}
}

// persist appends record n until it is written.
func persist(t *testing.T, j *Journal, c *clock, n int) {
	t.Helper()
	for start := time.Now(); j.Append(encode(t, newRecord(n))) != nil; c.forward(retryWrite) {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("record %d is never written: %+v", n, j.Stats())
		}
	}
}

// With no segment to write to, at the start as well, records are lost and mail is not.
func TestNoSegments(t *testing.T) {
	dir, d, c, s := t.TempDir(), &disk{}, newClock(), newStore()
	j := open(t, dir, nil, nil)
	fill(t, j, newRecord, 0, 5)
	closeNow(t, j)

	d.sync = syscall.ENOSPC // no head of a segment can be made permanent
	j = open(t, dir, s, func(cfg *Config) { cfg.wrap, cfg.Now = d.wrap, c.now })
	if err := j.Append(encode(t, newRecord(99))); !errors.Is(err, ErrLost) {
		t.Errorf("Append without a segment: %v", err)
	}
	syncNow(t, j)
	s.check(t, 5)
	d.set(func(d *disk) { d.sync = nil })
	persist(t, j, c, 5)
	fill(t, j, newRecord, 6, 10)
	syncNow(t, j)
	s.check(t, 10)
}

// A tmpfs that is too small, filled and emptied by somebody else.
func TestSmallDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("skipped: a tmpfs cannot be mounted here: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s := newStore()
	s.asked = func(context.Context) error { return errors.New("down") }
	c := newClock()
	j := open(t, filepath.Join(dir, "journal"), s, func(cfg *Config) { cfg.SegmentBytes, cfg.Now = 32<<10, c.now })
	kept := 0
	for n := range 5000 {
		err := j.Append(encode(t, newRecord(n)))
		if err != nil && !errors.Is(err, ErrLost) {
			t.Fatal(err)
		}
		if err != nil {
			kept = n
			break
		}
	}
	if kept == 0 {
		t.Fatal("256 KiB never filled up")
	}
	if err := j.Append(encode(t, newRecord(99))); !errors.Is(err, ErrLost) {
		t.Errorf("Append to a full disk: %v", err)
	}
	closeDone(t, j)

	// With the disk still full: open, load, and there is room again.
	s = newStore()
	j = open(t, filepath.Join(dir, "journal"), s, func(cfg *Config) { cfg.SegmentBytes, cfg.Now = 32<<10, c.now })
	syncNow(t, j)
	s.check(t, kept)
	persist(t, j, c, kept)
	fill(t, j, newRecord, kept+1, kept+10)
	syncNow(t, j)
	s.check(t, kept+10)
	closeNow(t, j)
	if _, err := os.Stat(filepath.Join(dir, "journal", idName)); err != nil {
		t.Error(err)
	}
}
