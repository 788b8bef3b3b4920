package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/memory"
)

// RecordJournal is what is asked of a journal, from which the store is loaded.
type RecordJournal interface {
	// Sync waits until the store has what the journal held when it was called.
	Sync(ctx context.Context) error
	// Pending gives the records that are not loaded, oldest first, until f wants no more.
	Pending(ctx context.Context, f func(*memory.Record) bool) error
}

// loadPatience is for how long a question waits until the journal is loaded.
const loadPatience = 2 * time.Second

// JoinedMemory is what is remembered, in the store and in the journal before it.
type JoinedMemory struct {
	Store   memory.Reader
	Journal RecordJournal
}

var _ memory.Reader = (*JoinedMemory)(nil)

// loaded waits until the store has what the journal held.
func (m *JoinedMemory) loaded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	return m.Journal.Sync(ctx)
}

// Find is memory.Reader's. While the store cannot be reached it gives what the journal
// has, and an error only where that is nothing.
func (m *JoinedMemory) Find(ctx context.Context, id string, limit int) ([]memory.Record, error) {
	var waiting []*memory.Record
	if m.loaded(ctx) != nil {
		// Before the store is asked, so that what is loaded meanwhile is in one of them.
		var err error
		if waiting, err = m.pending(ctx, id, limit); err != nil {
			return nil, err
		}
	}
	found, err := m.Store.Find(ctx, id, limit)
	if err != nil && (len(waiting) == 0 || !errors.Is(err, memory.ErrUnavailable)) {
		return nil, err
	}
	for i := range found {
		waiting = without(waiting, &found[i])
	}
	out := make([]memory.Record, 0, len(waiting)+len(found))
	for _, r := range slices.Backward(waiting) {
		out = append(out, *r)
	}
	out = append(out, found...)
	return out[:min(len(out), limit)], nil
}

// pending gives the records of that id that are not loaded, oldest first.
func (m *JoinedMemory) pending(ctx context.Context, id string, limit int) ([]*memory.Record, error) {
	id = strings.TrimSpace(id)
	bare := memory.MessageID(id)
	var out []*memory.Record
	err := m.Journal.Pending(ctx, func(r *memory.Record) bool {
		if r.QueueID == id || r.MessageID == bare {
			out = append(out, r)
		}
		return len(out) < limit
	})
	return out, err
}

// without leaves out the record that the store has too.
func without(list []*memory.Record, stored *memory.Record) []*memory.Record {
	kept := list[:0]
	for _, r := range list {
		if !r.At.Equal(stored.At) || r.QueueID != stored.QueueID || r.MessageID != stored.MessageID {
			kept = append(kept, r)
		}
	}
	return kept
}

// Records is memory.Reader's. It waits a little for the journal; what is not loaded by
// then is left out.
func (m *JoinedMemory) Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	if err := m.loaded(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return m.Store.Records(ctx, since, until, yield)
}

// Search is memory.Reader's, and waits likewise.
func (m *JoinedMemory) Search(ctx context.Context, q memory.Query) (memory.Page, error) {
	if err := m.loaded(ctx); err != nil && ctx.Err() != nil {
		return memory.Page{}, err
	}
	return m.Store.Search(ctx, q)
}

// Count is memory.Reader's.
func (m *JoinedMemory) Count(ctx context.Context, since, until time.Time) (int64, error) {
	return m.Store.Count(ctx, since, until)
}
