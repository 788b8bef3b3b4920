package resolver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	mdns "github.com/miekg/dns"
)

var (
	// errForeign: the packet does not belong to the query: forged, late or garbage.
	errForeign = errors.New("not an answer to the query")
	// errCut: the server reports that the answer did not fit.
	errCut = errors.New("truncated")
	// errMalformed: the packet answers the query but cannot be read.
	errMalformed = errors.New("malformed answer")
)

// record is one resource record; its names refer to the retained message.
type record struct {
	owner      string // master-file form, lower case
	rtype      uint16
	ttl        uint32
	start, end int // its data in the message
}

// answer is a message that belongs to the query, parsed down to its records.
type answer struct {
	msg       []byte
	rcode     int
	extended  uint16 // RFC 8914 code, where explained
	explained bool
	records   []record // the answer section: aliases, DNAMEs and the requested type
	soa       *record  // of the authority section
	referral  bool     // the authority section has name servers
}

// read checks that msg answers the query sent with id, and parses it. The errors are
// errForeign, errCut and errMalformed.
func read(msg []byte, id uint16, q *query) (*answer, error) {
	if len(msg) < headerLen || binary.BigEndian.Uint16(msg) != id {
		return nil, errForeign
	}
	const response, opcode, truncated, rcode = 0x8000, 0x7800, 0x0200, 0x000f
	flags := binary.BigEndian.Uint16(msg[2:])
	if flags&response == 0 || flags&opcode != 0 {
		return nil, errForeign
	}
	a := &answer{msg: msg, rcode: int(flags & rcode)}
	off := headerLen
	switch asked := binary.BigEndian.Uint16(msg[4:]); {
	case asked == 0 && a.rcode != mdns.RcodeSuccess && a.rcode != mdns.RcodeNameError:
		// Old servers send only a header with their FORMERR or REFUSED.
	case asked == 1 && sameQuestion(msg[headerLen:], q.question):
		off += len(q.question)
	default:
		return nil, errForeign
	}
	if flags&truncated != 0 {
		return nil, errCut
	}
	if err := a.readSections(off, q.qtype); err != nil {
		return nil, err
	}
	return a, nil
}

// sameQuestion compares type and class, and the name ignoring case. A question cannot be
// compressed, because nothing precedes it.
func sameQuestion(got, want []byte) bool {
	if len(got) < len(want) {
		return false
	}
	name := len(want) - 4
	return bytes.Equal(got[name:len(want)], want[name:]) && equalFold(got[:name], want[:name])
}

// equalFold is bytes.EqualFold for ASCII only (RFC 4343 section 3).
func equalFold(a, b []byte) bool {
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// readSections parses all records. The counts must be correct: a message that ends early
// was truncated, whatever its TC bit says.
func (a *answer) readSections(off int, qtype uint16) error {
	var err error
	for section, at := range []int{6, 8, 10} { // answer, authority, additional
		for range binary.BigEndian.Uint16(a.msg[at:]) {
			if off, err = a.readRecord(off, section, qtype); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	sectionAnswer = iota
	sectionAuthority
	sectionAdditional
)

// readRecord parses one record (RFC 1035 section 4.1.3) and returns the offset of the next.
func (a *answer) readRecord(off, section int, qtype uint16) (int, error) {
	const fixed = 10 // type, class, TTL, RDLENGTH
	fields := skipName(a.msg, off)
	if fields < 0 || fields+fixed > len(a.msg) {
		return 0, errMalformed
	}
	f := a.msg[fields : fields+fixed]
	class, ttl := binary.BigEndian.Uint16(f[2:]), binary.BigEndian.Uint32(f[4:])
	r := record{rtype: binary.BigEndian.Uint16(f), ttl: ttl, start: fields + fixed}
	r.end = r.start + int(binary.BigEndian.Uint16(f[8:]))
	if r.end > len(a.msg) {
		return 0, errMalformed
	}
	if r.rtype == mdns.TypeOPT && section == sectionAdditional {
		const extendedRcode = 24 // its bit position in the TTL, RFC 6891 section 6.1.3
		a.rcode |= int(ttl>>extendedRcode) << 4
		a.readOptions(a.msg[r.start:r.end])
		return r.end, nil
	}
	if class != mdns.ClassINET {
		return r.end, nil
	}
	if ttl > 1<<31-1 { // RFC 2181 section 8
		r.ttl = 0
	}
	var err error
	switch {
	case section == sectionAnswer && (r.rtype == qtype || r.rtype == mdns.TypeCNAME || r.rtype == mdns.TypeDNAME):
		if r.owner, _, err = a.name(off); err == nil {
			a.records = append(a.records, r)
		}
	case section == sectionAuthority && r.rtype == mdns.TypeSOA:
		if r.owner, _, err = a.name(off); err == nil {
			a.soa = &r
		}
	case section == sectionAuthority && r.rtype == mdns.TypeNS:
		a.referral = true
	}
	return r.end, err
}

// readOptions looks for an extended error (RFC 8914 section 2), which gives the reason for
// a server failure.
func (a *answer) readOptions(data []byte) {
	const head = 4 // code and length
	for len(data) >= head {
		end := head + int(binary.BigEndian.Uint16(data[2:]))
		if end > len(data) {
			return
		}
		if binary.BigEndian.Uint16(data) == mdns.EDNS0EDE && end >= head+2 {
			a.extended, a.explained = binary.BigEndian.Uint16(data[head:]), true
			return
		}
		data = data[end:]
	}
}

// name parses a possibly compressed name and returns the offset after it.
func (a *answer) name(off int) (string, int, error) {
	text, next, err := mdns.UnpackDomainName(a.msg, off)
	if err != nil {
		return "", 0, errMalformed
	}
	return strings.ToLower(text), next, nil
}

// soleName parses record data that consists of one name.
func (a *answer) soleName(start, end int) (string, error) {
	text, next, err := a.name(start)
	if err != nil || next != end {
		return "", errMalformed
	}
	return text, nil
}

// skipName returns the offset after a name, -1 if the name is unterminated.
func skipName(msg []byte, off int) int {
	for off < len(msg) {
		c := int(msg[off])
		switch {
		case c == 0:
			return off + 1
		case c >= 0xc0: // a pointer ends it (RFC 1035 section 4.1.4)
			return off + 2
		case c > 63:
			return -1
		}
		off += 1 + c
	}
	return -1
}
