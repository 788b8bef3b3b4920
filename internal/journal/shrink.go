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
	toCompact jobKind = iota // records become counts
	toMerge                  // two compacted segments become one
	toDrop                   // the counts of a compacted segment become a number of lost messages
)

// shrink brings the journal within its bound. It returns false if something
// failed and should be tried again.
func (k *maintainer) shrink(ctx context.Context) bool {
	for ctx.Err() == nil {
		j, ok := k.index.pick()
		if !ok {
			break
		}
		err := k.do(j)
		k.index.release(j)
		if err != nil {
			k.counts.compactionErrors.Add(1)
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

// pick chooses the next step, if one is needed and possible, and marks its segments as
// busy. The detail of records is dropped first, beginning with the oldest; counts are
// dropped last.
func (s *segmentIndex) pick() (job, bool) {
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
func (s *segmentIndex) choose() (job, bool) {
	free := func(seg *segment) bool { return !seg.open && !seg.busy && seg.number > s.loading }
	var records, counts, first, second *segment
	var compactedBytes int64
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
		compactedBytes += seg.size
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
	case first != nil && (records == nil || compactedBytes > s.cfg.MaxBytes/4):
		return job{toMerge, []*segment{first, second}}, true
	case records != nil:
		return job{toCompact, []*segment{records}}, true
	case counts != nil:
		return job{toDrop, []*segment{counts}}, true
	}
	return job{}, false
}

// release returns a job's segments back.
func (s *segmentIndex) release(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range j.segs {
		seg.busy = false
	}
	s.changed()
}

// replace puts a compacted segment in the place of the segments of a job.
func (s *segmentIndex) replace(j job, by segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := j.segs[len(j.segs)-1]
	s.list = slices.DeleteFunc(s.list, func(x *segment) bool { return x != last && slices.Contains(j.segs, x) })
	*last = by
	last.busy = true
}

// do does a job.
func (k *maintainer) do(j job) error {
	var before []segment
	for _, seg := range j.segs {
		before = append(before, *seg) // nobody else changes a busy segment
	}
	seg, report, err := k.rewrite(j.what, before)
	unsynced := errors.Is(err, errUnsynced)
	if err != nil && !unsynced {
		return err
	}
	report()
	k.index.replace(j, seg)
	if unsynced {
		return err // the next Open removes what the compacted segment replaces
	}
	for _, old := range before {
		if old.name() != seg.name() {
			k.index.unlink(old.name())
		}
	}
	return nil
}

// rewrite writes the compacted segment of a job. It returns a function that counts
// and logs the loss, for when the segment is in place.
func (k *maintainer) rewrite(what jobKind, segs []segment) (seg segment, report func(), err error) {
	dir, report := k.cfg.Dir, func() {}
	var d compacted
	var list iter.Seq[memory.Aggregate]
	var failed error
	switch what {
	case toCompact:
		d, list, err = countRecords(dir, segs[0])
		report = func() {
			k.counts.detailDropped.Add(d.records)
			k.cfg.Log.Warn("journal: no room; the detail of old records is dropped, their counts are kept",
				"segment", segs[0].number, "records", d.records)
		}
	case toMerge:
		var e compacted
		d, _, err = readCompacted(dir, segs[0])
		if err == nil {
			e, _, err = readCompacted(dir, segs[1])
			d.add(e)
		}
		list = merge(aggregates(dir, segs[0], &failed), aggregates(dir, segs[1], &failed))
	case toDrop:
		var messages uint64
		d, messages, err = readCompacted(dir, segs[0])
		d.lost += messages
		list = func(func(memory.Aggregate) bool) {}
		report = func() {
			k.counts.lostDropped.Add(messages)
			k.cfg.Log.Error("journal: no room even for counts; the oldest are dropped", "segment", segs[0].number, "messages", messages)
		}
	}
	if err != nil {
		return segment{}, nil, err
	}
	seg, err = writeCompacted(dir, segs[len(segs)-1].number, d, list, &failed)
	return seg, report, err
}
