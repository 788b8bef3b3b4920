package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dmarcd/internal/memory"
)

// segmentRange is a part of a segment that is being loaded into the store.
type segmentRange struct {
	to         memory.Position
	next       uint32 // number of the frame at to
	records    []memory.Record
	aggregates []memory.Aggregate
	refused    uint64 // messages left out because the store refuses them
	damaged    uint64 // messages that cannot be read
	earlier    uint64 // lost before, by the count in a compacted segment
	// sole is the number of the one frame, if it is one only.
	sole uint32
}

func (s *segmentRange) entries() int { return len(s.records) + len(s.aggregates) }

// empty reports whether there is nothing to load.
func (s *segmentRange) empty() bool { return s.entries() == 0 && s.lost() == 0 }

func (s *segmentRange) lost() uint64 { return s.refused + s.damaged + s.earlier }

// read reads the next range of the current segment, as large as a batch may be.
func (l *loader) read(part segment) segmentRange {
	s := segmentRange{to: memory.Position{Segment: part.number, Offset: part.size}, next: l.number}
	if l.off >= part.size {
		return s
	}
	if l.file == nil {
		s.damaged = uint64(max(1, part.frames))
		return s
	}
	if part.ext == recordExt {
		s.records = make([]memory.Record, 0, max(1, min(int64(l.limit), part.frames-int64(l.number))))
	}
	octets := 0
	l.scan.reset(l.file, l.seed, l.off, part.size, l.number, part.total())
	for s.entries() < l.limit && octets < l.cfg.BatchBytes {
		f, ok := l.scan.scan()
		if !ok {
			s.damaged += l.scan.tail
			if part.exact {
				l.scan.next = uint32(part.frames)
			}
			break
		}
		octets += len(f.payload)
		if l.take(&s, f) {
			break
		}
	}
	if l.scan.err != nil {
		l.cfg.Log.Error("journal: a segment cannot be read", "segment", part.name(), "error", l.scan.err)
	}
	s.to.Offset, s.next = l.scan.off, l.scan.next
	return s
}

// take puts a frame into s. It returns true if s should end there.
func (l *loader) take(s *segmentRange, f frame) bool {
	s.damaged += f.lost
	s.sole = f.number
	refused := l.refused.segment == s.to.Segment && l.refused.number == f.number
	switch f.kind {
	case kindRecord:
		r, err := memory.DecodeRecord(f.payload)
		switch {
		case err != nil:
			s.damaged++
		case refused:
			s.refused++
		default:
			s.records = append(s.records, *r)
		}
	case kindAggregate:
		t, err := memory.DecodeAggregate(f.payload)
		switch {
		case err != nil:
			s.damaged++
		case refused:
			s.refused += uint64(t.Count)
		default:
			s.aggregates = append(s.aggregates, t)
		}
	case kindCompacted:
		d, ok := decodeCompacted(f)
		if !ok {
			s.damaged++
		}
		s.earlier += d.lost
	}
	return refused
}

// load returns a range to the store.
func (l *loader) load(ctx context.Context, s segmentRange) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.LoadTimeout)
	defer cancel()
	start := time.Now()
	err := l.cfg.Sink.Load(ctx, memory.Batch{
		Journal: l.id, From: l.store, To: s.to, Records: s.records, Aggregates: s.aggregates, Lost: s.lost(),
	})
	if err == nil {
		l.counts.lastLoad.Store(int64(time.Since(start)))
		l.loaded(s)
		return nil
	}
	l.counts.loadErrors.Add(1)
	l.known, l.pending = false, &s
	if errors.Is(err, ErrRecord) && s.entries() > 0 {
		l.narrow(&s, err)
	} else {
		l.failures++
		if l.failures%2 == 0 { // perhaps it is too much at once
			l.limit = max(1, min(l.limit, s.entries())/2)
		}
	}
	return fmt.Errorf("journal: load: %w", err)
}

// narrow looks for the record that the store refuses: in half of the batch next
// time, until there is one.
func (l *loader) narrow(s *segmentRange, err error) {
	if n := s.entries(); n > 1 {
		l.limit = n / 2
		return
	}
	l.limit = 1
	l.refusals++
	l.refused.segment, l.refused.number = s.to.Segment, s.sole
	l.cfg.Log.Error("journal: the store refuses a record, which is left out", "segment", s.to.Segment, "number", s.sole, "error", err)
}

// loaded records that the store has a range.
func (l *loader) loaded(s segmentRange) {
	l.store = s.to
	l.counts.loaded.Add(uint64(len(s.records)))
	for i := range s.aggregates {
		l.counts.loadedCounts.Add(uint64(s.aggregates[i].Count))
	}
	l.counts.lostRefused.Add(s.refused)
	l.counts.lostUnreadable.Add(s.damaged)
	if s.damaged > 0 {
		l.cfg.Log.Error("journal: records cannot be read", "segment", s.to.Segment, "records", s.damaged)
	}
	l.advance(s)
	if s.refused == 0 {
		l.refusals = 0
		l.recovered()
	}
}

// advance moves on to the end of s.
func (l *loader) advance(s segmentRange) {
	l.off, l.number = s.to.Offset, s.next
	if l.index.advance(s.to, int64(s.next)) && l.file != nil {
		l.index.setOldest(frameTime(l.file, l.off))
	}
}
