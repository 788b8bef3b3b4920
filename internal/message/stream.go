package message

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxStreamedHeader bounds the header that Stream takes, in octets. It is above any limit
// of the filter, so that the filter's limits apply.
const MaxStreamedHeader = 16 << 20

// ErrHeaderTooLarge is returned by Stream for a header of more than MaxStreamedHeader octets.
var ErrHeaderTooLarge = errors.New("message: header too large")

// Events receives the parts of a message that Stream reads, in order.
type Events struct {
	// Field receives one field; value is the text after the colon, folds as CRLF, without
	// the last CRLF. It is valid during the call only.
	Field       func(name string, value []byte)
	EndOfHeader func()
	// Body gets the body piece by piece; false stops the reading.
	Body func(chunk []byte) (more bool)
}

// Stream reads a message from a file as an MTA would hand it over: lines that end
// in a bare LF get CRLF, an mbox "From " line at the top is passed over, and the
// header ends at the first empty line or at the first line that is no field. The
// error is that of r, or ErrHeaderTooLarge.
func Stream(r io.Reader, e Events) error {
	const bufferSize = 64 << 10
	s := streamer{in: bufio.NewReaderSize(r, bufferSize), events: e}
	rest, err := s.header()
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	e.EndOfHeader()
	if err := s.body(rest); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return nil
}

type streamer struct {
	in     *bufio.Reader
	events Events
	field  []byte // the field being gathered, folds as CRLF, without the last CRLF
	size   int
}

// header reads all fields and returns a line that belongs to the body already.
func (s *streamer) header() (rest []byte, err error) {
	for first := true; ; first = false {
		line, err := s.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		switch {
		case len(text) == 0: // an empty line, or the end of the file
			s.flush()
			return nil, nil
		case first && bytes.HasPrefix(text, []byte("From ")):
			continue
		case (text[0] == ' ' || text[0] == '\t') && s.field != nil:
			s.field = append(append(s.field, '\r', '\n'), text...)
		case bytes.IndexByte(text, ':') > 0:
			s.flush()
			s.field = append(s.field, text...)
		default:
			s.flush()
			return line, nil
		}
	}
}

// line reads one whole line of the header.
func (s *streamer) line() ([]byte, error) {
	var whole []byte
	for {
		part, err := s.in.ReadSlice('\n')
		if s.size += len(part); s.size > MaxStreamedHeader {
			return nil, ErrHeaderTooLarge
		}
		whole = append(whole, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return whole, err
		}
	}
}

func (s *streamer) flush() {
	if s.field == nil {
		return
	}
	name, value, _ := bytes.Cut(s.field, []byte(":"))
	s.events.Field(string(name), value)
	s.field = nil
}

// body hands over rest and all that follows, with CRLF line ends.
func (s *streamer) body(rest []byte) error {
	lines := crlf{}
	if len(rest) > 0 && !s.events.Body(lines.convert(rest)) {
		return nil
	}
	for {
		part, err := s.in.ReadSlice('\n')
		if len(part) > 0 && !s.events.Body(lines.convert(part)) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// crlf turns bare LF into CRLF, over the borders of pieces.
type crlf struct {
	lastCR bool
	buf    []byte
}

// convert returns a slice that is valid until the next call.
func (c *crlf) convert(part []byte) []byte {
	n := len(part)
	before := c.lastCR
	if n > 1 {
		before = part[n-2] == '\r'
	}
	c.lastCR = part[n-1] == '\r'
	if part[n-1] != '\n' || before { // only the last octet of a piece can be LF
		return part
	}
	c.buf = append(c.buf[:0], part[:n-1]...)
	c.buf = append(c.buf, '\r', '\n')
	return c.buf
}
