package milter

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// firstFD is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstFD = 3

// inherited takes over the listening socket that systemd passed under name
// (sd_listen_fds_with_names(3)). Sockets of other names are not touched. Call it once per
// name: it consumes the descriptor.
func inherited(name string, getenv func(string) string, pid int) (net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, fmt.Errorf("was not passed: systemd started no socket for this process")
	}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count < 1 {
		return nil, fmt.Errorf("was not passed: LISTEN_FDS is %q", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	found := -1
	for i, n := range names[:min(count, len(names))] {
		if n != name {
			continue
		}
		if found >= 0 {
			return nil, fmt.Errorf("was passed several times; give each socket a unit with a FileDescriptorName of its own")
		}
		found = firstFD + i
	}
	if found < 0 {
		return nil, fmt.Errorf("was not passed; the names passed are %.200q", names)
	}
	syscall.CloseOnExec(found)
	f := os.NewFile(uintptr(found), name)
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, plain(err)
	}
	stream, ok := ln.(pausable)
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("cannot be used: it is no stream socket")
	}
	return &inheritedListener{pausable: stream}, nil
}

// pausable is a listener of package net that can be made to stop waiting.
type pausable interface {
	net.Listener
	SetDeadline(time.Time) error
}

// inheritedListener is a listener that outlives this process: connections that it does
// not accept wait for the next process.
type inheritedListener struct{ pausable }

// pause makes Accept return os.ErrDeadlineExceeded, until resume.
func (l *inheritedListener) pause() { _ = l.SetDeadline(time.Unix(1, 0)) } // fails on a closed one

// resume reports whether Accept can be called again.
func (l *inheritedListener) resume() bool { return l.SetDeadline(time.Time{}) == nil }
