package message

import (
	"bytes"
	"net/netip"
	"strings"
)

// fromClause is the text between "from" and "by".
type fromClause struct {
	first    netip.Addr // the word after "from" if it is an address: the client's in some forms, its HELO in others
	seen     netip.Addr // the address in the comment where servers put what they saw
	bare     bool       // seen is the whole comment, without brackets, as Exchange and qmail write it
	helo     string     // the HELO argument
	named    bool       // a comment names the HELO argument, so the first word is not it
	local    bool       // OpenSMTPD's word for a client on the same host
	comments int
}

// readFrom reads the word after "from" and the comments after it. It is not ok if text
// that the client chose could have made or hidden a comment.
func readFrom(tokens []receivedToken) (*fromClause, bool) {
	c := &fromClause{helo: string(tokens[0].text)}
	c.first, _ = receivedAddr(tokens[0].text)
	for _, t := range tokens[1:] {
		c.comments++
		if !c.comment(t.text) {
			return nil, false
		}
	}
	return c, true
}

// comment reads one comment of the from clause. There are four kinds: the HELO
// argument, what the server saw of the client, Exim's list of keys, and remarks about
// TLS, login and DNS.
func (c *fromClause) comment(text []byte) bool {
	flat, nested := withoutNested(text)
	fields := bytes.Fields(flat)
	if len(fields) == 0 {
		return !nested
	}
	switch strings.ToUpper(string(fields[0])) {
	case "HELO", "EHLO", "LHLO":
		if nested || len(fields) > 2 || c.named {
			return false
		}
		c.named = true
		c.helo = string(bytes.Join(fields[1:], nil))
		return true
	}
	if isEximKey(fields[0]) {
		return !nested && c.eximKeys(fields)
	}
	if addr, brackets := receivedAddr(fields[0]); addr.IsValid() {
		if len(fields) > 1 && !brackets || nested {
			return false
		}
		return c.eximKeys(fields[1:]) && c.see(addr, !brackets)
	}
	last := fields[len(fields)-1]
	switch addr, brackets := receivedAddr(last); {
	case len(fields) == 2 && brackets && addr.IsValid():
		return remark(fields[0]) && c.see(addr, false)
	case len(fields) == 2 && string(last) == "[local]":
		c.local = true
		return true
	}
	if at := bytes.LastIndexByte(last, '@'); len(fields) == 1 && at >= 0 && !nested {
		if addr, brackets := receivedAddr(last[at+1:]); addr.IsValid() {
			return c.see(addr, !brackets)
		}
	}
	return remark(text)
}

// see notes the address that the server saw. Some servers write it twice; two different
// ones make it unknown.
func (c *fromClause) see(addr netip.Addr, bare bool) bool {
	if c.seen.IsValid() && c.seen != addr {
		return false
	}
	c.seen, c.bare = addr, bare
	return true
}

// eximKeys reads "port=4000 helo=client.example ident=joe", each once and in that order,
// as Exim writes them.
func (c *fromClause) eximKeys(fields [][]byte) bool {
	next := 0
	for _, f := range fields {
		key, value, _ := strings.Cut(string(f), "=")
		for next < len(eximKeys) && eximKeys[next] != key {
			next++
		}
		if next == len(eximKeys) {
			return false
		}
		next++
		switch {
		case key == "helo" && c.named:
			return false
		case key == "helo":
			c.helo, c.named = value, true
		}
	}
	return true
}

// eximKeys are the keys of Exim's comment in the order in which it writes them.
var eximKeys = [...]string{"port", "helo", "ident"}

func isEximKey(field []byte) bool {
	for _, key := range eximKeys {
		if bytes.HasPrefix(field, []byte(key+"=")) {
			return true
		}
	}
	return false
}

// isLocal reports whether a program on the server handed the mail over. Exim writes the
// address of every client that has one; SpamAssassin takes no mail from the network.
func (c *fromClause) isLocal(by byClause) bool {
	return !c.first.IsValid() && !c.seen.IsValid() &&
		(c.local || by.exim || by.with == "SPAMASSASSIN" && c.comments == 0)
}

// client is the address that the server saw; zero if that is not certain.
func (c *fromClause) client(by byClause) netip.Addr {
	switch {
	case !c.seen.IsValid():
		// Exim has no name for the client: "from [192.0.2.1] (helo=client.example)".
		// CommuniGate Pro: "from [192.0.2.1] (HELO client.example)".
		if c.named || by.exim || by.chasquid {
			return c.first
		}
		return netip.Addr{}
	case !c.first.IsValid() || c.first == c.seen:
		return c.seen
	case by.chasquid:
		return c.first // "from [192.0.2.1] (HELO)"
	case c.named || by.exim:
		// The first word is what the server saw, and the comment contradicts it.
		return netip.Addr{}
	case c.bare && by.with != "MICROSOFT":
		// "from [A] (B)": Exchange saw B, others A.
		return netip.Addr{}
	}
	return c.seen
}

// receivedAddr reads an address as servers write it: bare, in brackets, with the tag of
// RFC 5321 section 4.1.3, with a zone, with a port after it; zero for anything else.
func receivedAddr(b []byte) (addr netip.Addr, brackets bool) {
	const longest = 80 // octets: address, tag, zone, port and brackets
	if len(b) < 2 || len(b) > longest {
		return netip.Addr{}, false
	}
	s := string(b)
	if s[0] == '[' {
		inner, port, ok := strings.Cut(s[1:], "]")
		if !ok || port != "" && !isPort(port) {
			return netip.Addr{}, false
		}
		return observable(inner), true
	}
	return observable(s), false
}

// observable reads the address itself, with a port after an IPv4 one.
func observable(s string) netip.Addr {
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	if host, port, ok := strings.Cut(s, ":"); ok && isPort(":"+port) && strings.Count(host, ".") == 3 {
		s = host
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func isPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	return strings.Trim(s[1:], "0123456789") == ""
}

// withoutNested is a comment without the comments in it.
func withoutNested(text []byte) (flat []byte, nested bool) {
	depth := 0
	for _, c := range text {
		switch {
		case c == '(':
			depth++
			nested = true
			flat = append(flat, ' ')
		case c == ')':
			depth--
		case depth == 0:
			flat = append(flat, c)
		}
	}
	return flat, nested
}

// remark reports whether a comment, or a word of one, holds neither an address nor the
// word "by". One that does may include the comment that the server wrote.
func remark(text []byte) bool {
	for _, word := range bytes.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n(),;\"'=<>", r) }) {
		if strings.EqualFold(string(word), "by") {
			return false
		}
		if addr, _ := receivedAddr(word); addr.IsValid() {
			return false
		}
	}
	return true
}
