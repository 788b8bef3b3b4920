package dnstest

import (
	"fmt"
	"net/netip"
	"strings"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

// Names are held in wire form: text needs escapes, and two escaped forms of one
// name are different strings.

const root = "\x00"

// pack gives the wire form, in lower case, of a name in master-file form.
func pack(name string) (string, error) {
	var buf [255]byte // RFC 1035 section 2.3.4
	n, err := mdns.PackDomainName(mdns.Fqdn(name), buf[:], 0, nil, false)
	if err != nil {
		return "", fmt.Errorf("dnstest: name %q: %w", name, err)
	}
	for i, c := range buf[:n] { // length octets are below 'A'
		if 'A' <= c && c <= 'Z' {
			buf[i] = c + 'a' - 'A'
		}
	}
	return string(buf[:n]), nil
}

// wire gives the wire form of a Name.
func wire(n dns.Name) string {
	if n.IsZero() {
		return root
	}
	var b strings.Builder
	for label := range strings.SplitSeq(n.String(), ".") {
		b.WriteByte(byte(len(label)))
		b.WriteString(label)
	}
	b.WriteByte(0)
	return b.String()
}

// present gives the master-file form of a Name.
func present(n dns.Name) string {
	s, _, err := mdns.UnpackDomainName([]byte(wire(n)), 0)
	if err != nil {
		panic(err) // a Name is always valid
	}
	return s
}

// parent is the wire form of the name above.
func parent(key string) string {
	if key == root {
		return root
	}
	return key[1+int(key[0]):]
}

// host reads a name in wire form as a Name; false for the root and for names
// that no Name can hold.
func host(key string) (dns.Name, bool) {
	var labels []string
	for ; key != root; key = parent(key) {
		label := key[1 : 1+int(key[0])]
		if strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '.' }) {
			return dns.Name{}, false
		}
		labels = append(labels, label)
	}
	n, err := dns.Parse(strings.Join(labels, "."))
	return n, err == nil
}

// rdata gives the data of a record as it goes over the wire.
func rdata(rr mdns.RR) ([]byte, error) {
	buf := make([]byte, mdns.Len(rr)+1)
	end, err := mdns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	_, start, err := mdns.UnpackDomainName(buf, 0)
	if err != nil {
		return nil, err
	}
	const fixed = 10 // type, class, TTL, RDLENGTH (RFC 1035 section 3.2.1)
	return buf[start+fixed : end], nil
}

// characterStrings joins the character-strings of TXT data.
func characterStrings(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		n := 1 + int(data[0])
		b.Write(data[1:n])
		data = data[n:]
	}
	return b.String()
}

// escape writes octets as a character-string of a master file, without the quotes.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// reverse is the name that holds the PTR records of addr, RFC 1035 section 3.5
// and RFC 3596 section 2.5; the zero Name for the zero Addr.
func reverse(addr netip.Addr) dns.Name {
	s, err := mdns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return dns.Name{}
	}
	return dns.MustParse(s)
}
