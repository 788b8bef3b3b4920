package intake

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"hash/crc32"
	"io"
)

// Octets of a header of gzip (RFC 1952 section 2.3).
const (
	gzipHeader  = 10
	gzipCRC     = 1 << 1
	gzipExtra   = 1 << 2
	gzipName    = 1 << 3
	gzipComment = 1 << 4
)

// errBroken is the error for compressed data that cannot be unpacked.
var errBroken = refusal("the compressed data is broken")

// inflater unpacks gzip and zlib leniently: all members, with a note if a checksum is missing or
// wrong, if the data is truncated, or if something follows it.
type inflater struct {
	in      *bufio.Reader
	zlib    bool
	flate   io.ReadCloser
	scratch *Scratch
	crc     uint32
	size    uint32
	members int
	note    func(what string)
	err     error
}

func newInflater(in *bufio.Reader, zlib bool, note func(string), scratch *Scratch) *inflater {
	z := &inflater{in: in, zlib: zlib, note: note, scratch: scratch}
	z.err = z.begin()
	return z
}

// Scratch keeps expensive objects from one mail to the next. It is for one goroutine; nil keeps
// nothing.
type Scratch struct {
	flates []io.ReadCloser
	gzip   *gzip.Writer
}

// release returns reusable objects. Nothing can be read afterwards.
func (z *inflater) release() {
	if z.scratch != nil && z.flate != nil && len(z.scratch.flates) < maxNested {
		z.scratch.flates = append(z.scratch.flates, z.flate)
	}
	z.flate, z.err = nil, io.EOF
}

func (s *Scratch) take() io.ReadCloser {
	if s == nil || len(s.flates) == 0 {
		return nil
	}
	last := len(s.flates) - 1
	f := s.flates[last]
	s.flates = s.flates[:last]
	return f
}

// clean reports, at the end, whether the data was one member without any oddity.
func (z *inflater) clean() bool { return z.members == 1 && errors.Is(z.err, io.EOF) }

func (z *inflater) odd(what string) {
	z.members = 2 // not clean
	z.note(what)
}

// begin parses the header of a member.
func (z *inflater) begin() error {
	header := z.gzipHeader
	if z.zlib {
		header = z.zlibHeader
	}
	if err := header(); err != nil {
		z.odd("the compressed data ends early")
		return io.EOF
	}
	z.members++
	z.size = 0
	z.crc = 0
	if z.zlib {
		z.crc = adler32.Checksum(nil)
	}
	if z.flate == nil {
		z.flate = z.scratch.take()
	}
	if z.flate == nil {
		z.flate = flate.NewReader(z.in)
		return nil
	}
	return z.flate.(flate.Resetter).Reset(z.in, nil)
}

func (z *inflater) zlibHeader() error {
	_, err := z.in.Discard(2)
	return err
}

func (z *inflater) gzipHeader() error {
	var h [gzipHeader]byte
	if _, err := io.ReadFull(z.in, h[:]); err != nil {
		return err
	}
	flags := h[3]
	if flags&gzipExtra != 0 {
		var n [2]byte
		if _, err := io.ReadFull(z.in, n[:]); err != nil {
			return err
		}
		if _, err := z.in.Discard(int(binary.LittleEndian.Uint16(n[:]))); err != nil {
			return err
		}
	}
	for _, text := range []byte{gzipName, gzipComment} {
		if flags&text == 0 {
			continue
		}
		for {
			c, err := z.in.ReadByte()
			if err != nil {
				return err
			}
			if c == 0 {
				break
			}
		}
	}
	if flags&gzipCRC != 0 {
		_, err := z.in.Discard(2)
		return err
	}
	return nil
}

func (z *inflater) Read(p []byte) (int, error) {
	for z.err == nil {
		n, err := z.flate.Read(p)
		z.sum(p[:n])
		switch {
		case errors.Is(err, io.EOF):
			z.err = z.end()
		case errors.Is(err, io.ErrUnexpectedEOF):
			z.odd("the compressed data ends early")
			z.err = io.EOF
		case err != nil:
			if corrupt := flate.CorruptInputError(0); errors.As(err, &corrupt) {
				err = errBroken
			}
			z.err = err
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, z.err
}

func (z *inflater) sum(p []byte) {
	z.size += uint32(len(p))
	if !z.zlib {
		z.crc = crc32.Update(z.crc, crc32.IEEETable, p)
	}
}

// end parses the checksum of a member and what follows.
func (z *inflater) end() error {
	var t [8]byte
	trailer := t[:]
	if z.zlib {
		trailer = t[:4]
	}
	switch _, err := io.ReadFull(z.in, trailer); {
	case err != nil:
		z.odd("the compressed data has no checksum")
		return io.EOF
	case z.zlib:
	case binary.LittleEndian.Uint32(t[:]) != z.crc || binary.LittleEndian.Uint32(t[4:]) != z.size:
		z.odd("the checksum of the compressed data is wrong")
	}
	for {
		next, err := z.in.Peek(2)
		switch {
		case err != nil && len(next) == 0:
			return io.EOF
		case next[0] == 0: // padding
			if _, err := z.in.Discard(1); err != nil {
				return err
			}
		case !z.zlib && len(next) == 2 && next[0] == 0x1f && next[1] == 0x8b:
			return z.begin()
		default:
			z.odd("something follows the compressed data")
			return io.EOF
		}
	}
}
