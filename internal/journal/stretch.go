package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dmarcd/internal/memory"
)

// stretch is a part of a segment on its way into the store.
type stretch struct {
	to      memory.Position
	next    uint32 // number of the frame at to
	records []memory.Record
	tallies []memory.Tally
	refused uint64 // messages left out because the store refuses them
	damaged uint64 // messages that cannot be read
	earlier uint64 // lost before: a digest says so
	// sole is the number of the one frame, if it is one only.
	sole uint32
}

func (s *stretch) entries() int { return len(s.records) + len(s.tallies) }

// empty reports whether the store need not hear of it.
func (s *stretch) empty() bool { return s.entries() == 0 && s.lost() == 0 }

func (s *stretch) lost() uint64 { return s.refused + s.damaged + s.earlier }

// read reads what is next: part of the segment in hand, as large as a batch may be.
func (l *loader) read(part segment) stretch {
	s := stretch{to: memory.Position{Segment: part.number, Offset: part.size}, next: l.number}
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
func (l *loader) take(s *stretch, f frame) bool {
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
	case kindTally:
		t, err := memory.DecodeTally(f.payload)
		switch {
		case err != nil:
			s.damaged++
		case refused:
			s.refused += uint64(t.Count)
		default:
			s.tallies = append(s.tallies, t)
		}
	case kindDigest:
		d, ok := decodeDigest(f)
		if !ok {
			s.damaged++
		}
		s.earlier += d.lost
	}
	return refused
}

// load gives a stretch to the store.
func (l *loader) load(ctx context.Context, s stretch) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.LoadTimeout)
	defer cancel()
	start := time.Now()
	err := l.cfg.Sink.Load(ctx, memory.Batch{
		Journal: l.id, From: l.store, To: s.to, Records: s.records, Tallies: s.tallies, Lost: s.lost(),
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
		l.strikes++
		if l.strikes%2 == 0 { // perhaps it is too much at once
			l.limit = max(1, min(l.limit, s.entries())/2)
		}
	}
	return fmt.Errorf("journal: load: %w", err)
}

// narrow looks for the record that the store refuses: in half of the batch next
// time, until there is one.
func (l *loader) narrow(s *stretch, err error) {
	if n := s.entries(); n > 1 {
		l.limit = n / 2
		return
	}
	l.limit = 1
	l.refusals++
	l.refused.segment, l.refused.number = s.to.Segment, s.sole
	l.cfg.Log.Error("journal: the store refuses a record, which is left out", "segment", s.to.Segment, "number", s.sole, "error", err)
}

// loaded notes that the store has a stretch.
func (l *loader) loaded(s stretch) {
	l.store = s.to
	l.counts.loaded.Add(uint64(len(s.records)))
	for i := range s.tallies {
		l.counts.loadedCounts.Add(uint64(s.tallies[i].Count))
	}
	l.counts.lostRefused.Add(s.refused)
	l.counts.lostUnreadable.Add(s.damaged)
	if s.damaged > 0 {
		l.cfg.Log.Error("journal: records cannot be read", "segment", s.to.Segment, "records", s.damaged)
	}
	l.advance(s)
	if s.refused == 0 {
		l.refusals = 0
		l.well()
	}
}

// advance moves on to the end of s.
func (l *loader) advance(s stretch) {
	l.off, l.number = s.to.Offset, s.next
	if l.shelf.advance(s.to, int64(s.next)) && l.file != nil {
		l.shelf.came(frameTime(l.file, l.off))
	}
}
