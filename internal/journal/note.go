package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"dmarcd/internal/memory"
)

const (
	noteName = "loading"
	noteSlot = 64   // octets used of each half
	noteSize = 4096 // one block, whose halves no power cut tears at once
)

// note remembers on disk which segment is being loaded, written before any of it
// is. So a segment that the store may have a part of is known even while the
// store is not there to be asked, and is never turned into a digest. It is written
// in place, which needs no room: a full disk must not keep the journal from
// draining.
type note struct {
	f    *os.File
	seq  uint64
	last loading
	// unsure: the file was not there or cannot be read, so that what was being
	// loaded is not known.
	unsure bool
}

// loading is what is noted. The zero value: nothing was ever loaded.
type loading struct {
	segment uint64
	from    memory.Position // that the store had when the segment was begun
}

// openNote opens the note in dir, or makes an empty one.
func openNote(dir string) (*note, error) {
	path := filepath.Join(dir, noteName)
	n := &note{}
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		n.unsure = true
		err = writeFile(path, func(w io.Writer) error {
			_, err := w.Write(make([]byte, noteSize))
			return err
		})
		if err == nil {
			f, err = os.OpenFile(path, os.O_RDWR, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, noteSize)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, errors.Join(err, f.Close())
	}
	n.f = f
	n.read(b[:noteSlot])
	n.read(b[noteSize/2:])
	if n.seq == 0 && !bytes.Equal(b, make([]byte, noteSize)) {
		n.unsure = true
	}
	return n, nil
}

// read takes over a slot if it is whole and the newer.
func (n *note) read(b []byte) {
	seq := binary.LittleEndian.Uint64(b)
	if seq <= n.seq || binary.LittleEndian.Uint32(b[32:]) != crc32.Checksum(b[:32], castagnoli) {
		return
	}
	n.seq = seq
	n.last.segment = binary.LittleEndian.Uint64(b[8:])
	n.last.from.Segment = binary.LittleEndian.Uint64(b[16:])
	n.last.from.Offset = int64(binary.LittleEndian.Uint64(b[24:]))
}

// set notes l, on disk when it returns. The older slot is overwritten, so that a
// power cut leaves one of the two.
func (n *note) set(l loading) error {
	b := make([]byte, noteSlot)
	binary.LittleEndian.PutUint64(b, n.seq+1)
	binary.LittleEndian.PutUint64(b[8:], l.segment)
	binary.LittleEndian.PutUint64(b[16:], l.from.Segment)
	binary.LittleEndian.PutUint64(b[24:], uint64(l.from.Offset))
	binary.LittleEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	if _, err := n.f.WriteAt(b, int64((n.seq+1)%2)*(noteSize/2)); err != nil {
		return err
	}
	n.seq++
	n.last = l
	return n.f.Sync()
}

func (n *note) close() error { return n.f.Close() }
