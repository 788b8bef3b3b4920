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
	checkpointName = "loading"
	checkpointSlot = 64   // octets used of each half
	checkpointSize = 4096 // one block: a power cut does not tear both halves at once
)

// checkpoint keeps on disk which segment is being loaded. It is written before any
// record of that segment is loaded, so a segment that the store may hold in part is
// known even while the store cannot be reached, and is never compacted. The file is
// written in place, which needs no room: a full disk must not keep the journal from
// draining.
type checkpoint struct {
	f    *os.File
	seq  uint64
	last loadStart
	// unsure: the file was missing or unreadable, so the segment being loaded is not
	// known.
	unsure bool
}

// loadStart is the checkpoint's content. Its zero value means that nothing was ever
// loaded.
type loadStart struct {
	segment uint64
	from    memory.Position // that the store had when the segment was begun
}

// openCheckpoint opens the checkpoint in dir, or makes an empty one.
func openCheckpoint(dir string) (*checkpoint, error) {
	path := filepath.Join(dir, checkpointName)
	n := &checkpoint{}
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		n.unsure = true
		err = writeFile(path, func(w io.Writer) error {
			_, err := w.Write(make([]byte, checkpointSize))
			return err
		})
		if err == nil {
			f, err = os.OpenFile(path, os.O_RDWR, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, checkpointSize)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, errors.Join(err, f.Close())
	}
	n.f = f
	n.read(b[:checkpointSlot])
	n.read(b[checkpointSize/2:])
	if n.seq == 0 && !bytes.Equal(b, make([]byte, checkpointSize)) {
		n.unsure = true
	}
	return n, nil
}

// read takes over a slot if it is whole and the newer.
func (n *checkpoint) read(b []byte) {
	seq := binary.LittleEndian.Uint64(b)
	if seq <= n.seq || binary.LittleEndian.Uint32(b[32:]) != crc32.Checksum(b[:32], castagnoli) {
		return
	}
	n.seq = seq
	n.last.segment = binary.LittleEndian.Uint64(b[8:])
	n.last.from.Segment = binary.LittleEndian.Uint64(b[16:])
	n.last.from.Offset = int64(binary.LittleEndian.Uint64(b[24:]))
}

// set writes l and syncs it. It overwrites the older slot, so a power cut leaves
// one of the two intact.
func (n *checkpoint) set(l loadStart) error {
	b := make([]byte, checkpointSlot)
	binary.LittleEndian.PutUint64(b, n.seq+1)
	binary.LittleEndian.PutUint64(b[8:], l.segment)
	binary.LittleEndian.PutUint64(b[16:], l.from.Segment)
	binary.LittleEndian.PutUint64(b[24:], uint64(l.from.Offset))
	binary.LittleEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	if _, err := n.f.WriteAt(b, int64((n.seq+1)%2)*(checkpointSize/2)); err != nil {
		return err
	}
	n.seq++
	n.last = l
	return n.f.Sync()
}

func (n *checkpoint) close() error { return n.f.Close() }
