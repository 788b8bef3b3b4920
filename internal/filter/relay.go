package filter

import (
	"net/netip"
	"strings"

	"dmarcd/internal/message"
	"dmarcd/internal/settings"
)

// maxHops bounds the Received fields that are read of one message.
const maxHops = 30

// maxField bounds the quoted part of a field that could not be read.
const maxField = 300

// relaySource returns the entry of client_ip_from for a client, nil for none.
func relaySource(s *settings.Settings, client netip.Addr) *settings.ClientIPSource {
	for i := range s.ClientIPFrom {
		if r := &s.ClientIPFrom[i]; client.IsValid() && r.Relay.Contains(client) {
			return r
		}
	}
	return nil
}

// TrueClient is the client of a message, as trusted relays recorded it.
type TrueClient struct {
	Addr  netip.Addr // zero if it could not be read
	Helo  string     // the client's HELO argument; "" if not known
	Login bool       // the client logged in to one of them
	Hops  int        // relays whose field was read
	// Field is the field that could not be read, cut; "" where there was none at all,
	// and where Addr is valid.
	Field string
}

// ReadTrueClient follows the trusted relays: each names in its own field the host that it
// had the message from. It begins with the relay that handed the message over, whose
// entry of client_ip_from is given.
func ReadTrueClient(s *settings.Settings, h *message.Header, from *settings.ClientIPSource) TrueClient {
	if from.Header != "" {
		return readNamedField(h, from.Header)
	}
	var found TrueClient
	for _, f := range h.Fields {
		if !f.Is("Received") {
			continue
		}
		r := message.ParseReceived(f.Value())
		if !r.From {
			continue // it names no client: written by a hop within a host
		}
		if found.Hops == maxHops {
			return TrueClient{Hops: maxHops, Field: shownField(&f)}
		}
		found.Hops++
		if r.Login() {
			return TrueClient{Addr: r.Client, Helo: r.Helo, Login: true, Hops: found.Hops}
		}
		if !r.Client.IsValid() {
			return TrueClient{Hops: found.Hops, Field: shownField(&f)}
		}
		found.Addr, found.Helo = r.Client, r.Helo
		if !isHop(s, r.Client) {
			return found
		}
	}
	if found.Addr.IsLoopback() && !s.TrustedNetworks.Match(found.Addr) {
		return TrueClient{Hops: found.Hops}
	}
	return found // with no further field it is where the message began
}

// isHop reports whether an address that a relay saw is itself a relay, whose own field
// below names the client. Mail of a host in trusted_networks is checked like any other if
// that host only relayed it.
func isHop(s *settings.Settings, a netip.Addr) bool {
	if from := relaySource(s, a); from != nil {
		return from.Header == ""
	}
	return a.IsLoopback() || s.TrustedNetworks.Match(a)
}

// readNamedField reads the field that a relay puts its client's address into.
func readNamedField(h *message.Header, name string) TrueClient {
	f, ok := h.First(name)
	if !ok {
		return TrueClient{}
	}
	a := addressLiteral(strings.TrimSpace(string(f.Value())))
	if !a.IsValid() || a.IsLoopback() {
		return TrueClient{Hops: 1, Field: shownField(&f)}
	}
	return TrueClient{Addr: a, Hops: 1}
}

// shownField is a field as a log may have it.
func shownField(f *message.Field) string {
	return f.Name + ":" + strings.TrimRight(string(f.Value()[:min(len(f.Value()), maxField)]), " \t\r\n")
}

// addressLiteral reads an address, bare or as a literal of RFC 5321 section 4.1.3;
// zero for anything else.
func addressLiteral(s string) netip.Addr {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// isPrivate reports whether an address is in a private network: RFC 1918, RFC 4193, or
// carrier-grade NAT (RFC 6598).
func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || a.Is4() && a.As4()[0] == 100 && a.As4()[1]&0xc0 == 64
}
