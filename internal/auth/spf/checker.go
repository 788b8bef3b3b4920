package spf

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"dmarcd/internal/dns"
)

// Resolver answers the look-ups of a check. Its errors are those of package dns:
// dns.IsNone holds if the record does not exist; any other error means that the
// answer is unknown. Lists may be empty without an error.
type Resolver interface {
	// LookupTXT returns the TXT records of name, the strings of each joined.
	LookupTXT(ctx context.Context, name dns.Name) ([]string, error)
	// LookupAddr returns the A records of name, or its AAAA records with v6.
	LookupAddr(ctx context.Context, name dns.Name, v6 bool) ([]netip.Addr, error)
	// LookupMX returns the hosts of the MX records of name by preference.
	LookupMX(ctx context.Context, name dns.Name) ([]dns.Name, error)
	// LookupPTR returns the names that the reverse zone has for addr.
	LookupPTR(ctx context.Context, addr netip.Addr) ([]dns.Name, error)
}

// Checker runs checks. They do not change it, and several goroutines may use it.
type Checker struct {
	Resolver Resolver
	Receiver string           // name of the checking host, for %{r}; "" for "unknown"
	Now      func() time.Time // for %{t}; nil for 0
	// Prefetch asks in parallel for what the terms of a record need, within the ten
	// look-ups of a check. It saves round trips but may spend look-ups on terms that
	// are never reached.
	Prefetch bool
}

// Bounds on the parts of an identity that macros use. A longer part has no
// expansion, so a term with such a macro does not match.
const (
	maxLocalPart = 1024 // octets; RFC 5321 section 4.5.3.1.1 has 64
	maxHelo      = 255  // octets, RFC 5321 section 4.5.3.1.2
)

// Check is check_host() of RFC 7208 section 4 for the MAIL FROM identity of r, or
// for its HELO identity if the reverse-path is null. The deadline of ctx is the
// time limit of section 4.6.4: if ctx ends first, the result is TempError.
func (c *Checker) Check(ctx context.Context, r Request) Result {
	e := evaluation{checker: c, ctx: ctx, ip: r.IP.Unmap().WithZone("")} // RFC 7208 section 5: a mapped address is IPv4
	res := Result{Status: None, Scope: MailFrom, ClientIP: e.ip}
	host := r.Host
	e.local = r.Local
	if r.Local == "" && r.Host == "" { // RFC 7208 section 2.4
		res.Scope, host = Helo, r.Helo
	}
	if e.local == "" { // RFC 7208 section 4.3
		e.local = "postmaster"
	}
	e.localOK = len(e.local) <= maxLocalPart && isASCII(e.local) // RFC 8616 section 4
	e.helo, e.heloOK = heloMacro(r.Helo)
	domain, ok := identity(host)
	res.Domain, e.sender = domain, domain
	if !ok || !e.ip.IsValid() {
		return res
	}
	if c.Prefetch {
		e.ahead = newAhead(ctx, c.Resolver)
		defer e.ahead.stop()
	}
	v, fault := e.checkHost(domain)
	res.Status = v.status
	if fault != nil {
		res.Status, res.Err = fault.Status, fault
	}
	if res.Status == Fail && v.exp != "" {
		res.Explanation = e.explain(v.exp, v.domain)
	}
	res.Lookups, res.Voids = e.lookups, e.voids
	res.Chain, res.Terms = e.path()
	res.Walk, res.WalkCut, res.LocalPart = e.walk.steps, e.walk.cut, e.localPart
	if n := len(res.Terms); v.matched {
		res.Mechanism = res.Terms[n-1]
	}
	return res
}

// identity reads the domain to check. It returns false if the domain is malformed,
// a single label or an address (RFC 7208 section 4.3).
func identity(host string) (dns.Name, bool) {
	n, err := dns.Parse(host)
	if err != nil {
		return dns.Name{}, false
	}
	s := n.String()
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && !isDigit(c) && c != '-' && c != '_' && c != '.' {
			return dns.Name{}, false
		}
	}
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || checkTopLabel(s[dot+1:]) != nil {
		return dns.Name{}, false
	}
	return n, true
}

// heloMacro returns the expansion of %{h}: HELO as sent, with A-labels for U-labels
// (RFC 8616 section 4).
func heloMacro(helo string) (text string, ok bool) {
	if !isASCII(helo) {
		n, err := dns.Parse(helo)
		return n.String(), err == nil
	}
	return helo, len(helo) <= maxHelo
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
