package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"dmarcd/internal/admin"
	"dmarcd/internal/errkind"
	"dmarcd/internal/journal"
	"dmarcd/internal/milter"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
	"dmarcd/internal/text"
)

// Obstacle is a finding on this host. One without a kind is a warning: the daemon would start, or the
// obstacle is gone by then. WrongUse and Trouble would prevent the start, with the exit code of
// serve.
type Obstacle struct {
	Kind errkind.Kind
	Text string
}

// Preflight looks for anything that would prevent a daemon with these settings from starting on this
// host, and changes nothing. Sockets are those that the running daemon of the same source has open,
// nil if none runs: they are no obstacle.
func Preflight(ctx context.Context, config *settings.Settings, version string, running bool, sockets []string) []Obstacle {
	p := &preflight{config: config, running: running, sockets: sockets, user: serviceUser(config.StateDir), asker: os.Geteuid()}
	p.stateDir()
	p.listeners()
	p.web()
	p.secrets(version)
	p.resolver()
	p.memory(ctx)
	return p.found
}

type preflight struct {
	config  *settings.Settings
	running bool
	sockets []string
	user    osUser // that the daemon runs as
	asker   int    // the id of the user who asks
	found   []Obstacle
}

func (p *preflight) warn(format string, args ...any) {
	p.found = append(p.found, Obstacle{Text: fmt.Sprintf(format, args...)})
}

// meet records an error that would prevent the start. If it only means that the caller may not look,
// it is a warning.
func (p *preflight) meet(err error) {
	switch {
	case err == nil:
	case p.stranger() && errors.Is(err, fs.ErrPermission):
		p.warn("%s; you may not look, so run this as root or %s", text.Error(err), p.user)
	default:
		err = startError(err)
		p.found = append(p.found, Obstacle{Kind: errkind.Of(err), Text: text.Error(err)})
	}
}

// stranger reports whether the caller is neither root nor the user of the daemon.
func (p *preflight) stranger() bool { return p.asker != 0 && p.asker != int(p.user.uid) }

// stateDir checks that the state directory exists, or can be created, and is writable.
func (p *preflight) stateDir() {
	dir := p.config.StateDir
	if path := admin.SocketPath(dir); len(path) > admin.MaxPath {
		p.meet(fmt.Errorf("state_dir: the socket %s would have a path of over %d octets; choose a shorter one", path, admin.MaxPath))
		return
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		p.parent(dir)
		return
	}
	switch {
	case err != nil:
		p.meet(stateError(err))
	case !info.IsDir():
		p.meet(stateError(&fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}))
	case !p.user.may(info, 3):
		p.meet(stateError(fmt.Errorf("%s belongs to others, and %s may not write there: %w", dir, p.user, fs.ErrPermission)))
	default:
		p.meet(stateError(tryFile(dir)))
	}
}

// parent checks that a missing directory can be created.
func (p *preflight) parent(dir string) {
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		info, err := os.Stat(up)
		switch {
		case errors.Is(err, fs.ErrNotExist) && up != filepath.Dir(up):
			continue
		case err != nil:
			p.meet(stateError(err))
		case !info.IsDir():
			p.meet(stateError(&fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}))
		case !p.user.may(info, 3) && p.asker == 0:
			p.warn("state_dir: %s is not there, and %s may not make it in %s; the unit of systemd makes it (StateDirectory), else: install -d -o %s -m 750 %s", dir, p.user, up, p.user.name, dir)
		case !p.user.may(info, 3) || syscall.Access(up, 2) != nil:
			p.meet(stateError(&fs.PathError{Op: "mkdir", Path: dir, Err: syscall.EACCES}))
		}
		return
	}
}

// tryFile writes a file and removes it.
func tryFile(dir string) error {
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// listeners checks the sockets for the MTA, and that for LMTP.
func (p *preflight) listeners() {
	all := slices.Clone(p.config.Listen)
	names := make([]string, len(all))
	for i := range all {
		names[i] = "listen"
	}
	if lmtp := p.config.Analysis.LMTP; lmtp.Socket != "" {
		all = append(all, lmtp.Listen)
		names = append(names, "analysis.lmtp")
	}
	for i, l := range all {
		if slices.Contains(p.sockets, l.Socket) {
			continue
		}
		a, err := milter.ParseAddress(l.Socket)
		if err == nil && a.Network == "unix" && filepath.Dir(a.Addr) == runtimeFolder() && missing(runtimeFolder()) {
			p.warn("%s: %s is not there yet; the unit of systemd makes it (RuntimeDirectory)", names[i], runtimeFolder())
			continue
		}
		if err == nil {
			err = milter.Probe(a, l.Group)
		}
		if errors.Is(err, milter.ErrInUse) {
			p.warn("%s: %v", names[i], err)
			continue
		}
		if err != nil {
			p.meet(fmt.Errorf("%s: %w", names[i], err))
			continue
		}
		p.socketFolder(names[i], a)
	}
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// socketFolder checks that the service may create a socket in its folder.
func (p *preflight) socketFolder(key string, a milter.Address) {
	if a.Network != "unix" {
		return
	}
	folder := filepath.Dir(a.Addr)
	if info, err := os.Stat(folder); err == nil && !p.user.may(info, 3) {
		p.meet(fmt.Errorf("%s: %s cannot be opened: %s may not write in %s: %w", key, a, p.user, folder, fs.ErrPermission))
	}
}

// web checks the ports of HTTP and the certificate.
func (p *preflight) web() {
	h := p.config.HTTP
	for _, port := range [][2]string{{"http.listen", h.Listen}, {"http.metrics_listen", h.MetricsListen}} {
		key, address := port[0], port[1]
		if address == "" || slices.Contains(p.sockets, address) {
			continue
		}
		l, err := net.Listen("tcp", address)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			p.warn("%s: %s is in use by another process", key, address)
		case err != nil:
			p.meet(webError(key, err))
		default:
			_ = l.Close() // nobody was let in
		}
	}
	if h.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(p.config.Path(h.TLSCert), p.config.Path(h.TLSKey)); err != nil {
			p.meet(certError(err))
		}
	}
}

// resolver checks the servers of resolv.conf.
func (p *preflight) resolver() {
	c, err := NewResolver(p.config)
	if err != nil {
		p.meet(err)
		return
	}
	c.Close()
}

// memory checks the journal's lock and the store. An unreachable store does not prevent the start.
func (p *preflight) memory(ctx context.Context) {
	if p.running {
		return // it holds both, and tells of them in its status
	}
	if err := journal.Probe(journalDir(p.config)); errors.Is(err, journal.ErrLocked) {
		p.meet(lockError(err))
	} else {
		p.meet(err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	switch err := store.Probe(ctx, StoreConfig(p.config)); {
	case errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrSchema):
		p.warn("%s; mail is filtered all the same, and its records wait in the journal", text.Error(err))
	default:
		p.meet(err)
	}
}
