package settings

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
)

// pattern is one entry of a domain list.
type pattern struct {
	name     dns.Name
	wildcard bool // every name below name, but not name
	all      bool
}

func (p pattern) String() string {
	switch {
	case p.all:
		return "*"
	case p.wildcard:
		return "*." + p.name.String()
	}
	return p.name.String()
}

const expectedPattern = "a domain, *.domain for those below it, or *"

func parsePattern(s string) (pattern, error) {
	if s == "*" {
		return pattern{all: true}, nil
	}
	if rest, ok := strings.CutPrefix(s, "*."); ok {
		n, err := parseDomain(rest)
		return pattern{name: n, wildcard: true}, err
	}
	if strings.HasPrefix(s, ".") {
		return pattern{}, &meant{hint: "*" + clip(s)}
	}
	if strings.Contains(s, "*") {
		return pattern{}, &meant{reason: "* stands alone or before the first dot"}
	}
	n, err := parseDomain(s)
	return pattern{name: n}, err
}

// parseDomain reads the name of a mail domain: a host name (RFC 1123 section
// 2.1), where underscores are let through as DNS does.
func parseDomain(s string) (dns.Name, error) {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		return dns.Name{}, &meant{reason: "a domain has no @", hint: clip(s[at+1:])}
	}
	if _, err := parsePrefix(s); err == nil {
		return dns.Name{}, &meant{reason: "this is an address"}
	}
	n, err := dns.Parse(s)
	if err != nil {
		return dns.Name{}, &meant{reason: strings.TrimPrefix(err.Error(), dns.ErrBadName.Error()+": ")}
	}
	for label := range strings.SplitSeq(n.String(), ".") {
		if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return dns.Name{}, &meant{reason: "a label begins or ends with -"}
		}
		if i := strings.IndexFunc(label, func(r rune) bool { return !isLDH(r) }); i >= 0 {
			return dns.Name{}, &meant{reason: fmt.Sprintf("%q does not belong in a domain", label[i])}
		}
	}
	return n, nil
}

// isLDH reports whether r is a letter, digit or hyphen (RFC 5890 section 2.3.1), or an
// underscore.
func isLDH(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// publicSuffix reports whether n is a suffix below which anyone can register.
func publicSuffix(n dns.Name) bool {
	suffix, icann := publicsuffix.PublicSuffix(n.String())
	return icann && suffix == n.String()
}

// domain is one domain name.
func domain() kind[dns.Name] {
	return scalarOf("a domain", parseDomain, func(n dns.Name) *yaml.Node { return plain(n.String()) })
}

func orNoDomain(k kind[dns.Name]) kind[dns.Name] { return optional(k, dns.Name.IsZero) }

// parsePrefix reads a network in CIDR form, or an address as the network of itself.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if a.Zone() != "" {
		return netip.Prefix{}, errors.New("an address with a zone")
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

const expectedNetwork = "an address or a network such as 192.0.2.0/24"

// network reads one network and warns of host bits.
func (d *decoder) network(n *yaml.Node, s string) (netip.Prefix, bool) {
	p, err := parsePrefix(s)
	if err != nil {
		d.wrong(n, expectedNetwork, s, networkMeant(s))
		return p, false
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		d.warn(n, "%s has bits beyond its length; it is read as %s", p, m)
		p = m
	}
	return p, true
}

// networkMeant suggests what was probably meant by text that is not a network: a pattern
// of octets, or the name of a host.
func networkMeant(s string) error {
	parts := strings.Split(s, ".")
	for len(parts) > 1 && (parts[len(parts)-1] == "*" || parts[len(parts)-1] == "") {
		parts = parts[:len(parts)-1]
	}
	const octets = 4
	text := strings.Join(parts, ".") + strings.Repeat(".0", max(0, octets-len(parts)))
	if len(parts) < octets {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
			return &meant{hint: fmt.Sprintf("%s/%d", a, 8*len(parts))}
		}
	}
	if n, err := parseDomain(strings.TrimPrefix(strings.TrimPrefix(s, "*"), ".")); err == nil && !n.IsZero() {
		return &meant{reason: "names are not taken here, since DNS would decide who is let through; write the addresses"}
	}
	return &meant{}
}

// prefix is one network.
func prefix() kind[netip.Prefix] {
	return kind[netip.Prefix]{
		read: func(d *decoder, n *yaml.Node, v *netip.Prefix) {
			if s, ok := d.scalar(n, expectedNetwork); ok {
				if p, ok := d.network(n, s); ok {
					*v = p
				}
			}
		},
		show: func(v netip.Prefix) *yaml.Node { return plain(showPrefix(v)) },
	}
}

// showPrefix prints a single address without its length.
func showPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// address is one IP address; the empty text for none.
func address() kind[netip.Addr] {
	k := scalarOf("an IP address",
		func(s string) (netip.Addr, error) {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return netip.Addr{}, &meant{}
			}
			return a.Unmap(), nil
		},
		func(a netip.Addr) *yaml.Node { return quoted(a.String()) })
	return optional(k, func(a netip.Addr) bool { return !a.IsValid() })
}

// parseMailbox reads an address that we may put into an SMTP command: a plain
// local part (RFC 5321 section 4.1.2, Dot-string) and a domain.
func parseMailbox(s string) (message.Address, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 1 {
		return message.Address{}, &meant{}
	}
	local := s[:at]
	if len(local) > 64 { // RFC 5321 section 4.5.3.1.1
		return message.Address{}, &meant{reason: "over 64 octets before the @"}
	}
	for i := 0; i < len(local); i++ {
		if c := local[i]; c <= ' ' || c > '~' || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return message.Address{}, &meant{reason: fmt.Sprintf("%q does not belong before the @", c)}
		}
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return message.Address{}, &meant{reason: "a misplaced dot"}
	}
	n, err := parseDomain(s[at+1:])
	if err != nil {
		return message.Address{}, err
	}
	return message.Address{Local: local, Host: n.String(), Domain: n}, nil
}

const expectedMailbox = "an e-mail address"

// mailbox is an e-mail address as text, its domain in A-labels.
func mailbox() kind[string] {
	return scalarOf(expectedMailbox,
		func(s string) (string, error) {
			a, err := parseMailbox(s)
			return a.String(), err
		}, quoted)
}

// hostPort is host:port. With a standard port the port may be left out; without
// one, 0, it may not.
func hostPort(expected string, standard int) kind[string] {
	return scalarOf(expected, func(s string) (string, error) { return parseHostPort(s, standard) }, quoted)
}

func parseHostPort(s string, standard int) (string, error) {
	if standard > 0 {
		if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
			return net.JoinHostPort(a.String(), strconv.Itoa(standard)), nil
		}
		if !strings.Contains(s, ":") {
			s += ":" + strconv.Itoa(standard)
		}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		reason := ""
		if e := (*net.AddrError)(nil); errors.As(err, &e) {
			reason = e.Err
		}
		return "", &meant{reason: reason}
	}
	if p, err := strconv.Atoi(port); err != nil || p < 0 || p > 65535 {
		return "", &meant{reason: "the port is a number from 0 to 65535"}
	}
	if host == "" {
		return s, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(a.String(), port), nil
	}
	n, err := parseDomain(host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(n.String(), port), nil
}

// webhook is an http or https URL.
func webhook() kind[string] {
	return orEmpty(scalarOf("a URL such as https://alerts.example.org/dmarc",
		func(s string) (string, error) {
			u, err := url.Parse(s)
			if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
				return "", &meant{}
			}
			return oneLine(s, maxPath)
		}, quoted))
}

const maxPath = 4096 // PATH_MAX of Linux

// path is a file or folder; the empty text for none.
func path() kind[string] {
	return orEmpty(freeText("a path", maxPath))
}
