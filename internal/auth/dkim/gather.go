package dkim

import "io"

var crlf = []byte("\r\n")

const (
	// scratchSize is the size of the buffer in which small pieces are gathered
	// before they are hashed.
	scratchSize = 2048

	// directSize is from where a piece is hashed where it stands instead.
	directSize = 512

	// shortWord is up to where octets are copied one by one for less than a call.
	shortWord = 8
)

// gather writes to a hash. It gathers small pieces in buf, since a hash takes
// them at a high price each, and passes on large ones without copying.
type gather struct {
	to  io.Writer // never fails
	buf []byte    // its capacity is the most that is held
}

func (g *gather) write(p []byte) {
	if len(p) >= directSize || len(p) > cap(g.buf) {
		g.flush()
		g.to.Write(p)
		return
	}
	if len(p) > cap(g.buf)-len(g.buf) {
		g.flush()
	}
	g.buf = append(g.buf, p...)
}

func (g *gather) writeByte(c byte) {
	if len(g.buf) == cap(g.buf) {
		g.flush()
	}
	g.buf = append(g.buf, c)
}

// flush empties the buffer.
func (g *gather) flush() {
	if len(g.buf) > 0 {
		g.to.Write(g.buf)
		g.buf = g.buf[:0]
	}
}
