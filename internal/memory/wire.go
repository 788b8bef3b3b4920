package memory

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"dmarcd/internal/dns"
)

// The encoding of what is remembered: fields one after the other, without names.
// Numbers are varints, text has its length before it, lists their count. A first
// byte tells the version; a later one may only add fields at the end.

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
	raw := a.AsSlice()
	w.byte(byte(len(raw)))
	w.b = append(w.b, raw...)
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

// reader reads what writer wrote. The first fault sticks; after it everything is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrEncoding, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// end is the fault, if any, or that something is left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d octets too many", len(r.b))
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("cut off")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail("not a number")
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail("not a number")
		return 0
	}
	r.b = r.b[size:]
	return n
}

// take gives the next n octets; they are the input's.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("cut off")
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string    { return string(r.take(r.uint())) }
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
	raw := r.take(uint64(n))
	a, ok := netip.AddrFromSlice(raw)
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

// readList reads a list; nil for an empty one. A count beyond what can follow is
// a fault before memory is taken for it.
func readList[T any](r *reader, each func() T) []T {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail("cut off")
	}
	if n == 0 || r.err != nil {
		return nil
	}
	const most = 64 // to begin with: a short input must not take much memory
	out := make([]T, 0, min(n, most))
	for ; n > 0 && r.err == nil; n-- {
		out = append(out, each())
	}
	return out
}
