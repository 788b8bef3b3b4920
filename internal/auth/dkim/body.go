package dkim

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
	"slices"
)

// bodyHash canonicalises the body in one of the two ways of RFC 6376 section
// 3.4 and hashes it, once for all signatures that ask for that way.
//
// What may turn out to be white space at the end of a line, or empty lines at
// the end of the body, is not stored but counted: in the order in which it
// would stand, some line ends, then white space, then one CR.
type bodyHash struct {
	relaxed bool
	users   int // signatures that still wait for it
	digest  bodyDigest
	out     gather // empty between two writes

	lines int64 // line ends seen and not yet hashed
	blank bool  // then white space (relaxed only)
	cr    bool  // then a CR, of which it is not known whether LF follows
}

func newBodyHash(way string) *bodyHash {
	return &bodyHash{relaxed: way == relaxed, digest: bodyDigest{hash: sha256.New()}}
}

// write takes the next chunk; buf is scratch space, not kept.
func (b *bodyHash) write(p, buf []byte) {
	b.out = gather{to: &b.digest, buf: buf[:0]}
	if b.relaxed {
		b.writeRelaxed(p)
	} else {
		b.writeSimple(p)
	}
	b.out.flush()
	b.out = gather{}
}

// end finishes the body: an empty body is CRLF for simple and nothing for
// relaxed; any other ends in exactly one CRLF (RFC 6376 sections 3.4.3, 3.4.4).
func (b *bodyHash) end(buf []byte) {
	b.out = gather{to: &b.digest, buf: buf[:0]}
	if b.cr {
		b.release()
	}
	b.out.flush()
	if !b.relaxed || b.digest.length > 0 {
		b.digest.Write(crlf)
	}
	b.digest.end()
}

// release hashes what was held back, since text follows.
func (b *bodyHash) release() {
	for ; b.lines > 0; b.lines-- {
		b.out.write(crlf)
	}
	if b.blank {
		b.out.writeByte(' ')
	}
	if b.cr {
		b.out.writeByte('\r')
	}
	b.blank, b.cr = false, false
}

// writeSimple leaves all as it is, but for bare LF and the empty lines at the end.
func (b *bodyHash) writeSimple(p []byte) {
	if len(p) > 0 && b.cr && p[0] == '\n' {
		b.cr = false
		b.lines++
		p = p[1:]
	}
	end := len(p)
	cr := end > 0 && p[end-1] == '\r'
	if cr {
		end--
	}
	lines := int64(0)
	for end > 0 && p[end-1] == '\n' {
		end--
		if end > 0 && p[end-1] == '\r' {
			end--
		}
		lines++
	}
	if end > 0 || b.cr && len(p) > 0 {
		b.release()
	}
	b.withLineEnds(p[:end])
	b.lines += lines
	b.cr = b.cr || cr
}

// withLineEnds hashes p, each bare LF as CRLF.
func (b *bodyHash) withLineEnds(p []byte) {
	for at := 0; ; {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			break
		}
		if i += at; i > 0 && p[i-1] == '\r' {
			at = i + 1
			continue
		}
		b.out.write(p[:i])
		b.out.write(crlf)
		p, at = p[i+1:], 0
	}
	b.out.write(p)
}

// writeRelaxed also makes one space of white space and drops it at line ends.
func (b *bodyHash) writeRelaxed(p []byte) {
	for at := b.skipGap(p, 0); at < len(p); at = b.skipGap(p, at) {
		b.release()
		at = b.runOfText(p, at)
	}
}

// skipGap notes the white space and line ends from p[at] on and gives the place
// of the text that follows, len(p) if none does.
func (b *bodyHash) skipGap(p []byte, at int) int {
	for ; at < len(p); at++ {
		switch c := p[at]; {
		case c == '\n':
			b.blank, b.cr = false, false
			b.lines++
		case b.cr: // the CR before it was no line end, so it is text
			return at
		case c == '\r':
			b.cr = true
		case c == ' ' || c == '\t':
			b.blank = true
		default:
			return at
		}
	}
	return at
}

// runOfText hashes the text from p[start] to the next gap that is not known to
// be followed by text, and gives the place of that gap. Other gaps are settled
// on the way, and what they leave unchanged is not copied.
func (b *bodyHash) runOfText(p []byte, start int) int {
	at := start
	for {
		at = nextEvent(p, at)
		if at < len(p) && (!isSpace(p[at]) || p[at] == '\r' && at+1 < len(p) && p[at+1] != '\n') {
			at++ // another control character or a bare CR: text
			continue
		}
		from := at
		if at > start && p[at-1] == ' ' {
			from--
		}
		g := gapAt(p, from)
		if g.text == len(p) || p[g.text] <= ' ' {
			b.out.write(p[start:from])
			return from
		}
		start = b.settle(p, start, g)
		at = g.text
	}
}

// settle hashes p from start to the text after g, except for what is unchanged
// at the end, and gives where that begins.
func (b *bodyHash) settle(p []byte, start int, g gap) int {
	switch {
	case g.lines == g.indent: // within a line
		b.out.write(p[start:g.blanks])
		b.out.writeByte(' ')
		return g.text
	case g.blanks < g.lines: // at the end of a line
		b.out.write(p[start:g.blanks])
		start = g.lines
	}
	switch {
	case g.indent == g.text, g.indent+1 == g.text && p[g.indent] == ' ':
		return start
	}
	b.out.write(p[start:g.indent])
	b.out.writeByte(' ')
	return g.text
}

// gap is white space in a body, by the places where its parts begin: blanks,
// then line ends, then the blanks of the last line, then something else.
type gap struct{ blanks, lines, indent, text int }

func gapAt(p []byte, at int) gap {
	g := gap{blanks: at}
	for at < len(p) && (p[at] == ' ' || p[at] == '\t') {
		at++
	}
	g.lines = at
	for at+1 < len(p) && p[at] == '\r' && p[at+1] == '\n' {
		at += 2
	}
	g.indent = at
	for at < len(p) && (p[at] == ' ' || p[at] == '\t') {
		at++
	}
	g.text = at
	return g
}

// Masks for eight octets at once.
const (
	every = 0x0101010101010101
	low7  = 0x7f * every
	high  = 0x80 * every
)

// nextEvent gives the first place from at on where p has a control character,
// or white space after a space; len(p) if there is none.
func nextEvent(p []byte, at int) int {
	carry := uint64(0)
	for ; at+8 <= len(p); at += 8 {
		x := binary.LittleEndian.Uint64(p[at:])
		y := x & low7
		// The high bit of each octet: set in y+(0x80-n) where its low bits are n or more.
		blank := ^((y + (0x80-0x21)*every) | x) & high // at most 0x20
		ctl := ^((y + (0x80-0x20)*every) | x) & high   // below 0x20
		if e := ctl | blank&(blank<<8|carry); e != 0 {
			return at + bits.TrailingZeros64(e)/8
		}
		carry = blank >> 56
	}
	for ; at < len(p); at++ {
		if c := p[at]; c < ' ' || c == ' ' && carry != 0 {
			return at
		} else if carry = 0; c == ' ' {
			carry = 1
		}
	}
	return at
}

// bodyDigest is the hash of the canonical body, and of the beginnings of it
// that l= asks for.
type bodyDigest struct {
	hash   hash.Hash
	length int64      // canonical octets so far
	whole  bool       // somebody wants the hash of all
	parts  []bodyPart // in order of length
	next   int        // the first of parts not yet complete
	sum    [sha256.Size]byte
}

// bodyPart is the first length octets of the canonical body.
type bodyPart struct {
	length int64
	sum    [sha256.Size]byte
}

// want asks for the hash of the first length octets, of all if it is negative.
// It is called before the first Write.
func (d *bodyDigest) want(length int64) {
	if length < 0 {
		d.whole = true
		return
	}
	at, found := slices.BinarySearchFunc(d.parts, length, func(p bodyPart, n int64) int { return cmp.Compare(p.length, n) })
	if !found {
		d.parts = slices.Insert(d.parts, at, bodyPart{length: length})
	}
}

// Write hashes p, as far as somebody wants it, and counts it. It never fails.
func (d *bodyDigest) Write(p []byte) (int, error) {
	n := len(p)
	for d.next < len(d.parts) {
		part := &d.parts[d.next]
		room := part.length - d.length
		if int64(len(p)) < room {
			break
		}
		d.hash.Write(p[:room])
		d.length += room
		p = p[room:]
		d.hash.Sum(part.sum[:0])
		d.next++
	}
	if d.whole || d.next < len(d.parts) {
		d.hash.Write(p)
	}
	d.length += int64(len(p))
	return n, nil
}

func (d *bodyDigest) end() {
	d.Write(nil) // completes a part of length 0
	d.hash.Sum(d.sum[:0])
}

// part gives the hash for l=length; false when the body is shorter.
func (d *bodyDigest) part(length int64) ([]byte, bool) {
	if length < 0 {
		return d.sum[:], true
	}
	for i := range d.parts[:d.next] {
		if d.parts[i].length == length {
			return d.parts[i].sum[:], true
		}
	}
	return nil, false
}

// knows tells whether more body cannot change what is known for l=length:
// its hash, and that there is body beyond.
func (d *bodyDigest) knows(length int64) bool { return length >= 0 && d.length > length }
