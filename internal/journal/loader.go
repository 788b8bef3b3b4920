package journal

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"dmarcd/internal/memory"
)

// loader moves the journal into the store, segment by segment. Only the position that the
// store remembers says what it has.
type loader struct {
	cfg        *Config
	index      *segmentIndex
	counts     *counts
	checkpoint *checkpoint
	wake       chan struct{}
	ended      chan struct{}
	urgent     atomic.Int32 // how many wait for Sync

	// The rest is the goroutine's own.
	id      string
	known   bool            // store is the position that the store reported
	store   memory.Position // that the store has
	pending *segmentRange   // given to the store, which failed: it may have it
	start   memory.Position // where to begin, after asking the store
	after   uint64          // the last segment that is done with

	seg    *segment // being loaded; nil between two
	file   *os.File // of seg
	seed   uint32
	off    int64  // of the next frame in seg
	number uint32 // of that frame
	scan   scanner

	paced struct{ appended, loaded uint64 } // the counts at the last rest

	limit    int // records of the next batch
	failures int // failures in a row while the store could be reached
	refused  struct {
		segment uint64
		number  uint32
	} // the frame that the store will never take
	refusals int           // of frames, since the store took one
	delay    time.Duration // before the next try; 0 if all is well
	since    time.Time     // of the trouble
}

func newLoader(cfg *Config, s *segmentIndex, c *counts, n *checkpoint, id string) *loader {
	l := &loader{
		cfg: cfg, index: s, counts: c, checkpoint: n, id: id, limit: cfg.BatchRecords,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	s.alarm = l.ring
	return l
}

func (l *loader) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// sync waits until the cursor has reached target.
func (l *loader) sync(ctx context.Context, target memory.Position) error {
	l.urgent.Add(1)
	defer l.urgent.Add(-1)
	l.ring()
	for {
		there, moved := l.index.reached(target)
		if there {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ended:
			return ErrClosed
		}
	}
}

// run loads until ctx is done.
func (l *loader) run(ctx context.Context) {
	defer close(l.ended)
	defer l.leave()
	for ctx.Err() == nil {
		if err := l.step(ctx); err != nil && ctx.Err() == nil {
			l.backOff(ctx, err)
		}
	}
}

// step does one piece of work, or waits for some. After an error it is called again.
func (l *loader) step(ctx context.Context) error {
	if !l.known {
		return l.ask(ctx)
	}
	if l.seg == nil {
		if ok, err := l.enter(); ok || err != nil {
			return err
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
		return nil
	}
	part, ok := l.await(ctx)
	if !ok {
		return nil
	}
	began := time.Now()
	s := l.read(part)
	if s.empty() {
		l.advance(s)
	} else if err := l.load(ctx, s); err != nil {
		return err
	}
	if l.off >= part.size && !part.open {
		l.finish()
	}
	if s.entries() >= l.cfg.BatchRecords/2 {
		l.pace(ctx, time.Since(began))
	}
	return nil
}

// pace pauses for one and a half times as long as the last batch took, so that a
// backlog, which may keep processor and database busy for minutes, does not slow
// current mail. It does not pause while the loader falls behind, nor while somebody
// waits in Sync.
func (l *loader) pace(ctx context.Context, took time.Duration) {
	appended, loaded := l.counts.appended.Load(), l.counts.loaded.Load()
	fallingBehind := appended-l.paced.appended >= loaded-l.paced.loaded
	l.paced.appended, l.paced.loaded = appended, loaded
	if fallingBehind {
		return
	}
	t := time.NewTimer(min(took+took/2, time.Second))
	defer t.Stop()
	for l.urgent.Load() == 0 {
		select {
		case <-t.C:
			return
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

// maxRefusals is how many records in a row may be refused before the store, and not the
// records, looks faulty: then the loader waits at each, so that somebody can investigate.
const maxRefusals = 10

// backOff waits after an error, longer each time. A refused record needs no wait: it
// is left out next.
func (l *loader) backOff(ctx context.Context, err error) {
	if l.delay == 0 {
		if errors.Is(err, ErrRecord) && l.failures == 0 && l.refusals <= maxRefusals {
			return
		}
		l.delay, l.since = l.cfg.RetryMin, l.cfg.Now()
		l.cfg.Log.Error("journal cannot be loaded; records are kept", "error", err)
	} else {
		l.delay = min(2*l.delay, l.cfg.RetryMax)
	}
	t := time.NewTimer(l.delay/2 + rand.N(l.delay/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// recovered resets the back-off once the store has taken something.
func (l *loader) recovered() {
	l.failures = 0
	l.limit = min(2*l.limit, l.cfg.BatchRecords)
	if l.delay != 0 {
		l.cfg.Log.Info("journal is loaded again", "after", l.cfg.Now().Sub(l.since).Round(time.Millisecond))
		l.delay = 0
	}
}

// enter begins the next segment. It returns false if there is none.
func (l *loader) enter() (bool, error) {
	seg := l.index.claim(l.after)
	if seg == nil {
		return false, nil
	}
	if seg.number < l.start.Segment { // the store has it
		l.seg = seg
		l.finish()
		return true, nil
	}
	if l.checkpoint.last.segment != seg.number {
		if err := l.checkpoint.set(loadStart{segment: seg.number, from: l.store}); err != nil {
			// Not loading would be worse: records could count twice only if the process
			// also ended, restarted without the store, and ran out of room.
			l.cfg.Log.Error("journal: the checkpoint cannot be written", "error", err)
		}
	}
	if err := l.openSegment(seg); err != nil {
		return false, err
	}
	l.advance(segmentRange{to: memory.Position{Segment: seg.number, Offset: l.off}, next: l.number})
	return true, nil
}

// openSegment opens seg where loading begins in it.
func (l *loader) openSegment(seg *segment) error {
	now, _ := l.index.look(seg)
	f, err := os.Open(filepath.Join(l.cfg.Dir, now.name()))
	missing := errors.Is(err, fs.ErrNotExist)
	if err == nil {
		l.seed, err = readHead(f, now.number)
	}
	if err != nil && !missing && !errors.Is(err, errHead) {
		if f != nil {
			f.Close()
		}
		return err
	}
	l.seg, l.file, l.off, l.number = seg, f, segmentHead, 0
	if err != nil { // none of it can be read: see read
		l.cfg.Log.Error("journal: a segment cannot be read", "segment", now.name(), "error", err)
		l.file = nil
		if f != nil {
			f.Close()
		}
	}
	if l.start.Segment == now.number {
		l.seek(now, l.start.Offset)
	}
	return nil
}

// seek moves to the first frame at off or after it. The frames are counted on the
// way, so that those missing later are known.
func (l *loader) seek(now segment, off int64) {
	if l.file == nil {
		l.off = max(l.off, off)
		return
	}
	l.scan.reset(l.file, l.seed, segmentHead, now.size, 0, -1)
	for l.scan.off < off {
		f, ok := l.scan.scan()
		if !ok {
			break
		}
		if f.start >= off {
			l.off, l.number = f.start, f.number
			return
		}
	}
	l.off, l.number = l.scan.off, l.scan.next
	if now.exact && l.off >= now.size {
		l.number = uint32(now.frames)
	}
}

// finish deletes the current segment, which the store has completely.
func (l *loader) finish() {
	now, _ := l.index.look(l.seg)
	l.index.remove(l.seg)
	l.index.unlink(now.name())
	l.after = now.number
	l.leave()
}

// leave closes the open segment.
func (l *loader) leave() {
	if l.file != nil {
		l.file.Close()
	}
	l.seg, l.file = nil, nil
}

// await waits until there is enough to load, or something that has waited for long
// enough. It returns false when ctx is done.
func (l *loader) await(ctx context.Context) (segment, bool) {
	var due <-chan time.Time
	for {
		part, oldest := l.index.look(l.seg)
		octets, frames := part.size-l.off, part.frames-int64(l.number)
		switch {
		case !part.open,
			octets > 0 && l.urgent.Load() > 0,
			octets >= int64(l.cfg.BatchBytes),
			frames >= int64(l.cfg.BatchRecords):
			return part, true
		case octets > 0 && due == nil:
			waited := l.cfg.Now().Sub(time.UnixMilli(oldest))
			t := time.NewTimer(max(0, min(l.cfg.Linger, l.cfg.Linger-waited)))
			defer t.Stop()
			due = t.C
		}
		select {
		case <-l.wake:
		case <-due:
			part, _ = l.index.look(l.seg)
			return part, true
		case <-ctx.Done():
			return segment{}, false
		}
	}
}
