package journal

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	// maxWrite is the approximate size of one write, in octets.
	maxWrite = 1 << 20
	// retryWrite is for how long nothing is written after an error.
	retryWrite = time.Second
)

var (
	errNoSegment = errors.New("no segment could be made")
	errFull      = errors.New("the journal is full")
)

// writer writes records. Only its goroutine uses it, once it runs.
type writer struct {
	cfg        *Config
	queue      *queue
	index      *segmentIndex
	maintainer *maintainer
	syncer     *syncer
	counts     *counts
	quit       chan struct{}

	current *freshSegment // nil if there is none to write to
	segment *segment      // of current
	number  uint32        // of the next frame
	broken  bool          // current takes no more

	failing bool      // the last write failed
	retry   time.Time // not before, if failing
	lost    uint64    // records, while failing
}

func newWriter(cfg *Config, j *Journal) *writer {
	return &writer{
		cfg: cfg, queue: j.queue, index: j.index, maintainer: j.maintainer, syncer: j.syncer, counts: &j.counts,
		quit: make(chan struct{}),
	}
}

// run writes until stop is called, and then the rest.
func (w *writer) run() {
	defer w.queue.shutDown()
	for {
		select {
		case <-w.queue.kick:
			w.writeQueued()
		case <-w.quit:
			w.writeQueued()
			return
		}
	}
}

func (w *writer) stop() { close(w.quit) }

func (w *writer) writeQueued() {
	g := w.queue.take()
	w.write(&g)
	w.queue.done(g)
}

// write writes a group, or drops what cannot be written, and answers the waiters.
func (w *writer) write(g *group) {
	pos, next := 0, 0
	answer := func(err error) {
		for ; next < len(g.waiters) && g.waiters[next].end <= pos; next++ {
			w.queue.answer(g.waiters[next], err)
		}
	}
	answer(nil) // of a flush with nothing before it
	for pos < len(g.buf) {
		n, err := w.writeSome(g.buf[pos:])
		pos += n
		answer(nil)
		if err == nil {
			continue
		}
		w.lose(g.buf[pos:])
		pos = len(g.buf)
		answer(ErrLost)
	}
}

// writeSome writes whole frames of b, and returns how much of it is written. After an
// error it must not be called again for the same frames.
func (w *writer) writeSome(b []byte) (int, error) {
	if w.failing && w.cfg.Now().Before(w.retry) {
		return 0, ErrLost
	}
	w.roll()
	over, full := w.index.room()
	if over {
		w.maintainer.ring()
	}
	switch {
	case w.current == nil:
		return 0, w.failed(errNoSegment)
	case full:
		err := w.failed(errFull)
		w.retry = time.Time{} // checking again costs nothing
		return 0, err
	}
	n, frames := 0, uint32(0)
	for n < len(b) && (n == 0 || n+frameLen(b[n:]) <= maxWrite) {
		n += seal(b[n:], w.current.seed, w.number+frames)
		frames++
	}
	wrote, err := w.current.f.WriteAt(b[:n], w.segment.size)
	if err == nil {
		w.commit(b, n, frames)
		return n, nil
	}
	return w.salvage(b[:n], wrote, err)
}

// commit makes n octets of frames visible to readers.
func (w *writer) commit(b []byte, n int, frames uint32) {
	w.number += frames
	w.index.commit(w.segment, int64(n), int64(frames), parseHead(b).at)
	w.syncer.wrote()
	if w.failing {
		w.failing = false
		w.cfg.Log.Info("journal is written again", "records_lost", w.lost)
		w.lost = 0
	}
}

// salvage keeps the whole frames of a write that failed after wrote octets, and takes
// the rest off the segment.
func (w *writer) salvage(b []byte, wrote int, err error) (int, error) {
	w.counts.writeErrors.Add(1)
	n, frames := 0, uint32(0)
	for n < wrote && n+frameLen(b[n:]) <= wrote {
		n += frameLen(b[n:])
		frames++
	}
	first := !w.failing
	if n > 0 {
		w.commit(b, n, frames)
	}
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if terr := w.current.f.Truncate(w.segment.size); terr != nil || !full {
		w.broken = true // its content is unknown; what it should be is known
	}
	if first && !full && w.maintainer.ready() {
		w.cfg.Log.Error("journal: a segment cannot be written; a new one is begun", "segment", w.segment.number, "error", err)
		w.failing, w.retry = true, time.Time{}
		return n, nil
	}
	return n, w.failed(err)
}

// failed notes an error: nothing is written for a while.
func (w *writer) failed(err error) error {
	w.retry = w.cfg.Now().Add(retryWrite)
	if !w.failing {
		w.failing = true
		w.cfg.Log.Error("journal cannot be written; records are lost, mail is not", "error", err)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// lose counts the frames of b.
func (w *writer) lose(b []byte) {
	for len(b) > 0 {
		b = b[frameLen(b):]
		w.lost++
		w.counts.lostDisk.Add(1)
	}
}

// roll begins a new segment when the current one is full, if one is ready.
func (w *writer) roll() {
	if w.current != nil && !w.broken && w.segment.size < w.cfg.SegmentBytes {
		return
	}
	fresh := w.maintainer.take()
	if fresh == nil {
		if w.broken {
			w.release()
		}
		return
	}
	w.release()
	w.current, w.number = fresh, 0
	w.segment = w.index.add(fresh.number)
	w.syncer.adopt(fresh.f)
}

// release closes the current segment.
func (w *writer) release() {
	if w.current == nil {
		return
	}
	w.index.seal(w.segment)
	w.syncer.retire()
	w.current, w.segment, w.broken = nil, nil, false
}
