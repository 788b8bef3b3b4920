package console

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// client is the client of a request, as far as the connection and the proxy tell.
type client struct {
	address netip.Addr
	secure  bool // by TLS, ours or the proxy's
	proxied bool // by the proxy that is trusted
}

// clientKey is the context key of a client.
type clientKey struct{}

var errProxyHeader = errors.New("the trusted proxy did not tell the client's address")

// clientOf identifies the client.
func (s *site) clientOf(r *http.Request) (client, error) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return client{}, err
	}
	c := client{address: peer.Addr().Unmap().WithZone(""), secure: s.Secure}
	if s.Proxy.Header == "" || !s.Proxy.Network.Contains(c.address) {
		return c, nil
	}
	values := r.Header.Values(s.Proxy.Header)
	if len(values) == 0 {
		if c.address.IsLoopback() {
			return c, nil // not through the proxy, but from this host
		}
		return c, errProxyHeader
	}
	list := strings.Split(values[len(values)-1], ",")
	last := strings.TrimSpace(list[len(list)-1])
	if c.address, err = netip.ParseAddr(last); err != nil {
		if full, portErr := netip.ParseAddrPort(last); portErr == nil {
			c.address = full.Addr()
		} else {
			return c, errProxyHeader
		}
	}
	c.address, c.secure, c.proxied = c.address.Unmap().WithZone(""), true, true
	return c, nil
}

// local reports whether a request was made on this host, by a loopback name and without a proxy.
// HTTP/1.0 may name no host.
func (s *site) local(r *http.Request, c client) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return s.loopback && !c.proxied && c.address.IsLoopback() && (r.Host == "" || isLoopback(r.Host))
}

// gate guards everything that the listener serves. Without users it answers only this host, by a
// loopback name, so that a page in a browser cannot read us under a name of its own.
func (s *site) gate(probes http.Handler) http.Handler {
	pages := s.handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.clientOf(r)
		if err != nil {
			plain(w, http.StatusBadRequest, "the address of the client cannot be told: "+err.Error()+"\n")
			return
		}
		if !s.loopback && !c.secure {
			plain(w, http.StatusForbidden, "this server is reached by TLS, or through its proxy (http.proxy)\n")
			return
		}
		local := s.local(r, c)
		probe := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		switch {
		case probe && local, r.URL.Path == "/metrics" && local:
			probes.ServeHTTP(w, r)
			return
		case r.URL.Path == "/metrics":
			plain(w, http.StatusNotFound, "the metrics are on loopback, and at http.metrics_listen\n")
			return
		}
		some, err := s.anyUser(r)
		if !some && !local {
			plain(w, http.StatusMisdirectedRequest, "while the console has no user, this server answers to localhost and loopback addresses only; http.metrics_listen answers to any name\n")
			return
		}
		if probe {
			probes.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, gated{client: c, guest: !some && err == nil, trouble: err})))
	})
}

// gated is what the gate determined.
type gated struct {
	client
	guest   bool  // there is no user
	trouble error // why that is not known
}
