package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
)

// commands serves the admin socket.
type commands struct {
	server    *admin.Server
	listeners []net.Listener
	log       *slog.Logger
}

func newCommands(d *Daemon) (*commands, error) {
	l, err := admin.Listen(admin.SocketPath(d.settings.Load().StateDir))
	if err != nil {
		return nil, fmt.Errorf("the socket for commands: %w", err)
	}
	c := &commands{listeners: []net.Listener{l}, log: d.log}
	c.server = admin.NewServer(admin.Config{Version: d.version, Source: d.source.Name(), Service: d.service(), Log: d.log})
	if l, err := listenRuntime(); err != nil {
		d.log.Debug("commands that cannot read dmarcd.yaml will not find this daemon by themselves", "error", err.Error())
	} else {
		c.listeners = append(c.listeners, l)
	}
	return c, nil
}

// listenRuntime opens the second socket, of the first daemon on this host. It uses only a folder of
// the system, or of the supervisor.
func listenRuntime() (net.Listener, error) {
	folder := runtimeFolder()
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return admin.Listen(admin.SocketPath(folder))
}

// discard closes the unused listeners.
func (c *commands) discard() {
	for _, l := range c.listeners {
		_ = l.Close() // nobody was let in
	}
}

// service returns the service for operations in this daemon.
func (d *Daemon) service() *api.Service {
	return &api.Service{
		Settings: d.settings.Load,
		Memory:   &api.JoinedMemory{Store: d.recorder.store, Journal: d.recorder.journal},
		Held:     d.recorder.store,
		Policies: d.recorder.store,
		Host:     HostName(),
		Daemon:   d,
		Reports:  d.reporting.pipeline.Service(),
		Received: d.recorder.store,
		Intake:   d.receiving.service,
		DNS:      d.lookups,
		Services: d.services.get,
		Accounts: d.accounts,
		Now:      time.Now,
	}
}

// serve serves until shutdown, in goroutines of working.
func (c *commands) serve(working *sync.WaitGroup) {
	for _, l := range c.listeners {
		working.Go(func() {
			if err := c.server.Serve(l); err != nil {
				c.log.Error("commands cannot ask this daemon any more", "socket", l.Addr().String(), "error", err.Error())
			}
		})
	}
}

func (c *commands) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadWait)
	defer cancel()
	if err := c.server.Shutdown(ctx); err != nil {
		c.log.Warn("a command was cut off", "error", err.Error())
	}
}
