package dkim

import "io"

var crlf = []byte("\r\n")

const (
	// scratchSize is the size of the buffer that collects small pieces before they are
	// hashed.
	scratchSize = 2048

	// directSize is the smallest piece that is hashed in place.
	directSize = 512

	// shortWord is the longest piece that a loop copies more cheaply than a call.
	shortWord = 8
)

// gather writes to a hash. It collects small pieces in buf, because each write to a
// hash is expensive, and passes on large ones without copying.
type gather struct {
	to  io.Writer // never fails
	buf []byte    // its capacity bounds what is held
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
