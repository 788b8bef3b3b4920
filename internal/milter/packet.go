package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// errProtocol means that the MTA's side spoke out of turn or out of form.
var errProtocol = errors.New("milter: protocol error")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// cut shortens what a peer sent for a log line, where it is printed quoted.
func cut(b []byte) []byte { return b[:min(len(b), 64)] }

// beginPacket appends the head of a packet; endPacket fills in its length.
func beginPacket(out []byte, code byte) (_ []byte, start int) {
	return append(out, 0, 0, 0, 0, code), len(out)
}

func endPacket(out []byte, start int) []byte {
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start-4))
	return out
}

func appendByteReply(out []byte, code byte) []byte {
	return append(out, 0, 0, 0, 1, code)
}

// cutString takes a NUL-terminated string from the front of b.
func cutString(b []byte) (s, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return nil, b, false
	}
	return b[:i], b[i+1:], true
}

// onlyString is the string that b is, where nothing may follow its NUL.
func onlyString(c command, b []byte) (string, error) {
	s, rest, ok := cutString(b)
	if !ok || len(rest) > 0 {
		return "", protocolError("command %q carries %.64q", byte(c), cut(b))
	}
	return string(s), nil
}

// path is the first of the strings of MAIL or RCPT; ESMTP arguments follow it.
func path(c command, b []byte) (string, error) {
	s, _, ok := cutString(b)
	if !ok || b[len(b)-1] != 0 {
		return "", protocolError("command %q carries %.64q", byte(c), cut(b))
	}
	return string(s), nil
}

// parseConnect reads host, family, port and address. The zero Addr means a local client,
// or one whose address cannot be parsed.
func parseConnect(b []byte) (host string, addr netip.Addr, err error) {
	h, rest, ok := cutString(b)
	if !ok || len(rest) == 0 {
		return "", netip.Addr{}, protocolError("connect carries %.64q", cut(b))
	}
	host = string(h)
	family, rest := rest[0], rest[1:]
	switch family {
	case 'L', 'U':
		return host, netip.Addr{}, nil
	case '4', '6':
	default:
		return "", netip.Addr{}, protocolError("connect with family %q", family)
	}
	if len(rest) < 2 {
		return "", netip.Addr{}, protocolError("connect carries %.64q", cut(b))
	}
	text, _, ok := cutString(rest[2:])
	if !ok {
		return "", netip.Addr{}, protocolError("connect from address %.64q", cut(rest[2:]))
	}
	addr, _ = parseAddr(string(text)) // an address that cannot be parsed is an unknown client
	return host, addr, nil
}

// parseAddr reads an address as MTAs write it: Sendmail puts "IPv6:" before one.
func parseAddr(s string) (netip.Addr, bool) {
	const tag = "ipv6:"
	if len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag) {
		s = s[len(tag):]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

// parseHeader splits a header packet: two strings and nothing else.
func parseHeader(b []byte) (name, value []byte, err error) {
	name, value, ok := cutString(b)
	if !ok || len(name) == 0 || len(value) == 0 || bytes.IndexByte(value, 0) != len(value)-1 {
		return nil, nil, protocolError("header carries %.64q", cut(b))
	}
	return name, value[:len(value)-1], nil
}

// appendValue appends a header value as it was in the message. MTAs send folds as a bare
// LF, some as CRLF. CRs before a line end are part of it; others, and a line end without
// a fold, become a space, so that a value remains one value.
func appendValue(dst, v []byte) []byte {
	for {
		line, rest, more := bytes.Cut(v, []byte{'\n'})
		start := len(dst)
		dst = append(dst, bytes.TrimRight(line, "\r")...)
		if bytes.IndexByte(line, '\r') >= 0 {
			spaceCRs(dst[start:])
		}
		if !more || len(rest) == 0 {
			return dst
		}
		if rest[0] == ' ' || rest[0] == '\t' {
			dst = append(dst, '\r', '\n')
		} else {
			dst = append(dst, ' ')
		}
		v = rest
	}
}

// hasBreak reports whether appendValue would change v.
func hasBreak(v []byte) bool {
	return bytes.IndexByte(v, '\n') >= 0 || bytes.IndexByte(v, '\r') >= 0
}

func spaceCRs(b []byte) {
	for i, c := range b {
		if c == '\r' {
			b[i] = ' '
		}
	}
}
