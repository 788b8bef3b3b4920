package journal

import (
	"slices"
	"sync"
	"time"

	"dmarcd/internal/memory"
)

// segment is a file of the journal. The lock of the segment index guards it.
type segment struct {
	number uint64
	ext    string
	first  uint64 // the lowest segment that a compacted segment replaces; number for records
	size   int64  // octets that may be read
	frames int64  // in them; a guess unless exact
	exact  bool
	open   bool // it is being written
	busy   bool // the maintainer is rewriting it
}

func (s *segment) name() string { return segmentName(s.number, s.ext) }

// total is the argument for scanner.total.
func (s *segment) total() int64 {
	if s.exact {
		return s.frames
	}
	return -1
}

// segmentIndex lists the segments and how far they are loaded. The writer, the
// maintainer and the loader share it.
type segmentIndex struct {
	cfg *Config
	// alarm wakes the loader when there is something to do. Never nil.
	alarm func()

	mu       sync.Mutex
	list     []*segment // by number
	last     uint64     // the highest number ever used
	firstOwn uint64     // the lowest number that this process used; 0 for none yet
	// loading is the segment being loaded: the store may have part of it. Earlier
	// segments are loaded, later ones are not.
	loading uint64
	cursor  memory.Position // everything before it is loaded; zero while not known
	read    int64           // frames of the cursor's segment before the cursor
	oldest  int64           // time of the first record after the cursor, Unix milliseconds; 0 for none
	moved   chan struct{}   // closed and replaced when cursor or list change
}

// number returns the number of a new segment. Numbers follow the clock, so that they rise
// even where the directory was emptied or put back from a copy.
func (s *segmentIndex) number(now time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, uint64(max(0, now.UnixMilli())))
	if s.firstOwn == 0 {
		s.firstOwn = s.last
	}
	return s.last
}

// add adds a segment, which becomes the one being written.
func (s *segmentIndex) add(number uint64) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg := &segment{number: number, ext: recordExt, first: number, size: segmentHead, exact: true, open: true}
	s.list = append(s.list, seg)
	s.changed()
	return seg
}

// commit makes octets and frames of the segment being written readable. at is the time of
// the first of them.
func (s *segmentIndex) commit(seg *segment, octets, frames, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.size += octets
	seg.frames += frames
	if s.oldest == 0 {
		s.oldest = at
	}
	if seg.number != s.cursor.Segment {
		return
	}
	// Wake the loader only for what it waits for.
	unread, octetsUnread := seg.frames-s.read, seg.size-s.cursor.Offset
	if unread == frames || crossed(unread-frames, unread, s.cfg.BatchRecords) || crossed(octetsUnread-octets, octetsUnread, s.cfg.BatchBytes) {
		s.alarm()
	}
}

func crossed(before, now int64, mark int) bool { return before < int64(mark) && now >= int64(mark) }

// seal ends a segment: it is written no more.
func (s *segmentIndex) seal(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.open = false
	s.changed()
}

// changed wakes all waiters. s.mu is held.
func (s *segmentIndex) changed() {
	close(s.moved)
	s.moved = make(chan struct{})
	s.alarm()
}

// end is where the next record will be written, or zero if nothing is there.
func (s *segmentIndex) end() memory.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return memory.Position{}
	}
	seg := s.list[len(s.list)-1]
	return memory.Position{Segment: seg.number, Offset: seg.size}
}

// bytes is the size of all segments. s.mu is held.
func (s *segmentIndex) bytes() int64 {
	var n int64
	for _, seg := range s.list {
		n += seg.size
	}
	return n
}

// room reports whether the journal has outgrown its bound, and whether it has by
// so much that nothing more may be written: the maintainer cannot keep up, or cannot
// write either.
func (s *segmentIndex) room() (over, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.bytes()
	return n > s.cfg.MaxBytes, n > s.cfg.MaxBytes+s.cfg.MaxBytes/4
}

// remove takes a segment off the list; its file is the caller's business.
func (s *segmentIndex) remove(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(x *segment) bool { return x == seg })
	s.changed()
}

// snapshot copies the segments, and where the loader is.
func (s *segmentIndex) snapshot() (list []segment, cursor memory.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.list {
		list = append(list, *seg)
	}
	return list, s.cursor
}

// advance moves the cursor: everything before it is loaded. It reports whether anything
// remains after it.
func (s *segmentIndex) advance(cursor memory.Position, read int64) (left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor, s.read = cursor, read
	for _, seg := range s.list {
		switch {
		case seg.number == cursor.Segment:
			left = left || seg.size > cursor.Offset
		case seg.number > cursor.Segment:
			left = left || seg.size > segmentHead
		}
	}
	if !left {
		s.oldest = 0
	}
	s.changed()
	return left
}

// setOldest sets when the first record after the cursor arrived; 0 changes nothing.
func (s *segmentIndex) setOldest(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at != 0 {
		s.oldest = at
	}
}

// claim returns the first segment after number to the loader. It returns nil where there
// is none, or the maintainer has it; moved then signals when to try again.
func (s *segmentIndex) claim(number uint64) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.list {
		if seg.number <= number {
			continue
		}
		if seg.busy {
			return nil
		}
		s.loading = max(s.loading, seg.number) // its content is no less loaded than before
		return seg
	}
	return nil
}

// look copies a segment's entry, and returns when the first record after the cursor
// arrived.
func (s *segmentIndex) look(seg *segment) (now segment, oldest int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *seg, s.oldest
}

// bounds are the lowest number of this process, the highest of all, and the end of
// the segment that is written.
func (s *segmentIndex) bounds() (firstOwn, last uint64, end memory.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.list {
		if seg.open {
			end = memory.Position{Segment: seg.number, Offset: seg.size}
		}
	}
	return s.firstOwn, s.last, end
}

// describe fills in the part of Stats about the segments.
func (s *segmentIndex) describe(st *Stats, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Bytes, st.Segments = s.bytes(), len(s.list)
	for _, seg := range s.list {
		if seg.ext == compactedExt {
			st.Compacted++
		}
		switch {
		case seg.number > s.cursor.Segment:
			st.Unloaded += seg.frames
		case seg.number == s.cursor.Segment:
			st.Unloaded += max(0, seg.frames-s.read)
		}
	}
	if s.oldest != 0 {
		st.Lag = max(0, now.Sub(time.UnixMilli(s.oldest)))
	}
}

// reached reports whether the cursor is at target or after it; if not, moved is
// closed when it is worth asking again.
func (s *segmentIndex) reached(target memory.Position) (there bool, moved <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.cursor.Before(target), s.moved
}
