package journal

import (
	"slices"
	"sync"
	"time"

	"dmarcd/internal/memory"
)

// segment is a file of the journal. The shelf's lock guards it.
type segment struct {
	number uint64
	ext    string
	first  uint64 // the lowest segment that a digest stands for; number for records
	size   int64  // octets that may be read
	frames int64  // in them; a guess unless exact
	exact  bool
	open   bool // it is being written
	busy   bool // the keeper has it in hand
}

func (s *segment) name() string { return segmentName(s.number, s.ext) }

// total is what scanner.total wants.
func (s *segment) total() int64 {
	if s.exact {
		return s.frames
	}
	return -1
}

// shelf knows the segments, and how far they are loaded. Writer, keeper and loader
// meet here.
type shelf struct {
	cfg *Config
	// alarm wakes the loader when there is something to do. Never nil.
	alarm func()

	mu   sync.Mutex
	list []*segment // by number
	last uint64     // the highest number that was ever used
	born uint64     // the lowest that this process made; 0 for none yet
	// hand is the segment being loaded: the store may have a part of it. What is
	// before it is loaded, what is behind it is not.
	hand   uint64
	cursor memory.Position // what is before it is loaded; zero while that is not known
	read   int64           // frames of the cursor's segment before the cursor
	oldest int64           // when the first record behind the cursor came, Unix milliseconds; 0 for none
	moved  chan struct{}   // closed, and made anew, when cursor or list change
}

// number gives the number of a new segment. Numbers follow the clock, so that they
// rise even where the directory was emptied or put back from a copy.
func (s *shelf) number(now time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, uint64(max(0, now.UnixMilli())))
	if s.born == 0 {
		s.born = s.last
	}
	return s.last
}

// add begins a segment, which is written from now on.
func (s *shelf) add(number uint64) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg := &segment{number: number, ext: recordExt, first: number, size: segmentHead, exact: true, open: true}
	s.list = append(s.list, seg)
	s.stir()
	return seg
}

// commit makes octets and frames of the segment being written readable. at is when
// the first of them came.
func (s *shelf) commit(seg *segment, octets, frames, at int64) {
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
func (s *shelf) seal(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.open = false
	s.stir()
}

// stir tells all who wait that something changed. s.mu is held.
func (s *shelf) stir() {
	close(s.moved)
	s.moved = make(chan struct{})
	s.alarm()
}

// end is where the next record will be written, or zero if nothing is there.
func (s *shelf) end() memory.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return memory.Position{}
	}
	seg := s.list[len(s.list)-1]
	return memory.Position{Segment: seg.number, Offset: seg.size}
}

// bytes is the size of all segments. s.mu is held.
func (s *shelf) bytes() int64 {
	var n int64
	for _, seg := range s.list {
		n += seg.size
	}
	return n
}

// room reports whether the journal has outgrown its bound, and whether it has by
// so much that nothing more may be written: the keeper cannot keep up, or cannot
// write either.
func (s *shelf) room() (over, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.bytes()
	return n > s.cfg.MaxBytes, n > s.cfg.MaxBytes+s.cfg.MaxBytes/4
}

// remove takes a segment off the list; its file is the caller's business.
func (s *shelf) remove(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(x *segment) bool { return x == seg })
	s.stir()
}

// snapshot copies the segments, and where the loader is.
func (s *shelf) snapshot() (list []segment, cursor memory.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.list {
		list = append(list, *seg)
	}
	return list, s.cursor
}

// advance moves the cursor: what is before it is loaded. It returns whether
// anything is left behind it.
func (s *shelf) advance(cursor memory.Position, read int64) (left bool) {
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
	s.stir()
	return left
}

// came tells when the first record behind the cursor came, where there is one; 0
// leaves it as it is.
func (s *shelf) came(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at != 0 {
		s.oldest = at
	}
}

// claim puts the first segment behind number into the loader's hand. It returns
// nil where there is none, or the keeper has it; then moved tells when to look again.
func (s *shelf) claim(number uint64) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.list {
		if seg.number <= number {
			continue
		}
		if seg.busy {
			return nil
		}
		s.hand = max(s.hand, seg.number) // what it was is no less loaded than before
		return seg
	}
	return nil
}

// look copies a segment's entry, and tells when the first record behind the cursor
// came.
func (s *shelf) look(seg *segment) (now segment, oldest int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *seg, s.oldest
}

// bounds are the lowest number of this process, the highest of all, and the end of
// the segment that is written.
func (s *shelf) bounds() (born, last uint64, end memory.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.list {
		if seg.open {
			end = memory.Position{Segment: seg.number, Offset: seg.size}
		}
	}
	return s.born, s.last, end
}

// describe fills in what Stats tells of the segments.
func (s *shelf) describe(st *Stats, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Bytes, st.Segments = s.bytes(), len(s.list)
	for _, seg := range s.list {
		if seg.ext == digestExt {
			st.Digests++
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

// reached reports whether the cursor is at target or behind it; if not, moved is
// closed when it is worth asking again.
func (s *shelf) reached(target memory.Position) (there bool, moved <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.cursor.Before(target), s.moved
}
