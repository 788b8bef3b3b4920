package resolver

import (
	"encoding/binary"
	"fmt"
	"strings"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

const (
	headerLen = 12 // RFC 1035 section 4.1.1
	// udpSize is the largest UDP message that we accept: one that passes everywhere without
	// fragmentation, as DNS server vendors agreed for the DNS flag day 2020.
	udpSize = 1232
)

// query is one question, ready to send.
type query struct {
	text     string // the name in master-file form, lower case
	qtype    uint16
	question []byte // the question section: name, type, class
}

// newQuery builds a query for a Name. It copies the labels into the packet directly, which
// avoids the escapes of the master-file form.
func newQuery(name dns.Name, qtype uint16) (query, error) {
	wire := make([]byte, 0, len(name.String())+6)
	for label := range strings.SplitSeq(name.String(), ".") {
		wire = append(wire, byte(len(label)))
		wire = append(wire, label...)
	}
	return finishQuery(append(wire, 0), qtype)
}

// followQuery builds a query for the target of an alias, in master-file form.
func followQuery(text string, qtype uint16) (query, error) {
	var buf [255]byte // RFC 1035 section 2.3.4
	n, err := mdns.PackDomainName(text, buf[:], 0, nil, false)
	if err != nil {
		return query{}, err
	}
	return finishQuery(buf[:n:n], qtype)
}

func finishQuery(wire []byte, qtype uint16) (query, error) {
	text, _, err := mdns.UnpackDomainName(wire, 0)
	if err != nil {
		return query{}, err
	}
	wire = binary.BigEndian.AppendUint16(wire, qtype)
	wire = binary.BigEndian.AppendUint16(wire, mdns.ClassINET)
	return query{text: strings.ToLower(text), qtype: qtype, question: wire}, nil
}

// packet is the query in wire form: recursion desired, and an OPT record (RFC 6891 section
// 6.1.2) if edns.
func (q *query) packet(id uint16, edns bool) []byte {
	const recursionDesired = 0x0100
	p := make([]byte, 0, headerLen+len(q.question)+11)
	p = binary.BigEndian.AppendUint16(p, id)
	p = binary.BigEndian.AppendUint16(p, recursionDesired)
	p = append(p, 0, 1, 0, 0, 0, 0, 0, 0)
	p = append(p, q.question...)
	if edns {
		p[headerLen-1] = 1
		p = append(p, 0)
		p = binary.BigEndian.AppendUint16(p, mdns.TypeOPT)
		p = binary.BigEndian.AppendUint16(p, udpSize)
		p = append(p, 0, 0, 0, 0, 0, 0)
	}
	return p
}

// fromText converts a name from the master-file form of mdns.UnpackDomainName to a Name;
// false for the root and for names that no Name can hold.
func fromText(text string) (dns.Name, bool) {
	if strings.IndexByte(text, '\\') >= 0 {
		var b strings.Builder
		for i := 0; i < len(text); i++ {
			if text[i] == '\\' {
				i++
				// \DDD is an unprintable octet, \. a dot within a label.
				if i == len(text) || text[i] == '.' || '0' <= text[i] && text[i] <= '9' {
					return dns.Name{}, false
				}
			}
			b.WriteByte(text[i])
		}
		text = b.String()
	}
	name, err := dns.Parse(text)
	return name, err == nil
}

// failure is the reason why one query had no usable answer.
type failure struct {
	outcome  string
	detail   string
	useTCP   bool // the same server may do better over TCP
	dropEDNS bool // the same server may do better without EDNS
	ours     bool // our time or resources ran out: it says nothing about the name
}

// Error returns the detail.
func (f *failure) Error() string { return f.detail }

// from adds the failed attempt to the detail.
func (f *failure) from(at attempt) *failure {
	out := *f
	network := "UDP"
	if at.tcp {
		network = "TCP"
	}
	out.detail = fmt.Sprintf("%s from %s over %s", f.detail, at.server.addr, network)
	return &out
}

func failuref(outcome, format string, args ...any) *failure {
	return &failure{outcome: outcome, detail: fmt.Sprintf(format, args...)}
}
