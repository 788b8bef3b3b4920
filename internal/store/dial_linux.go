package store

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setUserTimeout makes the kernel close a connection whose data the peer does not
// acknowledge (tcp(7), TCP_USER_TIMEOUT), where keep-alive alone would not.
func setUserTimeout(network, _ string, c syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}
