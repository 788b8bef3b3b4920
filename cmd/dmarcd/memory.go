package main

import (
	"context"
	"errors"
	"fmt"

	"dmarcd/internal/admin"
	"dmarcd/internal/settings"
)

// openedMemory is what is remembered, as a command sees it: that of the running
// daemon or, where none runs, the store itself.
type openedMemory struct {
	admin.Memory
	daemon *admin.Client // nil where none runs
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
		return nil, troubleError(fmt.Errorf("%w; start the daemon", err))
	case errors.Is(err, admin.ErrNotAllowed):
		return nil, usageError(err)
	}
	return nil, troubleError(err)
}
