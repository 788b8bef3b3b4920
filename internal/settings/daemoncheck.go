package settings

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"dmarcd/internal/milter"
)

// checkDaemon looks at what the keys of dmarcd.yaml say together.
func checkDaemon(s *scope, v *Settings) {
	if len(v.Listen) == 0 {
		s.fault("listen", "at least one socket is needed")
	}
	checkSockets(s, v)
	if s.sound("store") && sharedInClear(v.Store) {
		s.warn("store", "the database is on another host and the connection is not encrypted for certain; add sslmode=verify-full (or require) to the URL")
	}
	s.warnWide("trusted_networks", &v.TrustedNetworks, "mail from there is not checked")
	for _, from := range v.ClientIPFrom {
		if wide(from.Relay) {
			s.warn("client_ip_from", "%s is a large part of all %s addresses: whoever sends from there tells us who he is", from.Relay, family(from.Relay))
		}
	}
}

// sharedInClear reports whether a PostgreSQL server on another host may be contacted
// without TLS.
func sharedInClear(store string) bool {
	u, err := url.Parse(store)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return false
	}
	host := u.Hostname()
	if other := u.Query().Get("host"); other != "" {
		host = other
	}
	if host == "" || strings.HasPrefix(host, "/") || isLoopbackHost(host) {
		return false
	}
	switch u.Query().Get("sslmode") {
	case "require", "verify-ca", "verify-full":
		return false
	}
	return true
}

// checkSockets wants every socket to be listened on once.
func checkSockets(s *scope, v *Settings) {
	taken := map[string]string{}
	claim := func(name, address string, at func(problem string)) {
		if address == "" || strings.HasSuffix(address, ":0") { // port 0 is a new port each time
			return
		}
		if by, twice := taken[address]; twice {
			at(address + " is listened on by " + by + " already")
			return
		}
		taken[address] = name
	}
	if !s.sound("listen", "http", "analysis") {
		return
	}
	for i, l := range v.Listen {
		claim("listen", socketKey(l.Socket), func(problem string) {
			s.element("listen", i, problem)
		})
	}
	claim("http.listen", v.HTTP.Listen, func(p string) { s.fault("http", "%s", p) })
	claim("http.metrics_listen", v.HTTP.MetricsListen, func(p string) { s.fault("http", "%s", p) })
	claim("analysis.lmtp", socketKey(v.Analysis.LMTP.Socket), func(p string) { s.fault("analysis", "%s", p) })
}

// socketKey converts an MTA socket to the form of http.listen, so that they can be
// compared; "" stays "".
func socketKey(socket string) string {
	a, err := milter.ParseAddress(socket)
	switch {
	case err != nil:
		return ""
	case a.Network == "unix" || a.Network == "systemd":
		return a.String()
	}
	return a.Addr
}

// checkHTTP restricts the console to loopback, unless TLS or the trusted proxy protects
// it.
func checkHTTP(s *scope, h *HTTP) {
	protected := h.TLSCert != "" && h.TLSKey != "" || h.Proxy.Header != "" && h.Proxy.Network.IsValid()
	if !h.Loopback() && !protected {
		s.fault("listen", "%s can be reached from outside, which needs TLS (tls_cert and tls_key) or the trusted proxy; else listen on 127.0.0.1 or [::1], and serve /metrics by metrics_listen", h.Listen)
	}
	if s.sound("tls_cert", "tls_key") && (h.TLSCert == "") != (h.TLSKey == "") {
		s.fault("tls_cert", "tls_cert and tls_key go together")
	}
}

func checkProxy(s *scope, p *Proxy) {
	if s.sound("header", "network") && (p.Header == "") != !p.Network.IsValid() {
		s.fault("header", "header and network go together")
	}
}

// isLoopback reports whether host:port can be reached from this host only.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	return err == nil && isLoopbackHost(host)
}

// checkRetention warns of rollups that would be removed before the data they summarize.
func checkRetention(s *scope, r *Retention) {
	if s.sound("received", "received_rollups") && r.ReceivedRollups < r.Received {
		s.warn("received_rollups", "the daily sums of received reports are kept for %s, but their records for %s; keep the sums at least as long",
			measured(int64(r.ReceivedRollups), timeUnits), measured(int64(r.Received), timeUnits))
	}
}

// checkReports requires what a report must have, RFC 9990's org_name and email.
func checkReports(s *scope, r *Reports) {
	if r.Enabled {
		if r.OrgName == "" {
			s.fault("org_name", "reports need the name of the organisation that sends them")
		}
		if r.Email == "" {
			s.fault("email", "reports need an address to answer to")
		}
	}
	if s.sound("username", "password_file") && (r.Username == "") != (r.PasswordFile == "") {
		s.fault("username", "username and password_file go together")
	}
}

func checkReportKey(s *scope, k *ReportKey) {
	set := 0
	for _, has := range []bool{!k.Domain.IsZero(), k.Selector != "", k.KeyFile != ""} {
		if has {
			set++
		}
	}
	if s.sound("domain", "selector", "key_file") && (set == 1 || set == 2) {
		s.fault("domain", "domain, selector and key_file go together")
	}
}

// element is fault for one element of a list.
func (s *scope) element(name string, i int, problem string) {
	n := s.place(name)
	if i < len(n.Content) {
		n = n.Content[i]
	}
	s.d.push(name, name)
	s.d.push("["+strconv.Itoa(i)+"]", "")
	s.d.fault(n, "%s", problem)
	s.d.pop()
	s.d.pop()
}
