package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A segment is a file of frames after a head of segmentHead octets:
//
//	0   magic
//	8   number of the segment
//	16  salt of its frames
//	24  zero
//	28  CRC-32C of the octets before this one
const (
	segmentHead  = 32
	segmentMagic = "dmarcdJ1"
)

// Extensions of the files.
const (
	recordExt    = ".rec" // a segment of records
	compactedExt = ".sum" // a compacted segment
	tmpExt       = ".tmp"
)

// errHead means that a segment has no valid header.
var errHead = errors.New("no head of a segment")

// segmentName is the name of a segment's file. The names sort as the numbers do.
func segmentName(number uint64, ext string) string {
	return fmt.Sprintf("%020d%s", number, ext)
}

// parseName is the reverse of segmentName.
func parseName(name string) (number uint64, ext string, ok bool) {
	ext = filepath.Ext(name)
	digits := strings.TrimSuffix(name, ext)
	number, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || number == 0 || ext != recordExt && ext != compactedExt || segmentName(number, ext) != name {
		return 0, "", false
	}
	return number, ext, true
}

// newHead makes the head of a segment and the seed of its frames' checksums.
func newHead(number uint64) (b []byte, seed uint32) {
	b = make([]byte, segmentHead)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint64(b[8:], number)
	binary.LittleEndian.PutUint64(b[16:], rand.Uint64())
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	return b, crc32.Checksum(b[8:24], castagnoli)
}

// readHead reads the head of a segment. Its error is errHead, or one of reading.
func readHead(r io.ReaderAt, number uint64) (seed uint32, err error) {
	b := make([]byte, segmentHead)
	switch _, err := r.ReadAt(b, 0); {
	case err == io.EOF:
		return 0, errHead
	case err != nil:
		return 0, err
	}
	if string(b[:8]) != segmentMagic || binary.LittleEndian.Uint64(b[8:]) != number ||
		binary.LittleEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return 0, errHead
	}
	return crc32.Checksum(b[8:24], castagnoli), nil
}

// estimateFrames guesses how many frames a segment has from the first of them.
func estimateFrames(f *os.File, size int64) int64 {
	const look = 256 << 10
	b := make([]byte, min(look, max(0, size-segmentHead)))
	n, _ := f.ReadAt(b, segmentHead)
	b = b[:n]
	var frames, octets int64
	for len(b) >= frameHead && parseHead(b).plausible() {
		octets += int64(frameLen(b))
		frames++
		b = b[min(len(b), frameLen(b)):]
	}
	if octets == 0 {
		return 0
	}
	return max(frames*(size-segmentHead)/octets, 1)
}
