package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/admin"
	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/journal"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// Offline serves a command on a host without a running daemon: it opens the store in the daemon's
// place.
type Offline struct {
	api.Local
	settings *settings.Settings
	store    *store.Store
	journal  *journal.Journal
	resolver *resolver.Client // nil until UseReports
	intake   *ownIntake       // nil until UseIntake
}

// closePatience is how long the end of a command waits for the journal.
const closePatience = 2 * time.Second

// OpenOffline opens the store: it loads the rest of the journal, under its lock, and then reads the
// store. The caller closes it.
func OpenOffline(ctx context.Context, config *settings.Settings) (*Offline, error) {
	if err := ownState(config.StateDir); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, StoreConfig(config))
	if err != nil {
		return nil, startError(err)
	}
	if err := s.Ready(ctx); err != nil {
		return nil, errors.Join(startError(err), s.Close())
	}
	j, err := journal.Open(journal.Config{Dir: journalDir(config), Sink: journalSink{s}})
	if err != nil {
		err = errkind.Errorf(errkind.Trouble, "%w; no daemon answers on %s, so it may be starting or stopping: try again in a moment",
			err, admin.SocketPath(config.StateDir))
		return nil, errors.Join(err, s.Close())
	}
	o := &Offline{settings: config, store: s, journal: j}
	if err := j.Sync(ctx); err != nil {
		return nil, errors.Join(errkind.Errorf(errkind.Trouble, "load the journal into the store: %w", err), o.Close())
	}
	o.Local = api.Local{Viewer: api.Operator(), Service: &api.Service{
		Settings: func() *settings.Settings { return config },
		Memory:   &api.JoinedMemory{Store: s, Journal: j},
		Held:     s,
		Policies: s,
		Host:     HostName(),
		Received: s,
		Services: newServices(func() *settings.Settings { return config }, slog.New(slog.DiscardHandler)).get,
		Accounts: account.New(s, time.Now),
		Now:      time.Now,
	}}
	return o, nil
}

// UseIntake enables the operations that take in reports.
func (o *Offline) UseIntake() {
	o.intake = newOwnIntake(o.store, o.settings)
	o.Service.Intake = o.intake
}

// UseReports enables the operations on reports. Draining the pipeline sends due reports. Version is
// the program's.
func (o *Offline) UseReports(version string) (*outgoing.Pipeline, error) {
	c, _, err := ReportsConfig(o.settings, version)
	if err != nil {
		return nil, startError(err)
	}
	if o.resolver, err = NewResolver(o.settings); err != nil {
		return nil, startError(err)
	}
	p := outgoing.New(outgoing.Options{
		Store: o.store.Reports(), Resolver: o.resolver, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}, c)
	o.Service.Reports = p.Service()
	return p, nil
}

// NewResolver returns the resolver of a command that runs once.
func NewResolver(config *settings.Settings) (*resolver.Client, error) {
	return openResolver(resolverConfig(config.Resolver))
}

// Close releases everything.
func (o *Offline) Close() error {
	if o.intake != nil {
		o.intake.close()
	}
	if o.resolver != nil {
		o.resolver.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	return errors.Join(o.journal.Close(ctx), o.store.Close())
}

// ownState checks that this process runs as the owner of the state: any other user, even root, would
// leave files that the daemon cannot use.
func ownState(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errkind.Errorf(errkind.Trouble, "nothing is remembered: no daemon is running and there is no state_dir %s; is -c the daemon's configuration?", dir)
	case err != nil:
		return errkind.Wrap(errkind.Trouble, fmt.Errorf("state_dir: %w", err))
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
	return errkind.Errorf(errkind.WrongUse, "no daemon is running, and %s belongs to the user %s: start the daemon, or run this command as that user (sudo -u '%s' dmarcd …)",
		dir, name, name)
}
