package milter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrInUse means that another process serves an address.
var ErrInUse = errors.New("is in use by another process")

const (
	// defaultMode lets the owner and the group of a unix socket connect.
	defaultMode fs.FileMode = 0o660
	// probeTimeout bounds the check whether a unix socket is in use.
	probeTimeout = time.Second
)

// Listen opens a. For a unix socket, mode is its permissions (0 means 0660) and group its
// group by name or number ("" means the process's); both apply before anybody can
// connect. A stale socket file is replaced, one in use gives ErrInUse, and any other file
// is not touched. Closing the listener removes the file. mode and group do not apply to
// other networks.
func Listen(a Address, mode fs.FileMode, group string) (net.Listener, error) {
	ln, err := listen(a, mode, group)
	if err != nil {
		return nil, fmt.Errorf("milter: %s %w", a, err)
	}
	return ln, nil
}

func listen(a Address, mode fs.FileMode, group string) (net.Listener, error) {
	switch a.Network {
	case networkUnix:
		return listenUnix(a.Addr, mode, group)
	case networkSystemd:
		return inherited(a.Addr, os.Getenv, os.Getpid())
	case "tcp4", "tcp6":
		// Package net has TCP keep-alive on, which finds a dead MTA long before
		// the idle time-out.
		ln, err := net.Listen(a.Network, a.Addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, ErrInUse
		}
		return ln, plain(err)
	}
	return nil, fmt.Errorf("has the unknown network %q", a.Network)
}

// plain strips from a network or file error the part that the caller adds anyway.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot be opened: %w", err)
}

func listenUnix(path string, mode fs.FileMode, group string) (net.Listener, error) {
	if mode == 0 {
		mode = defaultMode
	}
	if mode != mode.Perm() {
		return nil, fmt.Errorf("cannot have mode %#o: only permission bits count", uint32(mode))
	}
	gid := -1
	if group != "" {
		var err error
		if gid, err = groupID(group); err != nil {
			return nil, err
		}
	}
	if err := clearPath(path); err != nil {
		return nil, err
	}
	// Linux gives the file the mode of the socket, so that nobody gets in
	// before group and mode are set.
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		ctlErr := rc.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(ctlErr, err)
	}}
	ln, err := lc.Listen(context.Background(), networkUnix, path)
	if err != nil {
		return nil, plain(err)
	}
	ul := ln.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	u := &unixListener{UnixListener: ul, path: path}
	if err := u.own(mode, gid); err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

// groupID finds a group by name or number.
func groupID(group string) (int, error) {
	g, err := user.LookupGroup(group)
	if err != nil {
		if n, numErr := strconv.ParseUint(group, 10, 31); numErr == nil {
			return int(n), nil
		}
		return 0, fmt.Errorf("cannot be given to the group %q: there is none", group)
	}
	return strconv.Atoi(g.Gid)
}

// clearPath makes room at path: it removes a socket that nobody serves.
func clearPath(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return needsFolder(filepath.Dir(path), err)
		}
		return nil
	}
	if err != nil {
		return plain(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errNoSocket
	}
	conn, err := net.DialTimeout(networkUnix, path, probeTimeout)
	if err == nil {
		conn.Close()
		return ErrInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		// No permission to connect, or its queue is full: it may be in use.
		return fmt.Errorf("%w, or cannot be looked at: %w", ErrInUse, unwrapOp(err))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("is stale and cannot be removed: %w", unwrapPath(err))
	}
	return nil
}

// errNoSocket: the path exists and is not a socket.
var errNoSocket = errors.New("exists and is not a socket; it was not touched")

func needsFolder(folder string, err error) error {
	return fmt.Errorf("needs the folder %s: %w", folder, unwrapPath(err))
}

// unwrapOp strips the address, which already precedes the error.
func unwrapOp(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// unixListener removes its own socket file, and no other, on Close.
type unixListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	once sync.Once
}

// own returns the socket file its group and mode.
func (l *unixListener) own(mode fs.FileMode, gid int) error {
	var err error
	if l.file, err = os.Lstat(l.path); err != nil {
		return plain(err)
	}
	if gid >= 0 {
		if err := os.Lchown(l.path, -1, gid); err != nil {
			return fmt.Errorf("cannot be given to group %d: %w", gid, unwrapPath(err))
		}
	}
	if err := os.Chmod(l.path, mode); err != nil {
		return fmt.Errorf("cannot have mode %#o: %w", mode, unwrapPath(err))
	}
	return nil
}

// Close stops listening and removes the socket file.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		now, err := os.Lstat(l.path)
		if err == nil && l.file != nil && os.SameFile(l.file, now) {
			// The daemon may have lost its right to the folder; a leftover socket is
			// replaced at the next start.
			_ = os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}
