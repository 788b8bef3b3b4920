package journal

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// keeper keeps a new segment at hand for the writer, and the journal within its
// bound. What it does takes its time, and nobody waits for it but the loader,
// where it comes to the segment that the keeper has.
type keeper struct {
	cfg    *Config
	shelf  *shelf
	counts *counts
	wake   chan struct{}

	mu    sync.Mutex
	spare *made // nil while there is none

	// Of the goroutine.
	noSegment bool // the last segment could not be made
	noRoom    bool // the last try to make room failed
}

// made is a new segment that is ready to be written to.
type made struct {
	number uint64
	seed   uint32
	f      file
}

// retryKeeper is when the keeper tries again after an error.
const retryKeeper = time.Second

func newKeeper(cfg *Config, s *shelf, c *counts) *keeper {
	return &keeper{cfg: cfg, shelf: s, counts: c, wake: make(chan struct{}, 1)}
}

// take hands out the new segment; nil if there is none.
func (k *keeper) take() *made {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.spare
	k.spare = nil
	k.ring()
	return m
}

// ring wakes the keeper.
func (k *keeper) ring() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// ready reports whether take would return a segment.
func (k *keeper) ready() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spare != nil
}

// supply makes the new segment if there is none. It reports whether there is one.
func (k *keeper) supply() bool {
	if k.ready() {
		return true
	}
	m, err := k.create()
	if err != nil && !k.noSegment {
		k.cfg.Log.Error("journal: no segment can be made", "error", err)
	}
	k.noSegment = err != nil
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spare = m
	return err == nil
}

// create makes a segment that is there after a power cut.
func (k *keeper) create() (*made, error) {
	number := k.shelf.number(k.cfg.Now())
	path := filepath.Join(k.cfg.Dir, segmentName(number, recordExt))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	head, seed := newHead(number)
	m := &made{number: number, seed: seed, f: k.cfg.wrap(f)}
	_, err = m.f.WriteAt(head, 0)
	if err == nil {
		err = m.f.Sync()
	}
	if err == nil {
		err = syncDir(k.cfg.Dir)
	}
	if err != nil {
		m.f.Close()
		os.Remove(path)
		return nil, err
	}
	return m, nil
}

// run works until ctx is done: whenever a segment was taken or there is too little
// room, and again a while
// after something failed.
func (k *keeper) run(ctx context.Context) {
	for {
		wake := k.wake
		var retry <-chan time.Time
		if supplied, shrunk := k.supply(), k.shrink(ctx); !supplied || !shrunk {
			wake, retry = nil, time.After(retryKeeper)
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-retry:
		}
	}
}

// close removes the segment that nobody has written to.
func (k *keeper) close() error {
	m := k.take()
	if m == nil {
		return nil
	}
	err := m.f.Close()
	k.shelf.unlink(segmentName(m.number, recordExt))
	return err
}
