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
	"syscall"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/journal"
	"dmarcd/internal/memory"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

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

// connection is how a command asks: through the running daemon or, where none runs, in
// this process, with the store opened in the daemon's place.
type connection struct {
	api.Asker
	service *api.Service // of this process; nil where a daemon runs
	store   *store.Store // likewise
	close   func() error
}

// Close lets it go.
func (c *connection) Close() error { return c.close() }

// connect finds out whom to ask for a command that runs once. The caller closes the
// connection.
func connect(ctx context.Context, config *settings.Settings) (*connection, error) {
	client, err := admin.Dial(ctx, admin.SocketPath(config.StateDir), version)
	switch {
	case err == nil:
		return &connection{Asker: client, close: client.Close}, nil
	case errors.Is(err, admin.ErrNoDaemon):
		return openStore(ctx, config)
	}
	return nil, err
}

// closePatience is for how long the end of a command waits for the journal.
const closePatience = 2 * time.Second

// openStore opens the store in place of the daemon: the rest of the journal is
// loaded, under its lock, and then the store is read.
func openStore(ctx context.Context, config *settings.Settings) (*connection, error) {
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
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		defer cancel()
		return errors.Join(j.Close(ctx), s.Close())
	}
	if err := j.Sync(ctx); err != nil {
		return nil, errors.Join(troubleError(fmt.Errorf("load the journal into the store: %w", err)), closeAll())
	}
	service := &api.Service{
		Settings: func() *settings.Settings { return config },
		Memory:   &api.JoinedMemory{Store: s, Journal: j},
		Now:      time.Now,
	}
	return &connection{Asker: api.Local{Service: service, Viewer: api.Operator()}, service: service, store: s, close: closeAll}, nil
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
