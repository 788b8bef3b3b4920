package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"dmarcd/internal/filter"
	"dmarcd/internal/journal"
	"dmarcd/internal/memory"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

const (
	// journalShare is the share of retention.max_bytes that the journal may use while the store is
	// unreachable.
	journalShare = 4
	// storeWait is how long a start waits for the store. A later answer is as good: records stay in the
	// journal meanwhile.
	storeWait = 3 * time.Second
	// loadWait is how long a stop waits for the store to accept the remaining records.
	loadWait = 5 * time.Second
)

// recorder remembers mail: in the journal before the answer, and from there in the store, which it
// prunes while this daemon leads.
type recorder struct {
	settings func() *settings.Settings
	log      *slog.Logger
	journal  *journal.Journal
	store    *store.Store
	pruned   prunedCounts
	buffers  sync.Pool // of *[]byte, for encoding records
	failures func(r *memory.Record, out *filter.Result)
}

// prunedCounts count what retention removed since the start.
type prunedCounts struct {
	messages, traces, aggregates, received, bytes atomic.Int64
}

// newRecorder opens store and journal. After an error nothing stays open.
func newRecorder(current func() *settings.Settings, log *slog.Logger) (_ *recorder, err error) {
	r := &recorder{settings: current, log: log}
	r.buffers.New = func() any { return new([]byte) }
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	c := StoreConfig(current())
	c.Log = log
	if r.store, err = store.Open(ctx, c); err != nil { // out of reach is no error
		return nil, err
	}
	if r.journal, err = openJournal(current(), r.store, log); err != nil {
		return nil, errors.Join(err, r.store.Close())
	}
	return r, nil
}

// StoreConfig converts the settings of the store.
func StoreConfig(config *settings.Settings) store.Config {
	password := config.StorePasswordFile
	if password != "" {
		password = config.Path(password)
	}
	return store.Config{URL: config.Store, PasswordFile: password, Dir: config.StateDir}
}

// journalDir returns the folder of a daemon's journal.
func journalDir(config *settings.Settings) string { return filepath.Join(config.StateDir, "journal") }

// openJournal opens the journal in the state directory, to be loaded into s.
func openJournal(config *settings.Settings, s *store.Store, log *slog.Logger) (*journal.Journal, error) {
	j, err := journal.Open(journal.Config{
		Dir: journalDir(config), Sink: journalSink{s}, Log: log, Now: time.Now,
		MaxBytes: config.Retention.MaxBytes / journalShare,
	})
	switch {
	case errors.Is(err, journal.ErrLocked):
		return nil, lockError(err)
	case errors.As(err, new(*fs.PathError)):
		return nil, stateError(err)
	}
	return j, err
}

// lockError is the error for a journal that another process holds.
func lockError(err error) error {
	return fmt.Errorf("%w (each dmarcd needs a state_dir of its own)", err)
}

// journalSink is the store as the sink of the journal.
type journalSink struct{ *store.Store }

// Load implements journal.Sink.
func (s journalSink) Load(ctx context.Context, b memory.Batch) error {
	err := s.Store.Load(ctx, b)
	if errors.Is(err, store.ErrRecord) {
		return fmt.Errorf("%w: %w", journal.ErrRecord, err)
	}
	return err
}

// Record puts a judged message into the journal before it is answered. Failures there are counted,
// and do not affect the message.
func (r *recorder) Record(rec *memory.Record, out *filter.Result) {
	buf := r.buffers.Get().(*[]byte)
	defer r.buffers.Put(buf)
	*buf, _ = rec.AppendBinary((*buf)[:0]) // never fails
	_ = r.journal.Append(*buf)             // counted by the journal
	r.failures(rec, out)
}

// retain makes the store remove what retention no longer keeps, until ctx ends. Of several daemons
// with one store, the leader does it.
func (r *recorder) retain(ctx context.Context) {
	err := r.store.Retain(ctx, r.retention, func(p store.Pruned, err error) { r.notePruned(ctx, p, err) })
	if err != nil && ctx.Err() == nil {
		r.log.Error("nothing that is old is removed any more", "error", err.Error())
	}
}

// asLeader runs work while this daemon leads, as a task of that name, until ctx ends.
func (r *recorder) asLeader(ctx context.Context, task string, work func(context.Context)) {
	err := r.store.Lead(ctx, task, func(ctx context.Context, _ int64) error {
		work(ctx)
		return context.Cause(ctx)
	})
	if err != nil && ctx.Err() == nil {
		r.log.Error("a task of the leader has ended", "task", task, "error", err.Error())
	}
}

// leading reports whether this daemon leads those that share the store.
func (r *recorder) leading() bool {
	epoch, _ := r.store.Leading()
	return epoch != 0
}

// retention converts the settings of retention.
func (r *recorder) retention() store.Retention {
	keep := r.settings().Retention
	return store.Retention{
		Messages: keep.Messages, Traces: keep.Traces, Aggregates: keep.Aggregates, RawReports: keep.RawReports,
		Received: keep.Received, Rollups: keep.ReceivedRollups, MaxBytes: keep.MaxBytes,
	}
}

// notePruned counts what was removed.
func (r *recorder) notePruned(ctx context.Context, p store.Pruned, err error) {
	r.pruned.messages.Add(p.Messages + p.Oversize)
	r.pruned.traces.Add(p.Traces + p.OversizeTraces)
	r.pruned.aggregates.Add(p.Aggregates)
	r.pruned.received.Add(p.Received)
	if p.Oversize+p.OversizeTraces > 0 {
		r.log.Warn("the store is larger than retention.max_bytes: the oldest detail was removed before its time",
			"messages", p.Oversize, "traces", p.OversizeTraces, "bytes", p.Bytes)
	}
	switch {
	case err == nil:
		r.pruned.bytes.Store(p.Bytes)
	case ctx.Err() == nil:
		r.log.Warn("the store was not pruned", "error", err.Error())
	}
}

// load makes the store take the rest of the journal, while ctx and loadWait allow.
func (r *recorder) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadWait)
	defer cancel()
	if err := r.journal.Close(ctx); err != nil {
		r.log.Warn("some records are still in the journal; the next start loads them", "error", err.Error())
	}
}

// close closes the store, once nobody uses it.
func (r *recorder) close() {
	if err := r.store.Close(); err != nil {
		r.log.Warn("closing the store", "error", err.Error())
	}
}

// rest waits; it returns false if ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
