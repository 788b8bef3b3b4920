package journal

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// keepBuffer is the largest buffer kept for the next group, in octets.
const keepBuffer = 1 << 20

// queue holds the frames for the writer. All waiting frames go into one write.
type queue struct {
	limit int
	kick  chan struct{} // wakes the writer
	pool  sync.Pool     // of *waiter

	mu      sync.Mutex
	group   group
	next    group // empty, its memory is used again
	writing int   // octets that the writer has taken
	closed  bool  // takes no more
	dead    bool  // the writer has stopped
}

// group is a batch of frames written to disk at once.
type group struct {
	buf     []byte    // frames, not yet sealed
	waiters []*waiter // in the order of their frames
}

// waiter waits for all before end in its group to be written.
type waiter struct {
	end   int
	state atomic.Int32
	done  chan error // capacity 1
	timer *time.Timer
}

// States of a waiter.
const (
	waiting = iota
	answered
	abandoned // its patience is over
)

func newQueue(limit int) *queue {
	return &queue{
		limit: limit,
		kick:  make(chan struct{}, 1),
		pool: sync.Pool{New: func() any {
			t := time.NewTimer(time.Hour)
			t.Stop()
			return &waiter{done: make(chan error, 1), timer: t}
		}},
	}
}

// put appends a frame and returns the waiter for its write. Its error is ErrQueueFull or
// ErrClosed.
func (q *queue) put(kind byte, at int64, payload []byte) (*waiter, error) {
	w := q.pool.Get().(*waiter)
	q.mu.Lock()
	var err error
	switch {
	case q.closed:
		err = ErrClosed
	case q.writing+len(q.group.buf)+frameHead+len(payload) > q.limit:
		err = ErrQueueFull
	default:
		q.group.buf = appendFrame(q.group.buf, kind, at, payload)
		q.join(w)
	}
	q.mu.Unlock()
	if err != nil {
		q.pool.Put(w)
		return nil, err
	}
	q.wake()
	return w, nil
}

// join makes w wait for all that is queued. q.mu is held.
func (q *queue) join(w *waiter) {
	w.end = len(q.group.buf)
	w.state.Store(waiting)
	q.group.waiters = append(q.group.waiters, w)
}

func (q *queue) wake() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// wait waits for the write, at most for patience; ErrLate means that it had not finished.
func (q *queue) wait(w *waiter, patience time.Duration) error {
	w.timer.Reset(patience)
	var err error
	select {
	case err = <-w.done:
	case <-w.timer.C:
		if w.state.CompareAndSwap(waiting, abandoned) {
			return ErrLate // answer releases w
		}
		err = <-w.done
	}
	w.timer.Stop()
	q.pool.Put(w)
	return err
}

// answer returns a waiter the result of its write.
func (q *queue) answer(w *waiter, err error) {
	if w.state.CompareAndSwap(waiting, answered) {
		w.done <- err
		return
	}
	q.pool.Put(w)
}

// flush waits until all that is queued now is written or lost.
func (q *queue) flush(ctx context.Context) error {
	w := q.pool.Get().(*waiter)
	q.mu.Lock()
	if q.dead {
		q.mu.Unlock()
		return ErrClosed
	}
	q.join(w)
	q.mu.Unlock()
	q.wake()
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		<-w.done
	}
	q.pool.Put(w)
	return nil
}

// take hands over all that waits.
func (q *queue) take() group {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.group
	q.group, q.next = q.next, group{}
	q.writing = len(g.buf)
	return g
}

// done takes back a group that was written and answered.
func (q *queue) done(g group) {
	if cap(g.buf) > keepBuffer {
		g = group{}
	}
	clear(g.waiters)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = 0
	q.next = group{buf: g.buf[:0], waiters: g.waiters[:0]}
}

// close makes the queue take no more frames.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// shutDown ends the queue: nothing will be taken from it again.
func (q *queue) shutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.dead = true, true
	for _, w := range q.group.waiters {
		q.answer(w, ErrClosed)
	}
	q.group = group{}
}

// size is how much waits, in octets.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.writing + len(q.group.buf)
}
