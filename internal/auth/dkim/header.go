package dkim

import (
	"bytes"
	"hash"

	"dmarcd/internal/message"
)

// headerIndex finds the fields of a name without going through the header
// again: h= may list any number of names.
type headerIndex struct {
	fields []message.Field
	id     map[string]int32 // by lower-case name; indexes last
	last   []int32          // the bottom-most field of the name
	above  []int32          // for each field the next above it of the same name; -1 if none
	cursor []int32          // for each name, the field that h= gets next; reset by each signature
}

func newHeaderIndex(fields []message.Field) *headerIndex {
	n := len(fields)
	space := make([]int32, 3*n)
	x := &headerIndex{
		fields: fields,
		id:     make(map[string]int32, n),
		last:   space[:0:n],
		above:  space[n : 2*n],
		cursor: space[2*n:],
	}
	length := 0
	for _, f := range fields {
		length += len(f.Name)
	}
	all := make([]byte, 0, length)
	for _, f := range fields {
		all = appendLower(all, f.Name)
	}
	names := string(all) // cut into names below: one piece of memory for all
	for i, f := range fields {
		name := names[:len(f.Name)]
		names = names[len(f.Name):]
		id, known := x.id[name]
		if !known {
			id = int32(len(x.last))
			x.id[name] = id
			x.last = append(x.last, -1)
		}
		x.above[i] = x.last[id]
		x.last[id] = int32(i)
	}
	return x
}

// reset starts the choice of fields for another signature.
func (x *headerIndex) reset() { copy(x.cursor, x.last) }

// pick gives the bottom-most field of the name that was not picked yet, but
// never the one at index own; false if there is none (RFC 6376 section 5.4.2).
func (x *headerIndex) pick(name []byte, own int) (message.Field, bool) {
	var space [64]byte
	id, known := x.id[string(appendLower(space[:0], name))]
	if !known {
		return message.Field{}, false
	}
	i := x.cursor[id]
	if i >= 0 && int(i) == own {
		i = x.above[i]
	}
	if i < 0 {
		return message.Field{}, false
	}
	x.cursor[id] = x.above[i]
	return x.fields[i], true
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

// hashHeader computes the hash that the signature is over: the fields of h=,
// then its own field without b= and without the final CRLF (RFC 6376 section
// 3.7). h is reset first; buf is scratch space.
func (x *headerIndex) hashHeader(s *signature, h hash.Hash, buf []byte) []byte {
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
	own := x.fields[s.field].Raw
	before, after := own[:s.blankFrom], bytes.TrimSuffix(own[s.blankTo:], crlf)
	if s.Header == relaxed {
		out.relaxedOwn(before, after)
	} else {
		out.write(before)
		out.write(after)
	}
	out.flush()
	return h.Sum(nil)
}

// relaxedField adds a field in the form of RFC 6376 section 3.4.2.
func (g *gather) relaxedField(raw []byte) {
	value := g.relaxedName(raw)
	g.relaxedValue(value, false)
	g.write(crlf)
}

// relaxedOwn does the same with a field in two parts; no white space stands
// where they meet. The final CRLF is left out.
func (g *gather) relaxedOwn(before, after []byte) {
	value := g.relaxedName(before)
	g.relaxedValue(value, false)
	g.relaxedValue(after, true)
}

// relaxedName adds the name in lower case and the colon, and gives what is right of it.
func (g *gather) relaxedName(raw []byte) (value []byte) {
	name, value, _ := bytes.Cut(raw, []byte(":"))
	for _, c := range trim(name) {
		g.writeByte(lower(c))
	}
	g.writeByte(':')
	return value
}

// relaxedValue adds the words of value with one space between them. Where it
// goes on from an earlier part, white space before its first word counts too.
func (g *gather) relaxedValue(value []byte, goesOn bool) {
	for {
		i := 0
		for i < len(value) && isSpace(value[i]) {
			i++
		}
		if i == len(value) {
			return
		}
		if i > 0 && goesOn {
			g.writeByte(' ')
		}
		goesOn = true
		value = value[i:]
		for i = 1; i < len(value) && !isSpace(value[i]); i++ {
		}
		g.write(value[:i])
		value = value[i:]
	}
}
