package store

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// idsPerMicrosecond is how many ids one microsecond has.
const idsPerMicrosecond = 1 << 10

// microsPerDay and idsPerDay are the length of a day, as ids count.
const (
	microsPerDay = 24 * 60 * 60 * 1_000_000
	idsPerDay    = microsPerDay * idsPerMicrosecond
)

// firstID is the smallest id that a message of a time may have. Times are clamped to the
// range of ids, some centuries around 1970.
func firstID(t time.Time) int64 {
	const most = math.MaxInt64/idsPerMicrosecond - 2*microsPerDay
	if year := t.Year(); year < 1700 {
		return -most * idsPerMicrosecond
	} else if year > 2200 {
		return most * idsPerMicrosecond
	}
	return t.UnixMicro() * idsPerMicrosecond
}

// timeOfID is the time encoded in an id.
func timeOfID(id int64) time.Time { return time.UnixMicro(id / idsPerMicrosecond).UTC() }

// dayOfID is the day of an id.
func dayOfID(id int64) int64 {
	day := id / idsPerDay
	if id%idsPerDay < 0 {
		day--
	}
	return day
}

// Kinds of key.
const (
	queueKind   = 'q'
	messageKind = 'm'
)

// textKey is the index key of a text; nil for an empty one.
func textKey(kind byte, text string) any {
	if text == "" {
		return nil
	}
	return hashKey(kind, text)
}

func hashKey(kind byte, text string) int64 {
	var few [128]byte
	sum := sha256.Sum256(append(append(few[:0], kind), text...))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// clientKey is the form of an address whose prefixes identify networks.
func clientKey(a netip.Addr) []byte {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return nil
	case a.Is4():
		return append([]byte{4}, a.AsSlice()...)
	}
	return append([]byte{6}, a.AsSlice()...)
}

// clientRange is the first and the last key of a network.
func clientRange(p netip.Prefix) (first, last []byte) {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	first = clientKey(p.Addr())
	if p.Addr().Is4In6() { // a network wider than all of IPv4 in IPv6
		first = append([]byte{6}, p.Addr().AsSlice()...)
	}
	last = append([]byte(nil), first...)
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		last[1+bit/8] |= 0x80 >> (bit % 8)
	}
	return first, last
}
