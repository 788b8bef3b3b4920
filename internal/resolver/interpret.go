package resolver

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"dmarcd/internal/dns"
)

// interpretation is the meaning of one answer for the query.
type interpretation struct {
	outcome string  // ok, nxdomain, nodata or, with follow, ok
	res     *result // for ok
	follow  string  // the alias whose target is missing from the answer
	hops    int     // aliases followed
	alias   bool    // the queried name is itself an alias, not one synthesized by a DNAME
	ttl     time.Duration
}

// errTooBig: the answer has more records or data than we accept.
var errTooBig = failuref(outcomeBogus, "answer over %d records or %d octets", maxRecords, maxBytes)

// interpret follows the aliases within the answer to the requested records.
func (a *answer) interpret(q *query) (*interpretation, error) {
	f := &interpretation{}
	end, ttl := q.text, uint32(1<<31-1)
	var found []record
	for {
		if found = a.pick(end, q.qtype); len(found) > 0 { // even if an alias wrongly accompanies them
			break
		}
		target, at, err := a.alias(end)
		if err != nil {
			return nil, err
		}
		if target == "" {
			break
		}
		if f.hops++; f.hops > maxHops {
			return nil, errHops
		}
		f.alias = f.alias || f.hops == 1 && !a.madeUp(end)
		end, ttl = target, min(ttl, at.ttl)
	}
	for _, r := range found {
		ttl = min(ttl, r.ttl)
	}
	f.ttl = time.Duration(ttl) * time.Second
	switch {
	case len(found) > 0:
		if a.rcode == mdns.RcodeNameError { // it cannot be both
			return nil, errMalformed
		}
		f.outcome = outcomeOK
		var err error
		f.res, err = a.decode(found, q.qtype)
		return f, err
	case a.rcode == mdns.RcodeNameError:
		f.outcome = outcomeNXDomain
	case f.hops > 0 && a.negativeTTL(end) == nil:
		f.outcome, f.follow = outcomeOK, end
		return f, nil
	case a.soa == nil && a.referral: // RFC 2308 section 2.2
		return nil, failuref(outcomeBogus, "referral from a server that does not recurse")
	default:
		f.outcome = outcomeNoData
	}
	negative := unsignedTTL
	if t := a.negativeTTL(end); t != nil {
		negative = *t
	}
	f.ttl = min(f.ttl, negative)
	return f, nil
}

// alias returns the target of the CNAME at owner, "" if there is none.
func (a *answer) alias(owner string) (string, record, error) {
	for _, r := range a.records {
		if r.rtype == mdns.TypeCNAME && r.owner == owner {
			target, err := a.soleName(r.start, r.end)
			return target, r, err
		}
	}
	return "", record{}, nil
}

// madeUp reports whether a DNAME above owner synthesized its CNAME (RFC 6672 section 2.2).
func (a *answer) madeUp(owner string) bool {
	for _, r := range a.records {
		if r.rtype == mdns.TypeDNAME && (r.owner == "." || strings.HasSuffix(owner, "."+r.owner)) {
			return true
		}
	}
	return false
}

func (a *answer) pick(owner string, rtype uint16) []record {
	var found []record
	for _, r := range a.records {
		if r.rtype == rtype && r.owner == owner {
			found = append(found, r)
		}
	}
	return found
}

// negativeTTL is how long the answer's SOA permits a negative answer for name to be kept
// (RFC 2308 section 5); nil without a matching SOA.
func (a *answer) negativeTTL(name string) *time.Duration {
	const numbers = 20 // serial, refresh, retry, expire, minimum
	if a.soa == nil || a.soa.end-a.soa.start < numbers {
		return nil
	}
	if zone := a.soa.owner; zone != "." && name != zone && !strings.HasSuffix(name, "."+zone) {
		return nil
	}
	minimum := binary.BigEndian.Uint32(a.msg[a.soa.end-4:])
	ttl := keepFor(min(a.soa.ttl, minimum), maxNegativeTTL)
	return &ttl
}

// decode parses the data of the records found.
func (a *answer) decode(found []record, qtype uint16) (*result, error) {
	hosts := qtype == mdns.TypeMX || qtype == mdns.TypePTR
	if len(found) > maxRecords {
		if !hosts {
			return nil, errTooBig
		}
		// SPF uses the first ten and fails on more (RFC 7208 section 4.6.4), so omitting the rest
		// changes nothing.
		found = found[:maxRecords]
	}
	size := 0
	for _, r := range found {
		size += r.end - r.start
	}
	if size > maxBytes && !hosts {
		return nil, errTooBig
	}
	switch qtype {
	case mdns.TypeTXT:
		return a.decodeTXT(found)
	case mdns.TypeMX:
		return a.decodeMX(found)
	case mdns.TypePTR:
		return a.decodePTR(found)
	}
	return a.decodeAddr(found, qtype)
}

func (a *answer) decodeTXT(found []record) (*result, error) {
	res := &result{txt: make([]string, 0, len(found))}
	var joined []byte
	for _, r := range found {
		joined = joined[:0]
		data := a.msg[r.start:r.end]
		if len(data) == 0 {
			continue // RFC 1035 section 3.3.14 requires at least one string: only this record is dropped
		}
		for len(data) > 0 {
			n := 1 + int(data[0])
			if n > len(data) {
				return nil, errMalformed
			}
			joined = append(joined, data[1:n]...)
			data = data[n:]
		}
		res.txt = append(res.txt, string(joined))
	}
	return res, nil
}

func (a *answer) decodeAddr(found []record, qtype uint16) (*result, error) {
	want := 4
	if qtype == mdns.TypeAAAA {
		want = 16
	}
	res := &result{addrs: make([]netip.Addr, 0, len(found))}
	for _, r := range found {
		addr, ok := netip.AddrFromSlice(a.msg[r.start:r.end])
		if !ok || r.end-r.start != want {
			return nil, errMalformed
		}
		res.addrs = append(res.addrs, addr)
	}
	return res, nil
}

func (a *answer) decodeMX(found []record) (*result, error) {
	const preference = 2 // octets
	for _, r := range found {
		if r.end-r.start <= preference {
			return nil, errMalformed
		}
	}
	slices.SortStableFunc(found, func(x, y record) int {
		return cmp.Compare(binary.BigEndian.Uint16(a.msg[x.start:]), binary.BigEndian.Uint16(a.msg[y.start:]))
	})
	return a.decodeHosts(found, preference)
}

func (a *answer) decodePTR(found []record) (*result, error) { return a.decodeHosts(found, 0) }

// decodeHosts parses the names that begin skip octets into the data.
func (a *answer) decodeHosts(found []record, skip int) (*result, error) {
	res := &result{names: make([]dns.Name, 0, len(found))}
	for _, r := range found {
		text, err := a.soleName(r.start+skip, r.end)
		if err != nil {
			return nil, err
		}
		if name, ok := fromText(text); ok {
			res.names = append(res.names, name)
		}
	}
	res.names = slices.Clip(res.names) // shared: an append must not overwrite it
	return res, nil
}
