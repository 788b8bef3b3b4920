// Package spool stores whole mails in a folder until they are processed: reports received
// by milter, LMTP or IMAP, each with its metadata, such as its verdict. A mail is written
// as a Draft, is on disk once Commit has returned, and is taken as an Item, which Ack
// removes.
//
// The folder is bounded in octets and mails. A mail that does not fit is refused with
// ErrFull, and only that mail is lost to its feed. Committed mails survive a kill and a
// power cut. Either may cause a mail to be delivered again, even if it was acknowledged
// just before, so a consumer must recognise duplicates. The content of mails is not
// examined.
package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errors that callers distinguish.
var (
	ErrFull   = errors.New("spool: full")
	ErrClosed = errors.New("spool: closed")
)

// Config configures a Spool. Only Dir is required.
type Config struct {
	Dir      string // created if missing; no other user
	MaxBytes int64  // all mails and drafts together; 0: 2 GiB
	MaxMails int    // 0: 200,000
	Now      func() time.Time
}

// Defaults of Config.
const (
	defaultMaxBytes = 2 << 30
	defaultMaxMails = 200_000
)

// Spool is one folder of mails. It is safe for concurrent use.
type Spool struct {
	config Config

	mu     sync.Mutex
	more   *sync.Cond // signalled when queue grows and at Close
	queue  []entry    // available mails, oldest first
	feeds  map[string]int
	bytes  int64 // of all mails and drafts
	mails  int   // mails on disk and drafts, including taken ones
	serial uint64
	closed bool
	stats  Stats
}

// entry is one mail on disk that is not taken.
type entry struct {
	name name
	size int64 // of the file
}

// Stats is the state of a Spool.
type Stats struct {
	Mails   int            // committed and not acknowledged
	Bytes   int64          // on disk, with drafts
	Feeds   map[string]int // Mails by feed
	Oldest  time.Time      // commit time of the oldest mail not taken; zero if there is none
	Refused uint64         // drafts that did not fit or could not be written, since Open
	Damaged uint64         // unreadable files set aside, since Open
}

// Open prepares the folder and recovers the mails of an earlier process. It removes
// uncommitted drafts. The caller ensures that no other process uses the folder.
func Open(config Config) (*Spool, error) {
	if config.MaxBytes <= 0 {
		config.MaxBytes = defaultMaxBytes
	}
	if config.MaxMails <= 0 {
		config.MaxMails = defaultMaxMails
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{config: config, feeds: map[string]int{}}
	s.more = sync.NewCond(&s.mu)
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return s, nil
}

// recover reads the folder.
func (s *Spool) recover() error {
	files, err := os.ReadDir(s.config.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), draftPrefix) {
			if err := os.Remove(filepath.Join(s.config.Dir, f.Name())); err != nil {
				return err
			}
			continue
		}
		n, ok := parseName(f.Name())
		if !ok {
			continue // set aside, or not ours
		}
		info, err := f.Info()
		if err != nil {
			return err
		}
		s.queue = append(s.queue, entry{name: n, size: info.Size()})
		s.feeds[n.feed]++
		s.mails++
		s.bytes += info.Size()
		s.serial = max(s.serial, n.serial)
	}
	slices.SortFunc(s.queue, func(a, b entry) int { return a.name.compare(b.name) })
	return nil
}

// Dir returns the folder.
func (s *Spool) Dir() string { return s.config.Dir }

// Stats returns the current state.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Bytes, out.Feeds = s.bytes, make(map[string]int, len(s.feeds))
	for feed, n := range s.feeds {
		out.Feeds[feed] = n
		out.Mails += n
	}
	for _, e := range s.queue {
		if at := time.Unix(0, e.name.at); out.Oldest.IsZero() || at.Before(out.Oldest) {
			out.Oldest = at
		}
	}
	return out
}

// Take returns the oldest mail that is not taken, and waits for one if there is none. The
// caller ends it with Ack or Release. The error is that of ctx, or ErrClosed.
func (s *Spool) Take(ctx context.Context) (*Item, error) {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.more.Broadcast()
	})
	defer stop()
	for {
		e, err := s.next(ctx)
		if err != nil {
			return nil, err
		}
		item, err := s.open(e)
		if err == nil {
			return item, nil
		}
		s.setAside(e)
	}
}

// next waits for the first of the queue and removes it.
func (s *Spool) next(ctx context.Context) (entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return entry{}, ErrClosed
		case ctx.Err() != nil:
			return entry{}, ctx.Err()
		case len(s.queue) > 0:
			e := s.queue[0]
			s.queue = s.queue[1:]
			return e, nil
		}
		s.more.Wait()
	}
}

// enqueue makes a mail available.
func (s *Spool) enqueue(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, e)
	s.more.Signal()
}

// forget subtracts a missing mail from the counts.
func (s *Spool) forget(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails--
	s.bytes -= e.size
	if s.feeds[e.name.feed]--; s.feeds[e.name.feed] == 0 {
		delete(s.feeds, e.name.feed)
	}
}

// setAside renames an unreadable file, so that a person may examine it.
func (s *Spool) setAside(e entry) {
	path := filepath.Join(s.config.Dir, e.name.String())
	_ = os.Rename(path, path+damagedSuffix) // a missing file counts as set aside
	s.forget(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Damaged++
}

// Close ends every Take with ErrClosed and refuses new drafts. Open items and drafts may
// still be completed.
func (s *Spool) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
}
