package milter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrAddress means that a text is no socket address in the spelling of MTAs.
var ErrAddress = errors.New("milter: socket address")

// maxUnixPath is the longest path that fits into sockaddr_un with its NUL.
const maxUnixPath = 107

// Networks of an Address.
const (
	networkUnix    = "unix"
	networkSystemd = "systemd"
)

// Address is where a milter listens, or is reached. The zero Address is none.
type Address struct {
	Network string // "tcp4", "tcp6", "unix" or "systemd"
	Addr    string // host:port, where no host means every address; a path; the name of a socket
}

// ParseAddress reads the spellings of Sendmail and Postfix:
//
//	inet:PORT@HOST  inet6:PORT@HOST  inet:PORT  inet:HOST:PORT
//	unix:/PATH  local:/PATH
//	systemd:NAME
//
// HOST may be a name, an IPv4 address, or an IPv6 address with or without brackets.
// Without a host every address of that family is meant. Errors wrap ErrAddress.
func ParseAddress(s string) (Address, error) {
	a, err := parseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("%w %q: %w", ErrAddress, s, err)
	}
	return a, nil
}

func parseAddress(s string) (Address, error) {
	kind, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Address{}, errors.New(`want inet:PORT@HOST, inet6:PORT@HOST, unix:/PATH or systemd:NAME`)
	}
	switch kind {
	case "inet":
		return parseInet("tcp4", rest)
	case "inet6":
		return parseInet("tcp6", rest)
	case "unix", "local":
		return parseUnix(rest)
	case "systemd":
		if rest == "" || strings.ContainsAny(rest, ": \t\r\n\x00") {
			return Address{}, errors.New("systemd: wants the FileDescriptorName of a socket unit")
		}
		return Address{Network: networkSystemd, Addr: rest}, nil
	}
	return Address{}, fmt.Errorf("unknown kind %q; want inet, inet6, unix, local or systemd", kind)
}

func parseUnix(path string) (Address, error) {
	switch {
	case !filepath.IsAbs(path):
		return Address{}, errors.New("the path must begin with /: the working directory of a daemon is not its administrator's")
	case len(path) > maxUnixPath:
		return Address{}, fmt.Errorf("the path has %d bytes; sockets take %d", len(path), maxUnixPath)
	case strings.ContainsRune(path, 0):
		return Address{}, errors.New("the path holds a NUL")
	}
	return Address{Network: networkUnix, Addr: filepath.Clean(path)}, nil
}

// parseInet reads PORT@HOST, PORT, or HOST:PORT as Postfix writes it.
func parseInet(network, s string) (Address, error) {
	port, host, ok := strings.Cut(s, "@")
	switch {
	case ok && host == "":
		return Address{}, errors.New("no host behind the @")
	case !ok && strings.Contains(s, ":"):
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return Address{}, errors.New("want PORT@HOST; an IPv6 address before :PORT stands in brackets")
		}
		if host == "" {
			return Address{}, errors.New("no host before the colon")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Address{}, fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	if h, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(h, "]"); !ok || host == "" {
			return Address{}, errors.New("brackets do not match")
		}
	}
	network, err := inetNetwork(network, host)
	if err != nil {
		return Address{}, err
	}
	return Address{Network: network, Addr: net.JoinHostPort(host, port)}, nil
}

// inetNetwork settles the family. Postfix writes inet: for both, so an IPv6
// address decides for itself.
func inetNetwork(network, host string) (string, error) {
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Is4() && network == "tcp6":
		return "", fmt.Errorf("inet6 with the IPv4 address %s", host)
	case err == nil && !plainName(ip.Zone()):
		return "", fmt.Errorf("host %q has no proper zone", host)
	case err == nil && ip.Is6():
		return "tcp6", nil
	case err != nil && !plainName(host):
		return "", fmt.Errorf("host %q is neither a name nor an address", host)
	}
	return network, nil
}

// plainName reports whether s, which may be empty, looks like a host name.
func plainName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// String is the address in Sendmail's spelling.
func (a Address) String() string {
	switch a.Network {
	case "":
		return ""
	case networkUnix, networkSystemd:
		return a.Network + ":" + a.Addr
	}
	kind := "inet:"
	if a.Network == "tcp6" {
		kind = "inet6:"
	}
	host, port, err := net.SplitHostPort(a.Addr)
	switch {
	case err != nil:
		return kind + a.Addr
	case host == "":
		return kind + port
	}
	return kind + port + "@" + host
}

// Dial connects to the listener at a; on this host if a names none. A systemd socket has
// no address to dial.
func (a Address) Dial(ctx context.Context) (net.Conn, error) {
	if a.Network == networkSystemd || a.Network == "" {
		return nil, fmt.Errorf("milter: %q cannot be dialled; name the path or port behind it", a.String())
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, a.Network, a.Addr)
	if err != nil {
		return nil, fmt.Errorf("milter: %w", err)
	}
	return conn, nil
}
