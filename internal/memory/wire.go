package memory

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"dmarcd/internal/dns"
)

// The encoding of records: fields in sequence, without names. Numbers are varints, text
// is preceded by its length, a list by its count. The first byte is the version; see
// Version.

// writer appends to a slice.
type writer struct{ b []byte }

func (w *writer) byte(c byte)         { w.b = append(w.b, c) }
func (w *writer) uint(n uint64)       { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)         { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) name(n dns.Name)     { w.text(n.String()) }
func (w *writer) text(s string)       { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) time(t time.Time)    { w.int(t.UnixMicro()) }
func (w *writer) texts(list []string) { writeList(w, list, w.text) }
func (w *writer) names(l []dns.Name)  { writeList(w, l, w.name) }

// flags packs up to eight booleans.
func (w *writer) flags(bits ...bool) {
	var c byte
	for i, set := range bits {
		if set {
			c |= 1 << i
		}
	}
	w.byte(c)
}

// addr writes an address by its length and octets; none has length 0.
func (w *writer) addr(a netip.Addr) {
	w.byte(byte(a.BitLen() / 8))
	w.b, _ = a.WithZone("").AppendBinary(w.b) // never fails
}

// word writes text that is most often one of a closed list: as one byte then.
func writeWord[T ~string](w *writer, s T) {
	if code, ok := wordCode(string(s)); ok {
		w.byte(code)
		return
	}
	w.byte(otherWord)
	w.text(string(s))
}

// writeList writes the count of a list and each of it.
func writeList[T any](w *writer, list []T, each func(T)) {
	w.uint(uint64(len(list)))
	for _, v := range list {
		each(v)
	}
}

// reader reads what writer wrote. Text that it returns is part of s, so that a whole
// record costs one copy. The first fault sticks; after it everything is zero.
type reader struct {
	s       string
	version byte
	err     error
}

// newReader begins to read data of a version up to newest.
func newReader(b []byte, what string, newest byte) reader {
	r := reader{s: string(b)}
	switch r.version = r.byte(); {
	case r.err != nil:
	case r.version == 0:
		r.fail("version 0 of a %s", what)
	case r.version > newest:
		r.err = fmt.Errorf("%w: the %s has version %d, written by a newer dmarcd; this one reads up to version %d", ErrNewer, what, r.version, newest)
		r.s = ""
	}
	return r
}

// since reports that the data has the fields that a version added.
func (r *reader) since(version byte) bool { return r.version >= version && r.err == nil }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrEncoding, fmt.Sprintf(format, args...))
	}
	r.s = ""
}

// end is the fault, if any, or that something is left over.
func (r *reader) end() error {
	if r.err == nil && len(r.s) > 0 {
		r.fail("%d octets too many", len(r.s))
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.s) == 0 {
		r.fail("cut off")
		return 0
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c
}

// uint reads a number as binary.AppendUvarint writes it.
func (r *reader) uint() uint64 {
	var n uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break // over 64 bits
			}
			r.s = r.s[i+1:]
			return n
		}
	}
	r.fail("not a number")
	return 0
}

// int reads a number as binary.AppendVarint writes it.
func (r *reader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

// take returns the next n octets.
func (r *reader) take(n uint64) string {
	if n > uint64(len(r.s)) {
		r.fail("cut off")
		return ""
	}
	out := r.s[:n]
	r.s = r.s[n:]
	return out
}

func (r *reader) text() string    { return r.take(r.uint()) }
func (r *reader) time() time.Time { return time.UnixMicro(r.int()).UTC() }
func (r *reader) texts() []string { return readList(r, r.text) }
func (r *reader) names() []dns.Name {
	return readList(r, r.name)
}

func (r *reader) name() dns.Name {
	raw := r.text()
	if raw == "" {
		return dns.Name{}
	}
	n, err := dns.ParseQuery(raw)
	if err != nil {
		r.fail("%v", err)
	}
	return n
}

func (r *reader) flags(bits ...*bool) {
	c := r.byte()
	for i, p := range bits {
		*p = c&(1<<i) != 0
	}
}

func (r *reader) addr() netip.Addr {
	n := r.byte()
	a, ok := netip.AddrFromSlice([]byte(r.take(uint64(n))))
	if n != 0 && !ok {
		r.fail("not an address")
	}
	return a
}

func readWord[T ~string](r *reader) T {
	code := r.byte()
	if code == otherWord {
		return T(r.text())
	}
	s, ok := wordOf(code)
	if !ok {
		r.fail("word %d is not known", code)
	}
	return T(s)
}

// readList reads a list; nil for an empty one. A count greater than the rest of the input
// allows is an error before memory is allocated.
func readList[T any](r *reader, each func() T) []T {
	n := r.uint()
	if n > uint64(len(r.s)) {
		r.fail("cut off")
	}
	if n == 0 || r.err != nil {
		return nil
	}
	const most = 64 // initial capacity: a short input must not take much memory
	out := make([]T, 0, min(n, most))
	for ; n > 0 && r.err == nil; n-- {
		out = append(out, each())
	}
	return out
}
