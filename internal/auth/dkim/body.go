package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// bodyHash canonicalises the body in one of the two forms of RFC 6376 section 3.4
// and hashes it, once for all signatures that use this form.
//
// Octets that may prove to be white space at the end of a line, or empty lines at
// the end of the body, are counted rather than stored. Their order is fixed: some
// line ends, then white space, then one CR.
type bodyHash struct {
	relaxed bool
	users   int // signatures that still wait for it
	digest  bodyDigest
	out     gather // empty between two writes

	lines int64 // line ends seen but not yet hashed
	blank bool  // white space follows them (relaxed only)
	cr    bool  // then a CR that LF may follow
}

func newBodyHash(canon string) *bodyHash {
	return &bodyHash{relaxed: canon == relaxed, digest: bodyDigest{hash: sha256.New()}}
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

// end finishes the body: an empty body becomes CRLF for simple and nothing for
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

// release hashes the octets held back, because text follows.
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

// writeSimple changes only bare LF and the empty lines at the end.
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

// writeRelaxed also reduces white space to one space and drops it at line ends.
func (b *bodyHash) writeRelaxed(p []byte) {
	for at := b.skipGap(p, 0); at < len(p); at = b.skipGap(p, at) {
		b.release()
		at = b.runOfText(p, at)
	}
}

// skipGap counts the white space and line ends from p[at] on and returns the
// position of the text that follows, len(p) if none does.
func (b *bodyHash) skipGap(p []byte, at int) int {
	for ; at < len(p); at++ {
		switch c := p[at]; {
		case c == '\n':
			b.blank, b.cr = false, false
			b.lines++
		case b.cr: // the preceding CR was no line end and is text
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

// runOfText hashes the text from p[start] to the next gap that text may not follow,
// and returns the position of that gap. It writes other gaps on the way and does
// not copy what they leave unchanged.
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
		start = b.writeGap(p, start, g)
		at = g.text
	}
}

// writeGap hashes p from start to the text after g, except for an unchanged tail,
// and returns the position of that tail.
func (b *bodyHash) writeGap(p []byte, start int, g gap) int {
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

// gap is white space in a body, as the positions of its parts: blanks, then line
// ends, then the blanks of the last line, then anything else.
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

// Masks for eight octets at a time.
const (
	every = 0x0101010101010101
	low7  = 0x7f * every
	high  = 0x80 * every
)

// nextEvent returns the first position from at on where p has a control character,
// or a space after a space; len(p) if there is none.
func nextEvent(p []byte, at int) int {
	before := uint64(0)
	for ; at+16 <= len(p); at += 16 {
		two := p[at : at+16 : at+16]
		first, blank := events(binary.LittleEndian.Uint64(two), before)
		second, last := events(binary.LittleEndian.Uint64(two[8:]), blank)
		if first|second != 0 { // one branch for both: most often there is none
			if first != 0 {
				return at + bits.TrailingZeros64(first)/8
			}
			return at + 8 + bits.TrailingZeros64(second)/8
		}
		before = last
	}
	space := before>>63 != 0
	for ; at < len(p); at++ {
		if c := p[at]; c < ' ' || c == ' ' && space {
			return at
		}
		space = p[at] == ' '
	}
	return at
}

// events sets the high bit of each octet of x at which nextEvent stops. before
// describes the preceding octets; blank is its counterpart for those that follow.
func events(x, before uint64) (marks, blank uint64) {
	y := x & low7
	// The high bit of an octet of y+(0x80-n)*every is set if its low bits are n or more.
	blank = ^((y + (0x80-0x21)*every) | x)    // at most 0x20
	control := ^((y + (0x80-0x20)*every) | x) // below 0x20
	return (control | blank&(blank<<8|before>>56)) & high, blank
}
