package filter

import (
	"bytes"
	"net/netip"
	"strings"

	"dmarcd/internal/message"
	"dmarcd/internal/settings"
)

// relaySource gives the entry of client_ip_from for a client, nil for none.
func relaySource(s *settings.Settings, client netip.Addr) *settings.ClientIPSource {
	for i := range s.ClientIPFrom {
		if r := &s.ClientIPFrom[i]; client.IsValid() && r.Relay.Contains(client) {
			return r
		}
	}
	return nil
}

// trueClient recovers what a trusted relay wrote of the client that it had the
// mail from: its address, zero if that cannot be read, and its HELO argument, ""
// if it is not told.
func trueClient(h *message.Header, from *settings.ClientIPSource) (addr netip.Addr, helo string) {
	name := from.Header
	if name == "" {
		name = "Received"
	}
	f, ok := h.First(name)
	if !ok {
		return netip.Addr{}, ""
	}
	if from.Header != "" {
		return addressLiteral(strings.TrimSpace(string(f.Value()))), ""
	}
	return parseReceived(f.Value())
}

// parseReceived reads the from clause of a Received field that a relay wrote:
// "from HELO (NAME [ADDRESS]) by …" (RFC 5321 section 4.4). HELO is the client's own
// text, so the address counts only in the comment behind it, and only where that has
// a single one.
func parseReceived(value []byte) (addr netip.Addr, helo string) {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(value), []byte("from"))
	if !ok || len(rest) == 0 || !isSpace(rest[0]) {
		return netip.Addr{}, ""
	}
	rest = bytes.TrimLeft(rest, " \t\r\n")
	end := bytes.IndexAny(rest, " \t\r\n")
	if end < 0 {
		return netip.Addr{}, ""
	}
	helo = string(rest[:end])
	rest = bytes.TrimLeft(rest[end:], " \t\r\n")
	if len(rest) == 0 || rest[0] != '(' {
		return netip.Addr{}, ""
	}
	comment := rest[:commentEnd(rest)]
	open := bytes.IndexByte(comment, '[')
	if open < 0 || bytes.IndexByte(comment[open+1:], '[') >= 0 {
		return netip.Addr{}, ""
	}
	literal, _, ok := bytes.Cut(comment[open:], []byte("]"))
	if !ok {
		return netip.Addr{}, ""
	}
	addr = addressLiteral(string(literal) + "]")
	if !addr.IsValid() {
		return netip.Addr{}, ""
	}
	return addr, helo
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// commentEnd is the length of the comment at the start of b, comments within it
// included.
func commentEnd(b []byte) int {
	depth := 0
	for i, c := range b {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
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
