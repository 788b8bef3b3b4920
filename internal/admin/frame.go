package admin

import (
	"bufio"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Kinds of frames.
const (
	frameJSON   = 'J'
	frameBinary = 'B'
	frameAlive  = '.'
	frameEnd    = 'E'
	frameError  = 'X'
)

// maxFrame is the longest payload that is accepted.
const maxFrame = 4 << 20

func appendFrame(b []byte, kind byte, payload []byte) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(payload)))
	return append(b, payload...)
}

// valueFrame appends a value of a stream.
func valueFrame(b []byte, value any) ([]byte, error) {
	kind, payload, err := byte(frameJSON), []byte(nil), error(nil)
	if own, ok := value.(encoding.BinaryAppender); ok {
		kind = frameBinary
		payload, err = own.AppendBinary(nil)
	} else {
		payload, err = json.Marshal(value)
	}
	switch {
	case err != nil:
		return b, err
	case len(payload) > maxFrame:
		return b, fmt.Errorf("a value of %d octets is too long for the admin socket", len(payload))
	}
	return appendFrame(b, kind, payload), nil
}

func endFrame(values uint64) []byte {
	return appendFrame(nil, frameEnd, binary.AppendUvarint(nil, values))
}

func errorFrame(err error) []byte {
	text, jsonErr := json.Marshal(newWireError(err))
	if jsonErr != nil {
		text = []byte(`{"kind":"trouble","error":"unknown"}`) // not reached: two strings
	}
	return appendFrame(nil, frameError, text)
}

// readStream yields each value of a stream, and checks that the stream is complete.
func readStream(r io.Reader, fresh func() any, yield func(any) error) error {
	in := bufio.NewReader(r)
	var buf []byte
	for values := uint64(0); ; {
		kind, payload, err := readFrame(in, buf)
		if err != nil {
			return err
		}
		buf = payload[:0]
		switch kind {
		case frameAlive:
		case frameJSON, frameBinary:
			value := fresh()
			if err := decodeValue(kind, payload, value); err != nil {
				return fmt.Errorf("the daemon's answer: %w", err)
			}
			values++
			if err := yield(value); err != nil {
				return err
			}
		case frameEnd:
			if n, size := binary.Uvarint(payload); size <= 0 || n != values {
				return fmt.Errorf("%w: %d values came of %d", ErrCut, values, n)
			}
			return nil
		case frameError:
			var e wireError
			if err := json.Unmarshal(payload, &e); err != nil {
				return fmt.Errorf("the daemon's answer: %w", err)
			}
			return e.error()
		default:
			return fmt.Errorf("%w: a frame of kind %q", ErrProtocol, kind)
		}
	}
}

// decodeValue decodes the payload of a value frame.
func decodeValue(kind byte, payload []byte, value any) error {
	if kind == frameJSON {
		return json.Unmarshal(payload, value)
	}
	own, ok := value.(encoding.BinaryUnmarshaler)
	if !ok {
		return fmt.Errorf("%w: a %T in an encoding of its own", ErrProtocol, value)
	}
	return own.UnmarshalBinary(payload)
}

// readFrame reads one frame into buf, which it may enlarge.
func readFrame(in *bufio.Reader, buf []byte) (kind byte, payload []byte, err error) {
	if kind, err = in.ReadByte(); err != nil {
		return 0, nil, cutOff(err)
	}
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, nil, cutOff(err)
	}
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d octets", ErrProtocol, n)
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	payload = buf[:n]
	if _, err := io.ReadFull(in, payload); err != nil {
		return 0, nil, cutOff(err)
	}
	return kind, payload, nil
}

func cutOff(err error) error { return fmt.Errorf("%w: %w", ErrCut, err) }
