package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	defaultResolvConf = "/etc/resolv.conf"
	defaultPort       = 53
	hostLookupTime    = 10 * time.Second // for a server given by name, at startup
)

// server is one recursive server: its address, health and idle sockets.
type server struct {
	addr netip.AddrPort

	missed atomic.Int32 // consecutive queries without an answer
	rested atomic.Int64 // when it may be tried first again, Unix nanoseconds

	mu     sync.Mutex
	idle   []*net.UDPConn
	closed bool
}

// findServers takes the addresses from the configuration or from resolv.conf.
func findServers(cfg Config) ([]*server, error) {
	texts := cfg.Servers
	if len(texts) == 0 {
		path := cfg.ResolvConf
		if path == "" {
			path = defaultResolvConf
		}
		file, err := mdns.ClientConfigFromFile(path)
		if err != nil {
			return nil, fmt.Errorf("no servers configured, and %w", err)
		}
		texts = file.Servers
		if len(texts) == 0 {
			texts = []string{"127.0.0.1"} // resolv.conf(5)
		}
	}
	var out []*server
	for _, text := range texts {
		addr, err := parseServer(text)
		if err != nil {
			return nil, fmt.Errorf("DNS server %q: %w", text, err)
		}
		if !slices.ContainsFunc(out, func(s *server) bool { return s.addr == addr }) {
			out = append(out, &server{addr: addr})
		}
	}
	return out, nil
}

// parseServer parses host or host:port; an IPv6 address with a port is in brackets.
func parseServer(text string) (netip.AddrPort, error) {
	host, port := text, uint16(defaultPort)
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	} else if _, err := netip.ParseAddr(text); err != nil && strings.Contains(text, ":") {
		h, p, err := net.SplitHostPort(text)
		if err != nil {
			return netip.AddrPort{}, errors.New("neither host nor host:port")
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return netip.AddrPort{}, fmt.Errorf("port %q is not a number from 1 to 65535", p)
		}
		host, port = h, uint16(n)
	}
	if host == "" {
		return netip.AddrPort{}, errors.New("no host")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), port), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostLookupTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("look up its address: %w", err)
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), port), nil
}

const (
	sickAfter = 3                // consecutive queries without an answer
	restTime  = 15 * time.Second // before a sick server is tried first again
)

// order lists the servers by preference, those that answer first. A sick one moves to the
// end, but occasionally a query tests whether it has recovered.
func (c *Client) order() []*server {
	if len(c.servers) == 1 {
		return c.servers
	}
	now := c.now()
	out := make([]*server, 0, len(c.servers))
	var sick []*server
	for _, s := range c.servers {
		if s.isSick(now) {
			sick = append(sick, s)
		} else {
			out = append(out, s)
		}
	}
	return append(out, sick...)
}

func (s *server) isSick(now time.Time) bool {
	if s.missed.Load() < sickAfter {
		return false
	}
	until := s.rested.Load()
	tryNow := now.UnixNano() >= until && s.rested.CompareAndSwap(until, now.Add(restTime).UnixNano())
	return !tryNow
}

// answered and missing record the server's health. Any answer that belongs to the query
// counts: SERVFAIL says more about the name than about the server.
func (s *server) answered() { s.missed.Store(0) }

func (s *server) missing(now time.Time) {
	if s.missed.Add(1) == sickAfter {
		s.rested.Store(now.Add(restTime).UnixNano())
	}
}

// maxIdle is how many sockets to one server are kept for reuse.
const maxIdle = 64

// socket returns a connected UDP socket, so that the kernel drops packets from other
// addresses. Each query has a fresh one with a fresh random source port (RFC 5452 section
// 9.2), except on loopback, where no outsider can forge.
func (s *server) socket() (*net.UDPConn, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		conn := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return conn, nil
	}
	s.mu.Unlock()
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.addr))
}

// release returns a socket for reuse after its query was answered.
func (s *server) release(conn *net.UDPConn) {
	if s.addr.Addr().IsLoopback() {
		s.mu.Lock()
		keep := !s.closed && len(s.idle) < maxIdle
		if keep {
			s.idle = append(s.idle, conn)
		}
		s.mu.Unlock()
		if keep {
			return
		}
	}
	_ = conn.Close()
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, conn := range s.idle {
		_ = conn.Close()
	}
	s.idle = nil
}
