package journal

import (
	"context"
	"fmt"

	"dmarcd/internal/memory"
)

// ask asks the store how far it has the journal, and moves the loader there.
func (l *loader) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.LoadTimeout)
	defer cancel()
	pos, err := l.cfg.Sink.Position(ctx, l.id)
	if err != nil {
		l.counts.loadErrors.Add(1)
		l.failures = 0 // it is not the batch
		return fmt.Errorf("journal: the store's position: %w", err)
	}
	if l.pending != nil {
		return l.resume(ctx, pos)
	}
	return l.begin(ctx, pos)
}

// resume continues after a batch whose outcome was unknown.
func (l *loader) resume(ctx context.Context, pos memory.Position) error {
	s := l.pending
	switch {
	case pos == s.to: // it was taken all the same
		l.known, l.pending = true, nil
		l.loaded(*s)
		return nil
	case pos == l.store: // it was not
		l.known, l.pending = true, nil
		return nil
	case pos.Before(l.store):
		l.cfg.Log.Warn("journal: the store has gone back, as from a backup; it gets again what is still here",
			"store", pos, "before", l.store)
		l.pending = nil
		l.leave()
		return l.begin(ctx, pos)
	}
	return l.rename(ctx, pos, memory.Position{Segment: s.to.Segment, Offset: l.off})
}

// begin seeks to the store's position.
func (l *loader) begin(ctx context.Context, pos memory.Position) error {
	firstOwn, last, end := l.index.bounds()
	if pos.Segment > last || pos.Segment == end.Segment && end.Before(pos) {
		return l.rename(ctx, pos, memory.Position{Segment: firstOwn})
	}
	if recorded := l.checkpoint.last; pos.Before(recorded.from) {
		l.cfg.Log.Warn("journal: the store has less than it was given, as from a backup; what is gone here stays gone",
			"store", pos, "given", recorded.from)
	}
	l.startAt(pos, pos)
	return nil
}

// startAt makes from the next position that is read; the store has store.
func (l *loader) startAt(store, from memory.Position) {
	l.known, l.pending = true, nil
	l.store, l.start = store, from
	l.after = 0
	l.index.advance(from, 0)
}

// rename continues under a new id, from the position from: the store's position under the
// old id is not from this journal. This happens where a machine, or only this directory,
// was copied, and the copy loads under the same id.
func (l *loader) rename(ctx context.Context, pos, from memory.Position) error {
	id := newID()
	if err := l.cfg.Sink.Load(ctx, memory.Batch{Journal: id, To: from}); err != nil {
		l.counts.loadErrors.Add(1)
		return fmt.Errorf("journal: begin under a new id: %w", err)
	}
	l.cfg.Log.Error("journal: the store has records under this journal's id that are not from here; going on under a new one",
		"id", l.id, "new_id", id, "store", pos, "here", from)
	if err := writeID(l.cfg.Dir, id); err != nil {
		l.cfg.Log.Error("journal: the new id cannot be kept", "error", err)
	}
	l.id = id
	l.leave()
	l.startAt(from, from)
	return nil
}
