package journal

import (
	"context"
	"errors"
	"iter"
	"slices"

	"dmarcd/internal/memory"
)

// job is one step towards a smaller journal.
type job struct {
	what jobKind
	segs []*segment // one, or two neighbours to be merged; busy meanwhile
}

type jobKind int

const (
	toDigest jobKind = iota // records become counts
	toMerge                 // two digests become one
	toDrop                  // a digest's counts become a number of lost messages
)

// shrink brings the journal within its bound. It returns false if something
// failed and should be tried again.
func (k *keeper) shrink(ctx context.Context) bool {
	for ctx.Err() == nil {
		j, ok := k.shelf.pick()
		if !ok {
			break
		}
		err := k.do(j)
		k.shelf.release(j)
		if err != nil {
			k.counts.digestErrors.Add(1)
			if !k.noRoom {
				k.cfg.Log.Error("journal: room cannot be made", "segment", j.segs[0].number, "error", err)
			}
			k.noRoom = true
			return false
		}
		k.noRoom = false
	}
	return true
}

// pick chooses the next step, if one is needed and possible, and marks its
// segments as busy. The detail of records goes first, the oldest foremost; counts
// are lost last of all.
func (s *shelf) pick() (job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes() <= s.cfg.MaxBytes {
		return job{}, false
	}
	j, ok := s.choose()
	for _, seg := range j.segs {
		seg.busy = true
	}
	return j, ok
}

// choose is pick without the lock and the marks.
func (s *shelf) choose() (job, bool) {
	free := func(seg *segment) bool { return !seg.open && !seg.busy && seg.number > s.hand }
	var records, counts, first, second *segment
	var digests int64
	for i, seg := range s.list {
		if !free(seg) {
			continue
		}
		if seg.ext == recordExt {
			if records == nil {
				records = seg
			}
			continue
		}
		digests += seg.size
		if counts == nil && seg.frames > 1 {
			counts = seg
		}
		if i+1 == len(s.list) || !free(s.list[i+1]) || s.list[i+1].ext == recordExt {
			continue
		}
		next := s.list[i+1]
		if n := seg.size + next.size; n <= s.cfg.SegmentBytes && (first == nil || n < first.size+second.size) {
			first, second = seg, next
		}
	}
	switch {
	case first != nil && (records == nil || digests > s.cfg.MaxBytes/4):
		return job{toMerge, []*segment{first, second}}, true
	case records != nil:
		return job{toDigest, []*segment{records}}, true
	case counts != nil:
		return job{toDrop, []*segment{counts}}, true
	}
	return job{}, false
}

// release gives a job's segments back.
func (s *shelf) release(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range j.segs {
		seg.busy = false
	}
	s.stir()
}

// replace puts a digest in the place of the segments of a job.
func (s *shelf) replace(j job, by segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := j.segs[len(j.segs)-1]
	s.list = slices.DeleteFunc(s.list, func(x *segment) bool { return x != last && slices.Contains(j.segs, x) })
	*last = by
	last.busy = true
}

// do does a job.
func (k *keeper) do(j job) error {
	var before []segment
	for _, seg := range j.segs {
		before = append(before, *seg) // nobody else changes a busy segment
	}
	seg, settle, err := k.rewrite(j.what, before)
	unsynced := errors.Is(err, errUnsynced)
	if err != nil && !unsynced {
		return err
	}
	settle()
	k.shelf.replace(j, seg)
	if unsynced {
		return err // the next Open removes what the digest stands for
	}
	for _, old := range before {
		if old.name() != seg.name() {
			k.shelf.unlink(old.name())
		}
	}
	return nil
}

// rewrite writes the digest of a job, and returns what is to be counted once it is
// in place.
func (k *keeper) rewrite(what jobKind, segs []segment) (seg segment, settle func(), err error) {
	dir, settle := k.cfg.Dir, func() {}
	var d digest
	var list iter.Seq[memory.Tally]
	var failed error
	switch what {
	case toDigest:
		d, list, err = countRecords(dir, segs[0])
		settle = func() {
			k.counts.detailDropped.Add(d.records)
			k.cfg.Log.Warn("journal: no room; the detail of old records is dropped, their counts are kept",
				"segment", segs[0].number, "records", d.records)
		}
	case toMerge:
		var e digest
		d, _, err = readDigest(dir, segs[0])
		if err == nil {
			e, _, err = readDigest(dir, segs[1])
			d.add(e)
		}
		list = merge(tallies(dir, segs[0], &failed), tallies(dir, segs[1], &failed))
	case toDrop:
		var messages uint64
		d, messages, err = readDigest(dir, segs[0])
		d.lost += messages
		list = func(func(memory.Tally) bool) {}
		settle = func() {
			k.counts.lostDropped.Add(messages)
			k.cfg.Log.Error("journal: no room even for counts; the oldest are dropped", "segment", segs[0].number, "messages", messages)
		}
	}
	if err != nil {
		return segment{}, nil, err
	}
	seg, err = writeDigest(dir, segs[len(segs)-1].number, d, list, &failed)
	return seg, settle, err
}
