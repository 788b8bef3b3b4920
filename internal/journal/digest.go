package journal

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"dmarcd/internal/memory"
)

// digest is what is left of one or more segments: how many messages made which
// row. In its file a frame of kindDigest comes first, then the tallies in the order
// of compareTallies, each once.
type digest struct {
	first   uint64 // segments first to the digest's own number are in it
	records uint64 // whose detail is gone
	lost    uint64 // records that could not be read, or counts that were dropped
	oldest  int64  // when the first record came, Unix milliseconds
}

func (d *digest) encode() []byte {
	b := binary.AppendUvarint(nil, d.first)
	b = binary.AppendUvarint(b, d.records)
	return binary.AppendUvarint(b, d.lost)
}

func decodeDigest(f frame) (d digest, ok bool) {
	b := f.payload
	for _, p := range []*uint64{&d.first, &d.records, &d.lost} {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return digest{}, false
		}
		*p, b = v, b[n:]
	}
	d.oldest = f.at
	return d, f.kind == kindDigest && len(b) == 0
}

// add joins what e stands for.
func (d *digest) add(e digest) {
	d.first = min(d.first, e.first)
	d.records += e.records
	d.lost += e.lost
	if e.oldest != 0 && (d.oldest == 0 || e.oldest < d.oldest) {
		d.oldest = e.oldest
	}
}

// readDigestHead reads what a digest stands for.
func readDigestHead(r io.ReaderAt, number uint64, size int64) (digest, error) {
	seed, err := readHead(r, number)
	if err != nil {
		return digest{}, err
	}
	var s scanner
	s.reset(r, seed, segmentHead, size, 0, -1)
	f, ok := s.scan()
	if d, good := decodeDigest(f); ok && good && f.lost == 0 {
		return d, nil
	}
	return digest{}, errHead
}

// compareTallies orders tallies by the row that they count into: 0 for the same.
func compareTallies(a, b memory.Tally) int {
	return cmp.Or(
		cmp.Compare(a.Day, b.Day),
		cmp.Compare(a.PolicyDomain.String(), b.PolicyDomain.String()),
		cmp.Compare(a.Record, b.Record),
		compareBools(a.PSL, b.PSL),
		compareBools(a.Failed, b.Failed),
		cmp.Compare(a.Row, b.Row),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// addTally adds what b counts to a.
func addTally(a *memory.Tally, b memory.Tally) {
	a.Count += b.Count
	a.Last = max(a.Last, b.Last)
}

// countRecords makes the digest of a segment of records.
func countRecords(dir string, seg segment) (digest, iter.Seq[memory.Tally], error) {
	d := digest{first: seg.number}
	sums := map[memory.Tally]memory.Tally{}
	lost, err := eachFrame(dir, seg, func(f frame) {
		if d.oldest == 0 {
			d.oldest = f.at
		}
		r, err := memory.DecodeRecord(f.payload)
		if f.kind != kindRecord || err != nil {
			d.lost++
			return
		}
		d.records++
		t, due := r.Tally()
		if !due {
			return
		}
		key := t
		key.Count, key.Last = 0, 0
		if sum, ok := sums[key]; ok {
			addTally(&t, sum)
		}
		sums[key] = t
	})
	d.lost += lost
	return d, slices.Values(slices.SortedFunc(maps.Values(sums), compareTallies)), err
}

// eachFrame calls f for each frame of a segment and returns how many were missing.
func eachFrame(dir string, seg segment, f func(frame)) (lost uint64, err error) {
	file, err := os.Open(filepath.Join(dir, seg.name()))
	if errors.Is(err, os.ErrNotExist) { // somebody has removed it
		return uint64(max(1, seg.frames)), nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	seed, err := readHead(file, seg.number)
	if errors.Is(err, errHead) {
		return uint64(max(1, seg.frames)), nil
	}
	if err != nil {
		return 0, err
	}
	var s scanner
	s.reset(file, seed, segmentHead, seg.size, 0, seg.total())
	for {
		fr, ok := s.scan()
		if !ok {
			return lost + s.tail, nil
		}
		lost += fr.lost
		f(fr)
	}
}

// readDigest reads the head of a digest, checks all of it, and counts its messages.
func readDigest(dir string, seg segment) (d digest, messages uint64, err error) {
	d.first = seg.number
	lost, err := eachFrame(dir, seg, func(f frame) {
		if e, ok := decodeDigest(f); ok {
			d.add(e)
			return
		}
		t, err := memory.DecodeTally(f.payload)
		if f.kind != kindTally || err != nil {
			d.lost++
			return
		}
		messages += uint64(t.Count)
	})
	d.lost += lost
	return d, messages, err
}

// tallies yields the tallies of a digest. *failed is set if it cannot be opened.
func tallies(dir string, seg segment, failed *error) iter.Seq[memory.Tally] {
	return func(yield func(memory.Tally) bool) {
		more := true
		_, err := eachFrame(dir, seg, func(f frame) {
			if !more || f.kind != kindTally {
				return
			}
			if t, err := memory.DecodeTally(f.payload); err == nil {
				more = yield(t)
			}
		})
		if err != nil {
			*failed = err
		}
	}
}

// merge joins two sequences in order. It holds one tally of each.
func merge(a, b iter.Seq[memory.Tally]) iter.Seq[memory.Tally] {
	return func(yield func(memory.Tally) bool) {
		nextA, stopA := iter.Pull(a)
		defer stopA()
		nextB, stopB := iter.Pull(b)
		defer stopB()
		x, okA := nextA()
		y, okB := nextB()
		for okA || okB {
			order := 0
			switch {
			case !okB:
				order = -1
			case !okA:
				order = 1
			default:
				order = compareTallies(x, y)
			}
			t := x
			if order > 0 {
				t = y
			} else if order == 0 {
				addTally(&t, y)
			}
			if !yield(t) {
				return
			}
			if order <= 0 {
				x, okA = nextA()
			}
			if order >= 0 {
				y, okB = nextB()
			}
		}
	}
}

// writeDigest writes a digest's file and returns its entry. *failed, if set once
// list is read, keeps the file from coming to be.
func writeDigest(dir string, number uint64, d digest, list iter.Seq[memory.Tally], failed *error) (segment, error) {
	seg := segment{number: number, ext: digestExt, first: d.first, size: segmentHead, exact: true}
	err := writeFile(filepath.Join(dir, seg.name()), func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 64<<10)
		head, seed := newHead(number)
		out.Write(head)
		var b []byte
		put := func(kind byte, payload []byte) {
			b = appendFrame(b[:0], kind, d.oldest, payload)
			seal(b, seed, uint32(seg.frames))
			out.Write(b)
			seg.size += int64(len(b))
			seg.frames++
		}
		put(kindDigest, d.encode())
		var payload []byte
		for t := range list {
			payload = t.AppendBinary(payload[:0])
			put(kindTally, payload)
		}
		if *failed != nil {
			return *failed
		}
		return out.Flush() // the first error of all writes
	})
	return seg, err
}
