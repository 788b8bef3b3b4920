package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/journal"
	"dmarcd/internal/memory"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// recordStore is what is asked of internal/store.
type recordStore interface {
	Find(ctx context.Context, id string, limit int) ([]memory.Record, error)
	Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error
	Count(ctx context.Context, since, until time.Time) (int64, error)
}

// recordJournal is what is asked of internal/journal.
type recordJournal interface {
	Sync(ctx context.Context) error
	Pending(ctx context.Context, f func(*memory.Record) bool) error
}

// patience is for how long a question waits until the journal is loaded.
const patience = 2 * time.Second

// joinedMemory is what is remembered, in the store and in the journal before it.
type joinedMemory struct {
	store   recordStore
	journal recordJournal
}

var _ admin.Memory = (*joinedMemory)(nil)

// loaded waits until the store has what the journal held.
func (m *joinedMemory) loaded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.journal.Sync(ctx)
}

// Find is admin.Memory's. While the store cannot be reached it gives what the
// journal has, and an error only where that is nothing.
func (m *joinedMemory) Find(ctx context.Context, id string) ([]*memory.Record, error) {
	var waiting []*memory.Record
	if m.loaded(ctx) != nil {
		// Before the store is asked, so that what is loaded meanwhile is in one of them.
		var err error
		if waiting, err = m.pending(ctx, id); err != nil {
			return nil, err
		}
	}
	found, err := m.store.Find(ctx, id, admin.MaxFound)
	if err != nil && (len(waiting) == 0 || !errors.Is(err, store.ErrUnavailable)) {
		return nil, err
	}
	out := make([]*memory.Record, 0, len(waiting)+len(found))
	for i := range found {
		waiting = without(waiting, &found[i])
	}
	for i := len(waiting) - 1; i >= 0; i-- {
		out = append(out, waiting[i])
	}
	for i := range found {
		out = append(out, &found[i])
	}
	return out[:min(len(out), admin.MaxFound)], nil
}

// pending gives the records of that id that are not loaded, oldest first.
func (m *joinedMemory) pending(ctx context.Context, id string) ([]*memory.Record, error) {
	id = strings.TrimSpace(id)
	bare := strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")
	var out []*memory.Record
	err := m.journal.Pending(ctx, func(r *memory.Record) bool {
		if r.QueueID == id || r.MessageID == bare {
			out = append(out, r)
		}
		return len(out) < admin.MaxFound
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

// Records is admin.Memory's. It waits a little for the journal; what is not loaded
// by then is left out.
func (m *joinedMemory) Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	if err := m.loaded(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return m.store.Records(ctx, since, until, yield)
}

// Count is admin.Memory's.
func (m *joinedMemory) Count(ctx context.Context, since, until time.Time) (int64, error) {
	return m.store.Count(ctx, since, until)
}

// journalSink is the store as the journal loads into it.
type journalSink struct{ *store.Store }

// Load is journal.Sink's.
func (s journalSink) Load(ctx context.Context, b memory.Batch) error {
	err := s.Store.Load(ctx, b)
	if errors.Is(err, store.ErrRecord) {
		return fmt.Errorf("%w: %w", journal.ErrRecord, err)
	}
	return err
}

// journalDir is where the journal of a daemon is.
func journalDir(config *settings.Settings) string { return filepath.Join(config.StateDir, "journal") }

// storeConfig is what the settings say of the store.
func storeConfig(config *settings.Settings) store.Config {
	password := config.StorePasswordFile
	if password != "" {
		password = config.Path(password)
	}
	return store.Config{URL: config.Store, PasswordFile: password, Dir: config.StateDir}
}

// openedMemory is what is remembered, as a command sees it: that of the running
// daemon or, where none runs, the store itself.
type openedMemory struct {
	admin.Memory
	daemon *admin.Client // nil where none runs
	store  *store.Store  // nil where one does
	close  func() error
}

// Close lets it go.
func (m *openedMemory) Close() error { return m.close() }

// openMemory opens what is remembered for a command that runs once. Its errors have
// their exit code and say what to do. The caller closes it.
func openMemory(ctx context.Context, config *settings.Settings) (*openedMemory, error) {
	client, err := admin.Dial(ctx, admin.SocketPath(config.StateDir), version)
	switch {
	case err == nil:
		return &openedMemory{Memory: client, daemon: client, close: client.Close}, nil
	case errors.Is(err, admin.ErrNoDaemon):
		return openStore(ctx, config)
	case errors.Is(err, admin.ErrNotAllowed):
		return nil, usageError(err)
	}
	return nil, troubleError(err)
}

// openStore opens the store in place of the daemon: the rest of the journal is
// loaded, under its lock, and then the store is read.
func openStore(ctx context.Context, config *settings.Settings) (*openedMemory, error) {
	if err := ownState(config.StateDir); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, storeConfig(config))
	if err != nil {
		return nil, storeError(err)
	}
	if err := s.Ready(ctx); err != nil {
		return nil, errors.Join(storeError(err), s.Close())
	}
	j, err := journal.Open(journal.Config{Dir: journalDir(config), Sink: journalSink{s}})
	if err != nil {
		err = fmt.Errorf("%w; no daemon answers on %s, so it may be starting or stopping: try again in a moment", err, admin.SocketPath(config.StateDir))
		return nil, errors.Join(troubleError(err), s.Close())
	}
	closeAll := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return errors.Join(j.Close(ctx), s.Close())
	}
	if err := j.Sync(ctx); err != nil {
		return nil, errors.Join(troubleError(fmt.Errorf("load the journal into the store: %w", err)), closeAll())
	}
	return &openedMemory{Memory: &joinedMemory{store: s, journal: j}, store: s, close: closeAll}, nil
}

// storeError gives an error of the store its exit code.
func storeError(err error) error {
	if errors.Is(err, store.ErrConfig) || errors.Is(err, store.ErrSchema) {
		return usageError(err)
	}
	return troubleError(err)
}

// ownState makes sure that this process runs as the owner of the state: whoever
// else opened the store, root included, would leave files there that the daemon
// cannot use.
func ownState(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return troubleError(fmt.Errorf("nothing is remembered: no daemon is running and there is no state_dir %s; is -c the daemon's configuration?", dir))
	case err != nil:
		return troubleError(fmt.Errorf("state_dir: %w", err))
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	owner := strconv.FormatUint(uint64(st.Uid), 10)
	name := "#" + owner
	if u, err := user.LookupId(owner); err == nil {
		name = u.Username
	}
	return usageError(fmt.Errorf("no daemon is running, and %s belongs to the user %s: start the daemon, or run this command as that user (sudo -u '%s' dmarcd …)", dir, name, name))
}
