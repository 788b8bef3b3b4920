package journal

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// MaxPayload is the longest encoding of a record that is taken, in octets.
const MaxPayload = 1 << 20

// A frame is a head of frameHead octets and a payload:
//
//	0   kind (8 bits) and length of the payload (24 bits)
//	4   number of the frame in its segment, from 0
//	8   when it was appended, Unix milliseconds
//	16  CRC-32C of the segment's salt, the octets before this one, and the payload
//
// The salt keeps text that a stranger puts into a record, or old data of another segment
// on disk, from being taken for a frame. The numbers show how many frames a gap has lost.
const frameHead = 20

// maxFrame is the length of the longest frame.
const maxFrame = frameHead + MaxPayload

// Kinds of frames.
const (
	kindRecord = 1 + iota
	kindAggregate
	kindCompacted // the first frame of a compacted segment: what it replaces
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends a frame that seal must still finish.
func appendFrame(b []byte, kind byte, at int64, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(kind)<<24|uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint32(b, 0)
	return append(b, payload...)
}

// seal numbers the frame at the start of b for a segment, and returns its length.
func seal(b []byte, seed, number uint32) int {
	n := frameHead + int(binary.LittleEndian.Uint32(b)&0xffffff)
	binary.LittleEndian.PutUint32(b[4:], number)
	binary.LittleEndian.PutUint32(b[16:], checksum(b[:n], seed))
	return n
}

// frameLen is the length of the frame at the start of b, head included.
func frameLen(b []byte) int {
	return frameHead + int(binary.LittleEndian.Uint32(b)&0xffffff)
}

func checksum(b []byte, seed uint32) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, b[:16]), castagnoli, b[frameHead:])
}

// frame is one frame read.
type frame struct {
	kind    byte
	at      int64  // Unix milliseconds
	payload []byte // valid until the next frame is read
	number  uint32
	start   int64  // its offset
	end     int64  // offset of what follows it
	lost    uint64 // frames missing before it
}

// head is a frame's head taken apart, before anything is known to be true.
type head struct {
	kind   byte
	length int
	number uint32
	at     int64
	sum    uint32
}

func parseHead(b []byte) head {
	first := binary.LittleEndian.Uint32(b)
	return head{
		kind:   byte(first >> 24),
		length: int(first & 0xffffff),
		number: binary.LittleEndian.Uint32(b[4:]),
		at:     int64(binary.LittleEndian.Uint64(b[8:])),
		sum:    binary.LittleEndian.Uint32(b[16:]),
	}
}

// plausible reports whether the head may be one of a frame.
func (h head) plausible() bool {
	return h.kind >= kindRecord && h.kind <= kindCompacted && h.length <= MaxPayload
}

// scanner reads the frames of a range of a segment. It skips damaged octets up to the
// next whole frame, and counts what is missing.
type scanner struct {
	r    *bufio.Reader // its buffer holds maxFrame
	seed uint32
	off  int64  // of the next octet of r
	size int64  // where the range ends
	next uint32 // number of the next frame
	// total is how many frames the segment has up to size; negative if that is
	// not known, as of a segment of an earlier process, which may end in the middle
	// of a write.
	total int64
	// tail is, at the end, how many frames are missing there.
	tail uint64
	err  error // of reading the file, for the log
}

// reset starts the scanner at off, which is where frame number next begins.
func (s *scanner) reset(r io.ReaderAt, seed uint32, off, size int64, next uint32, total int64) {
	section := io.NewSectionReader(r, off, max(0, size-off))
	if s.r == nil {
		s.r = bufio.NewReaderSize(section, maxFrame)
	} else {
		s.r.Reset(section)
	}
	s.seed, s.off, s.size, s.next, s.total = seed, off, size, next, total
	s.tail, s.err = 0, nil
}

// scan reads the next frame. It returns false at the end, where off is size.
func (s *scanner) scan() (frame, bool) {
	if s.off >= s.size {
		s.finish(true)
		return frame{}, false
	}
	if f, ok := s.whole(0); ok {
		return f, true
	}
	torn := s.torn()
	start, zero := s.off, true
	for s.off < s.size {
		b, err := s.r.Peek(1)
		if err != nil {
			s.fail(err)
			torn = false
			break
		}
		zero = zero && b[0] == 0
		s.skip(1)
		if f, ok := s.whole(s.off - start); ok {
			return f, true
		}
	}
	s.finish(torn || zero && s.err == nil)
	return frame{}, false
}

// whole reads the frame at off, if there is a whole one. gap is how many octets
// before it could not be read.
func (s *scanner) whole(gap int64) (frame, bool) {
	b, err := s.r.Peek(frameHead)
	if err != nil {
		s.fail(err)
		return frame{}, false
	}
	h := parseHead(b)
	missing := int64(h.number) - int64(s.next)
	if !h.plausible() || missing < 0 || missing > gap/frameHead || s.off+frameHead+int64(h.length) > s.size {
		return frame{}, false
	}
	b, err = s.r.Peek(frameHead + h.length)
	if err != nil {
		s.fail(err)
		return frame{}, false
	}
	if checksum(b, s.seed) != h.sum {
		return frame{}, false
	}
	start := s.off
	s.skip(len(b)) // b stays valid until the next Peek
	s.next = h.number + 1
	return frame{kind: h.kind, at: h.at, payload: b[frameHead:], number: h.number, start: start, end: s.off, lost: uint64(missing)}, true
}

// torn reports whether the data at off looks like the start of an interrupted write:
// everything up to size belongs to the next frame.
func (s *scanner) torn() bool {
	left := s.size - s.off
	if left < frameHead {
		return true
	}
	b, err := s.r.Peek(frameHead)
	if err != nil {
		return false
	}
	h := parseHead(b)
	return h.plausible() && h.number == s.next && frameHead+int64(h.length) > left
}

func (s *scanner) skip(n int) {
	d, _ := s.r.Discard(n) // all of it was peeked
	s.off += int64(d)
}

func (s *scanner) fail(err error) {
	if err != io.EOF {
		s.err = err
	}
}

// finish ends the scan and counts what is missing at its end.
func (s *scanner) finish(clean bool) {
	switch {
	case s.total >= 0:
		s.tail = uint64(max(0, s.total-int64(s.next)))
	case !clean:
		s.tail = 1
	}
	s.off = s.size
}
