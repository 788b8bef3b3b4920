package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Probe reports whether Listen would succeed for the address and group, and leaves no
// socket; a port is open for a moment. Its errors are those of Listen. Sockets from
// systemd cannot be probed.
func Probe(a Address, group string) error {
	if err := probe(a, group); err != nil {
		return fmt.Errorf("%s %w", a, err)
	}
	return nil
}

func probe(a Address, group string) error {
	if a.Network != networkUnix {
		if a.Network == networkSystemd {
			return nil
		}
		ln, err := listen(a, 0, "")
		if err != nil {
			return err
		}
		return ln.Close()
	}
	if group != "" {
		if _, err := groupID(group); err != nil {
			return err
		}
	}
	info, err := os.Lstat(a.Addr)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		folder := filepath.Dir(a.Addr)
		if _, err := os.Stat(folder); err != nil {
			return needsFolder(folder, err)
		}
		return nil
	case err != nil:
		return plain(err)
	case info.Mode().Type() != fs.ModeSocket:
		return errNoSocket
	}
	conn, err := net.DialTimeout(networkUnix, a.Addr, probeTimeout)
	switch {
	case err == nil:
		return errors.Join(ErrInUse, conn.Close())
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w, or cannot be looked at: %w", ErrInUse, unwrapOp(err))
	}
	return nil
}
