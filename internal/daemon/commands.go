package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
)

// commands answers those who ask on the admin socket.
type commands struct {
	server   *admin.Server
	listener net.Listener
	log      *slog.Logger
}

func newCommands(d *Daemon) (*commands, error) {
	l, err := admin.Listen(admin.SocketPath(d.settings.Load().StateDir))
	if err != nil {
		return nil, fmt.Errorf("the socket for commands: %w", err)
	}
	server := admin.NewServer(admin.Config{Version: d.version, Service: d.service(), Log: d.log})
	return &commands{server: server, listener: l, log: d.log}, nil
}

// service is what operations work with in this daemon.
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
		Accounts: d.accounts,
		Now:      time.Now,
	}
}

func (c *commands) serve() {
	if err := c.server.Serve(c.listener); err != nil {
		c.log.Error("commands cannot ask this daemon any more", "error", err.Error())
	}
}

func (c *commands) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadWait)
	defer cancel()
	if err := c.server.Shutdown(ctx); err != nil {
		c.log.Warn("a command was cut off", "error", err.Error())
	}
}
