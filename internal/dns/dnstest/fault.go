package dnstest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// Kind is a way for a query to go wrong, spelled as in zone text.
type Kind string

// The kinds; the package comment says what each does.
const (
	None          Kind = "none"
	Timeout       Kind = "timeout"
	ServFail      Kind = "servfail"
	Refused       Kind = "refused"
	NXDomain      Kind = "nxdomain"
	NoData        Kind = "nodata"
	Truncate      Kind = "truncate"
	Garbage       Kind = "garbage"
	WrongID       Kind = "wrong-id"
	WrongQuestion Kind = "wrong-question"
	Forged        Kind = "forged"
	Huge          Kind = "huge"
	Bare          Kind = "bare"
	NoEDNS        Kind = "no-edns"
)

var kinds = []Kind{None, Timeout, ServFail, Refused, NXDomain, NoData, Truncate, Garbage, WrongID, WrongQuestion, Forged, Huge, Bare, NoEDNS}

// Fault says how queries for one name go wrong.
type Fault struct {
	Kind  Kind
	Type  string        // the query type applied, such as "TXT"; "" for every type
	Times int           // how many queries it strikes; 0 for all
	Delay time.Duration // how long the answer is held back
}

// parseFault reads what follows the word FAULT.
func parseFault(words []string) (Fault, error) {
	f := Fault{Kind: Kind(words[0])}
	if !slices.Contains(kinds, f.Kind) {
		return f, fmt.Errorf("no such fault: %q", f.Kind)
	}
	for _, w := range words[1:] {
		var err error
		if v, ok := strings.CutPrefix(w, "times="); ok {
			f.Times, err = strconv.Atoi(v)
			if err == nil && f.Times < 1 {
				err = errors.New("times= under 1")
			}
		} else if v, ok := strings.CutPrefix(w, "delay="); ok {
			f.Delay, err = time.ParseDuration(v)
		} else if _, known := mdns.StringToType[w]; known && f.Type == "" {
			f.Type = w
		} else {
			err = fmt.Errorf("unknown word %q", w)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// huge is a record set of nearly 64 KiB, the most that a DNS message holds.
func huge(key string, qtype uint16) []mdns.RR {
	const most = 64000
	var out []mdns.RR
	for size := 0; ; {
		var rr mdns.RR
		i := len(out)
		switch hdr := header(qtype); qtype {
		case mdns.TypeA:
			rr = &mdns.A{Hdr: hdr, A: []byte{192, 0, byte(i >> 8), byte(i)}}
		case mdns.TypeAAAA:
			rr = &mdns.AAAA{Hdr: hdr, AAAA: []byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 8), byte(i), 15: 0}}
		case mdns.TypeMX:
			rr = &mdns.MX{Hdr: hdr, Preference: uint16(i), Mx: fmt.Sprintf("h%d.", i)}
		case mdns.TypePTR:
			rr = &mdns.PTR{Hdr: hdr, Ptr: fmt.Sprintf("h%d.", i)}
		default:
			hdr.Rrtype = mdns.TypeTXT
			rr = &mdns.TXT{Hdr: hdr, Txt: []string{strings.Repeat("x", 255), strings.Repeat("y", 255)}}
		}
		const fixed = 12 // a record but its data, the name compressed
		data, err := rdata(named(rr, root))
		if size += fixed + len(data); err != nil || size > most {
			return out
		}
		out = append(out, named(rr, key))
	}
}
