package dkim

import (
	"bytes"
	"hash"
	"hash/maphash"

	"dmarcd/internal/message"
)

// headerIndex finds fields by name without another pass over the header, because
// h= may list any number of names. It is a hash table with open addressing; a slot
// identifies a name by its bottom-most field.
type headerIndex struct {
	fields []message.Field
	seed   maphash.Seed // prevents chosen collisions
	slots  []int32      // index of the field plus one; 0 for a free slot
	next   []int32      // for each slot, the field that h= selects next, plus one; 0 if none is left
	above  []int32      // for each field the next above it of the same name, plus one
}

func newHeaderIndex(fields []message.Field) *headerIndex {
	size := 16
	for size < 2*len(fields) {
		size *= 2
	}
	space := make([]int32, 2*size+len(fields))
	x := &headerIndex{
		fields: fields,
		seed:   maphash.MakeSeed(),
		slots:  space[:size:size],
		next:   space[size : 2*size : 2*size],
		above:  space[2*size:],
	}
	for i, f := range fields {
		slot := find(x, f.Name)
		x.above[i] = x.slots[slot]
		x.slots[slot] = int32(i + 1)
	}
	return x
}

// find returns the slot of a name, ignoring case, or the free slot where it belongs.
func find[T string | []byte](x *headerIndex, name T) int {
	var space [64]byte
	mask := len(x.slots) - 1
	slot := int(maphash.Bytes(x.seed, appendLower(space[:0], name))) & mask
	for x.slots[slot] != 0 && !equalLower(x.fields[x.slots[slot]-1].Name, name) {
		slot = (slot + 1) & mask
	}
	return slot
}

// reset restarts the selection of fields for another signature.
func (x *headerIndex) reset() { copy(x.next, x.slots) }

// pick returns the bottom-most field of the name that was not picked yet, except
// the one at index own; false if there is none (RFC 6376 section 5.4.2).
func (x *headerIndex) pick(name []byte, own int) (message.Field, bool) {
	slot := find(x, name)
	i := int(x.next[slot]) - 1
	if i >= 0 && i == own {
		i = int(x.above[i]) - 1
	}
	if i < 0 {
		return message.Field{}, false
	}
	x.next[slot] = x.above[i]
	return x.fields[i], true
}

func equalLower[T string | []byte](a string, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func appendLower[T string | []byte](dst []byte, s T) []byte {
	for i := range len(s) {
		dst = append(dst, lower(s[i]))
	}
	return dst
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// hashHeader appends to sum the hash that the signature covers: the fields of h=,
// then its own field without b= and without the final CRLF (RFC 6376 section 3.7).
// It resets h first; buf is scratch space.
func (x *headerIndex) hashHeader(sum []byte, s *signature, h hash.Hash, buf []byte) []byte {
	h.Reset()
	x.reset()
	out := gather{to: h, buf: buf[:0]}
	for list, more := s.names, true; more; {
		var name []byte
		name, list, more = cutItem(list)
		if f, ok := x.pick(name, s.field); ok {
			if s.Header == relaxed {
				out.relaxedField(f.Raw)
			} else {
				out.write(f.Raw)
			}
		}
	}
	before, after := splitOwn(x.fields[s.field].Raw, s)
	if s.Header == relaxed {
		out.relaxedOwn(before, after)
	} else {
		out.write(before)
		out.write(after)
	}
	out.flush()
	return h.Sum(sum)
}

// splitOwn returns the two parts of the signature's own field around the value of
// b=, without the final CRLF.
func splitOwn(raw []byte, s *signature) (before, after []byte) {
	return raw[:s.blankFrom], bytes.TrimSuffix(raw[s.blankTo:], crlf)
}

// relaxedField adds a field in the form of RFC 6376 section 3.4.2.
func (g *gather) relaxedField(raw []byte) {
	value := g.relaxedName(raw)
	g.relaxedValue(value, false)
	g.write(crlf)
}

// relaxedOwn does the same for a field in two parts, without white space where they
// meet. It omits the final CRLF.
func (g *gather) relaxedOwn(before, after []byte) {
	value := g.relaxedName(before)
	g.relaxedValue(value, false)
	g.relaxedValue(after, true)
}

// relaxedName adds the name in lower case and the colon, and returns the text after it.
func (g *gather) relaxedName(raw []byte) (value []byte) {
	name, value, _ := bytes.Cut(raw, []byte(":"))
	for _, c := range trim(name) {
		g.writeByte(lower(c))
	}
	g.writeByte(':')
	return value
}

// relaxedValue adds the words of value, one space between them. If it continues an
// earlier part, white space before its first word counts too.
func (g *gather) relaxedValue(value []byte, goesOn bool) {
	for at := 0; ; {
		start := at
		for at < len(value) && isSpace(value[at]) {
			at++
		}
		if at == len(value) {
			return
		}
		word := at
		for at++; at < len(value) && !isSpace(value[at]); at++ {
		}
		blank := word > start && goesOn
		goesOn = true
		if n := at - word; n <= shortWord && n < cap(g.buf)-len(g.buf) {
			if blank {
				g.buf = append(g.buf, ' ')
			}
			g.buf = append(g.buf, value[word:at]...)
			continue
		}
		if blank {
			g.writeByte(' ')
		}
		g.write(value[word:at])
	}
}
