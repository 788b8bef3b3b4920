package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"dmarcd/internal/errkind"
)

// socketMode admits the daemon's own group.
const socketMode = 0o660

// MaxPath is the longest path of a unix socket, in octets (sun_path of unix(7)).
const MaxPath = 107

// Listen opens the socket at path. It replaces a stale socket, but not one in use, nor
// anything else at that path, including a symbolic link.
func Listen(path string) (net.Listener, error) {
	if len(path) > MaxPath {
		return nil, fmt.Errorf("admin socket %s: a socket's path can have %d octets at most; choose a shorter state_dir", path, MaxPath)
	}
	if err := clearPath(path); err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	// Linux gives the file the mode of the socket, so that nobody gets in before
	// the mode is set.
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		ctlErr := rc.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(ctlErr, err)
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	own := &listener{UnixListener: l.(*net.UnixListener), path: path}
	own.SetUnlinkOnClose(false)
	if own.file, err = os.Lstat(path); err == nil {
		err = os.Chmod(path, socketMode)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), own.Close())
	}
	return own, nil
}

// clearPath removes a stale socket.
func clearPath(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errkind.New(errkind.Trouble, "exists and is not a socket; it was not touched")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(errkind.New(errkind.Trouble, "another dmarcd listens on it; each needs a state_dir of its own"), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("somebody may listen on it: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it is stale and cannot be removed: %w", err)
	}
	return nil
}

// listener removes its own socket file, and no other, on Close.
type listener struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	once sync.Once
}

func (l *listener) Close() error {
	l.once.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && l.file != nil && os.SameFile(now, l.file) {
			_ = os.Remove(l.path) // a leftover is stale, and replaced at the next start
		}
	})
	return l.UnixListener.Close()
}
