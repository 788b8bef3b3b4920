// Package client finds whom a command asks: the running daemon on its admin socket or,
// where none runs, the store opened in its place.
package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/daemon"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Target is whom a command asks.
type Target struct {
	Config, Socket string
	Version        string // of this program
}

// Connection is how a command asks: through the running daemon or, where none runs, in
// this process.
type Connection struct {
	api.Asker
	Offline *daemon.Offline // nil where a daemon runs
	close   func() error
}

// Close lets it go.
func (c *Connection) Close() error { return c.close() }

// Find finds the running daemon, whatever its files on disk hold by now. Where
// none runs there is no connection, and the settings are those of the files.
func Find(ctx context.Context, t *Target, s present.Streams) (*Connection, *settings.Settings, error) {
	config, _, faults := daemon.FindSource(t.Config).Read()
	client, err := Dial(ctx, t)
	switch {
	case err == nil:
		if faults != nil {
			sayInForce(s.Err)
		}
		return &Connection{Asker: client, close: client.Close}, nil, nil
	case !errors.Is(err, admin.ErrNoDaemon) || t.Socket != "":
		return nil, nil, err
	case faults != nil:
		return nil, nil, ExplainFaults(s.Err, faults)
	}
	return nil, config, nil
}

// Connect finds out whom to ask for a command that runs once: the running daemon;
// without one the store is opened. The caller closes the connection.
func Connect(ctx context.Context, t *Target, s present.Streams) (*Connection, error) {
	c, config, err := Find(ctx, t, s)
	if c != nil || err != nil {
		return c, err
	}
	return OpenStore(ctx, config)
}

// OpenStore opens the store in the place of a daemon. The caller closes the connection.
func OpenStore(ctx context.Context, config *settings.Settings) (*Connection, error) {
	offline, err := daemon.OpenOffline(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Connection{Asker: offline, Offline: offline, close: offline.Close}, nil
}

// Dial asks the running daemon, and no other.
func Dial(ctx context.Context, t *Target) (*admin.Client, error) {
	if t.Socket != "" {
		return admin.Dial(ctx, t.Socket, t.Version)
	}
	return daemon.FindSource(t.Config).Dial(ctx, t.Version)
}

// InForce asks about the settings alone, in this process.
func InForce(config *settings.Settings) api.Local {
	return api.Local{Viewer: api.Operator(), Service: &api.Service{Settings: func() *settings.Settings { return config }, Now: time.Now}}
}

// WithRecords calls work with whom to ask about records: the running daemon or, where
// none runs, this process. With stored it also has what is stored of domains, as far
// as that can be had: a record can be verified without.
func WithRecords(ctx context.Context, t *Target, stored bool, s present.Streams, work func(api.Asker) error) error {
	c, config, err := Find(ctx, t, s)
	switch {
	case err != nil:
		return err
	case c != nil:
		return errors.Join(work(c), c.Close())
	}
	lookups, err := daemon.NewLookups(config)
	if err != nil {
		return err
	}
	defer lookups.Close()
	if _, err := os.Stat(config.StateDir); stored && err == nil {
		offline, err := daemon.OpenOffline(ctx, config)
		if err == nil {
			offline.Service.DNS = lookups
			return errors.Join(work(offline), offline.Close())
		}
		fmt.Fprintf(s.Err, "What is stored of domains is left out: %s\n", text.Error(err))
	}
	return work(api.Local{Viewer: api.Operator(), Service: &api.Service{
		Settings: func() *settings.Settings { return config }, DNS: lookups, Now: time.Now,
	}})
}

// WithStore calls work with whom to ask for what is stored.
func WithStore(ctx context.Context, t *Target, s present.Streams, work func(api.Asker) error) error {
	c, err := Connect(ctx, t, s)
	if err != nil {
		return err
	}
	return errors.Join(work(c), c.Close())
}

// ForIngest is whom to give reports to: the daemon or the store or, for a dry run
// where there never was one, this process.
func ForIngest(ctx context.Context, t *Target, dry bool, s present.Streams) (api.Asker, func() error, error) {
	c, config, err := Find(ctx, t, s)
	if err != nil {
		return nil, nil, err
	}
	if c == nil && dry {
		if _, err := os.Stat(config.StateDir); errors.Is(err, fs.ErrNotExist) {
			return daemon.IntakeTrial(config), func() error { return nil }, nil
		}
	}
	if c == nil {
		if c, err = OpenStore(ctx, config); err != nil {
			return nil, nil, err
		}
	}
	if c.Offline != nil {
		c.Offline.UseIntake()
	}
	return c, c.Close, nil
}

// MostOctets is the limit on a mail, as far as this process knows it.
func MostOctets(t *Target) int64 {
	const usual = 25 << 20
	config, _, err := daemon.FindSource(t.Config).Read()
	if err != nil {
		return usual
	}
	return config.Analysis.Limits.MailBytes
}

// WithPassword asks for a new password, then connects and works with it.
func WithPassword(ctx context.Context, t *Target, s present.Streams, work func(api.Asker, string) error) error {
	password, err := present.NewPassword(s)
	if err != nil {
		return err
	}
	conn, err := Connect(ctx, t, s)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // what was done is done
	return work(conn, password)
}
