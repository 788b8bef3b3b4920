package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"dmarcd/internal/memory"
)

// RecordJournal is a journal from which the store is loaded.
type RecordJournal interface {
	// Sync waits until the store has the content that the journal had at the call.
	Sync(ctx context.Context) error
	// Pending passes the records that are not loaded to f, oldest first, until f returns false.
	Pending(ctx context.Context, f func(*memory.Record) bool) error
}

// loadPatience is how long a question waits for the journal to be loaded.
const loadPatience = 2 * time.Second

// JoinedMemory joins the store and the journal before it.
type JoinedMemory struct {
	Store   memory.Reader
	Journal RecordJournal
}

var _ memory.Reader = (*JoinedMemory)(nil)

// loaded waits until the store has the journal's content.
func (m *JoinedMemory) loaded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	return m.Journal.Sync(ctx)
}

// Find implements memory.Reader. If the store is unreachable it returns the records of the
// journal, and an error only if there are none.
func (m *JoinedMemory) Find(ctx context.Context, id string, limit int) ([]memory.Record, error) {
	var waiting []*memory.Record
	if m.loaded(ctx) != nil {
		// Before the store, so that a record loaded meanwhile is in one of them.
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

// pending returns the records of that id that are not loaded, oldest first.
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

// without removes the record that the store also has.
func without(list []*memory.Record, stored *memory.Record) []*memory.Record {
	kept := list[:0]
	for _, r := range list {
		if !r.At.Equal(stored.At) || r.QueueID != stored.QueueID || r.MessageID != stored.MessageID {
			kept = append(kept, r)
		}
	}
	return kept
}

// Records implements memory.Reader. It waits briefly for the journal; records not loaded by then
// are omitted.
func (m *JoinedMemory) Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	if err := m.loaded(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return m.Store.Records(ctx, since, until, yield)
}

// Search implements memory.Reader, and waits likewise.
func (m *JoinedMemory) Search(ctx context.Context, q memory.Query) (memory.Page, error) {
	if err := m.loaded(ctx); err != nil && ctx.Err() != nil {
		return memory.Page{}, err
	}
	return m.Store.Search(ctx, q)
}

// Count implements memory.Reader.
func (m *JoinedMemory) Count(ctx context.Context, since, until time.Time) (int64, error) {
	return m.Store.Count(ctx, since, until)
}
