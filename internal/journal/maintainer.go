package journal

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// maintainer has a new segment ready for the writer, and keeps the journal within
// its bound. Its work takes time. Nobody waits for it but the loader, when it
// reaches a segment that is being rewritten.
type maintainer struct {
	cfg    *Config
	index  *segmentIndex
	counts *counts
	wake   chan struct{}

	mu    sync.Mutex
	spare *freshSegment // nil while there is none

	// Of the goroutine.
	noSegment bool // the last segment could not be made
	noRoom    bool // the last try to make room failed
}

// freshSegment is a new segment, ready to be written to.
type freshSegment struct {
	number uint64
	seed   uint32
	f      file
}

// retryMaintainer is when the maintainer tries again after an error.
const retryMaintainer = time.Second

func newMaintainer(cfg *Config, s *segmentIndex, c *counts) *maintainer {
	return &maintainer{cfg: cfg, index: s, counts: c, wake: make(chan struct{}, 1)}
}

// take hands out the new segment; nil if there is none.
func (k *maintainer) take() *freshSegment {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.spare
	k.spare = nil
	k.ring()
	return m
}

// ring wakes the maintainer.
func (k *maintainer) ring() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// ready reports whether take would return a segment.
func (k *maintainer) ready() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spare != nil
}

// supply makes the new segment if there is none. It reports whether there is one.
func (k *maintainer) supply() bool {
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
func (k *maintainer) create() (*freshSegment, error) {
	number := k.index.number(k.cfg.Now())
	path := filepath.Join(k.cfg.Dir, segmentName(number, recordExt))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	head, seed := newHead(number)
	m := &freshSegment{number: number, seed: seed, f: k.cfg.wrap(f)}
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
// room, and again some time after something failed.
func (k *maintainer) run(ctx context.Context) {
	for {
		wake := k.wake
		var retry <-chan time.Time
		if supplied, shrunk := k.supply(), k.shrink(ctx); !supplied || !shrunk {
			wake, retry = nil, time.After(retryMaintainer)
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
func (k *maintainer) close() error {
	m := k.take()
	if m == nil {
		return nil
	}
	err := m.f.Close()
	k.index.unlink(segmentName(m.number, recordExt))
	return err
}
