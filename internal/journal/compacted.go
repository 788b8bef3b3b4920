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

// compacted describes a compacted segment: the aggregates that replace one or more
// segments. Its file begins with a frame of kindCompacted; the aggregates follow in the
// order of compareAggregates, each once.
type compacted struct {
	first   uint64 // it replaces segments first to its own number
	records uint64 // whose detail was dropped
	lost    uint64 // records that could not be read, or counts that were dropped
	oldest  int64  // time of the first record, Unix milliseconds
}

func (d *compacted) encode() []byte {
	b := binary.AppendUvarint(nil, d.first)
	b = binary.AppendUvarint(b, d.records)
	return binary.AppendUvarint(b, d.lost)
}

func decodeCompacted(f frame) (d compacted, ok bool) {
	b := f.payload
	for _, p := range []*uint64{&d.first, &d.records, &d.lost} {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return compacted{}, false
		}
		*p, b = v, b[n:]
	}
	d.oldest = f.at
	return d, f.kind == kindCompacted && len(b) == 0
}

// add merges the segments that e replaces.
func (d *compacted) add(e compacted) {
	d.first = min(d.first, e.first)
	d.records += e.records
	d.lost += e.lost
	if e.oldest != 0 && (d.oldest == 0 || e.oldest < d.oldest) {
		d.oldest = e.oldest
	}
}

// readCompactedHead reads which segments a compacted segment replaces.
func readCompactedHead(r io.ReaderAt, number uint64, size int64) (compacted, error) {
	seed, err := readHead(r, number)
	if err != nil {
		return compacted{}, err
	}
	var s scanner
	s.reset(r, seed, segmentHead, size, 0, -1)
	f, ok := s.scan()
	if d, good := decodeCompacted(f); ok && good && f.lost == 0 {
		return d, nil
	}
	return compacted{}, errHead
}

// compareAggregates orders aggregates by the row that they count into: 0 for the same.
func compareAggregates(a, b memory.Aggregate) int {
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

// addAggregate adds what b counts to a.
func addAggregate(a *memory.Aggregate, b memory.Aggregate) {
	a.Count += b.Count
	a.Last = max(a.Last, b.Last)
}

// countRecords counts the records of a segment for its compacted segment.
func countRecords(dir string, seg segment) (compacted, iter.Seq[memory.Aggregate], error) {
	d := compacted{first: seg.number}
	sums := map[memory.Aggregate]memory.Aggregate{}
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
		t, due := r.Aggregate()
		if !due {
			return
		}
		key := t
		key.Count, key.Last = 0, 0
		if sum, ok := sums[key]; ok {
			addAggregate(&t, sum)
		}
		sums[key] = t
	})
	d.lost += lost
	return d, slices.Values(slices.SortedFunc(maps.Values(sums), compareAggregates)), err
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

// readCompacted reads the head of a compacted segment, checks the rest, and counts
// its messages.
func readCompacted(dir string, seg segment) (d compacted, messages uint64, err error) {
	d.first = seg.number
	lost, err := eachFrame(dir, seg, func(f frame) {
		if e, ok := decodeCompacted(f); ok {
			d.add(e)
			return
		}
		t, err := memory.DecodeAggregate(f.payload)
		if f.kind != kindAggregate || err != nil {
			d.lost++
			return
		}
		messages += uint64(t.Count)
	})
	d.lost += lost
	return d, messages, err
}

// aggregates yields the aggregates of a compacted segment. *failed is set if it cannot be opened.
func aggregates(dir string, seg segment, failed *error) iter.Seq[memory.Aggregate] {
	return func(yield func(memory.Aggregate) bool) {
		more := true
		_, err := eachFrame(dir, seg, func(f frame) {
			if !more || f.kind != kindAggregate {
				return
			}
			if t, err := memory.DecodeAggregate(f.payload); err == nil {
				more = yield(t)
			}
		})
		if err != nil {
			*failed = err
		}
	}
}

// merge joins two sequences in order. It keeps one aggregate of each in memory.
func merge(a, b iter.Seq[memory.Aggregate]) iter.Seq[memory.Aggregate] {
	return func(yield func(memory.Aggregate) bool) {
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
				order = compareAggregates(x, y)
			}
			t := x
			if order > 0 {
				t = y
			} else if order == 0 {
				addAggregate(&t, y)
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

// writeCompacted writes a compacted segment's file and returns its entry. If
// *failed is set once list is read, no file is made.
func writeCompacted(dir string, number uint64, d compacted, list iter.Seq[memory.Aggregate], failed *error) (segment, error) {
	seg := segment{number: number, ext: compactedExt, first: d.first, size: segmentHead, exact: true}
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
		put(kindCompacted, d.encode())
		var payload []byte
		for t := range list {
			payload = t.AppendBinary(payload[:0])
			put(kindAggregate, payload)
		}
		if *failed != nil {
			return *failed
		}
		return out.Flush() // the first error of all writes
	})
	return seg, err
}
