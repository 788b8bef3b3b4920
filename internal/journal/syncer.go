package journal

import (
	"sync"
	"time"
)

// syncer makes written data survive a power cut. It has a goroutine of its own, because a
// sync may take seconds, and writing goes on meanwhile.
type syncer struct {
	cfg    *Config
	counts *counts
	wake   chan struct{}
	quit   chan struct{}

	mu      sync.Mutex
	current file // nil if there is none
	dirty   bool // current
	retired []file
	failed  bool // the last sync did
}

func newSyncer(cfg *Config, c *counts) *syncer {
	return &syncer{cfg: cfg, counts: c, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

// adopt takes the file that is written from now on.
func (s *syncer) adopt(f file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.dirty = f, false
}

// retire takes the file that is written no more; the syncer closes it.
func (s *syncer) retire() {
	s.mu.Lock()
	s.retired = append(s.retired, s.current)
	s.current, s.dirty = nil, false
	s.mu.Unlock()
	s.ring()
}

// wrote reports that there is something to sync.
func (s *syncer) wrote() {
	s.mu.Lock()
	first := !s.dirty
	s.dirty = true
	s.mu.Unlock()
	if first {
		s.ring()
	}
}

func (s *syncer) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *syncer) stop() { close(s.quit) }

// run syncs SyncEvery after the first write that is not synced, and once more
// when it is stopped.
func (s *syncer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-s.quit:
			s.last()
			return
		}
		timer.Reset(s.cfg.SyncEvery)
		select {
		case <-timer.C:
			s.sync()
		case <-s.quit:
			s.last()
			return
		}
	}
}

// last syncs all and closes the files.
func (s *syncer) last() {
	s.sync()
	s.mu.Lock()
	f := s.current
	s.current = nil
	s.mu.Unlock()
	if f != nil {
		f.Close()
	}
}

// sync syncs what was written until now.
func (s *syncer) sync() {
	s.mu.Lock()
	retired, current, dirty := s.retired, s.current, s.dirty
	s.retired, s.dirty = nil, false
	s.mu.Unlock()
	for _, f := range retired {
		s.one(f)
		f.Close()
	}
	if dirty && current != nil {
		s.one(current)
	}
}

// one syncs a file. After an error the file's content on disk is unknown, and another
// sync would report nothing: the error is counted and logged.
func (s *syncer) one(f file) {
	start := time.Now()
	err := f.Sync()
	took := time.Since(start)
	s.counts.lastSync.Store(int64(took))
	s.counts.syncs.Add(1)
	if err != nil {
		s.counts.syncErrors.Add(1)
		if !s.failed {
			s.cfg.Log.Error("journal cannot be synced; a power cut may cost records", "error", err)
		}
	}
	s.failed = err != nil
}
