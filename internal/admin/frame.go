package admin

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"dmarcd/internal/memory"
)

// Kinds of frames.
const (
	frameRecord = 'R'
	frameAlive  = '.'
	frameEnd    = 'E'
	frameError  = 'X'
)

// maxFrame is the longest payload that is taken.
const maxFrame = 4 << 20

func appendFrame(b []byte, kind byte, payload []byte) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(payload)))
	return append(b, payload...)
}

func endFrame(records uint64) []byte {
	return appendFrame(nil, frameEnd, binary.AppendUvarint(nil, records))
}

func errorFrame(err error) []byte {
	text, jsonErr := json.Marshal(asError(err))
	if jsonErr != nil {
		text = []byte(`{"kind":"trouble","error":"unknown"}`) // not reached: two strings
	}
	return appendFrame(nil, frameError, text)
}

// readStream gives each record of a stream, and checks that it has its end.
func readStream(r io.Reader, yield func(*memory.Record) error) error {
	in := bufio.NewReader(r)
	var buf []byte
	for records := uint64(0); ; {
		kind, payload, err := readFrame(in, buf)
		if err != nil {
			return err
		}
		buf = payload[:0]
		switch kind {
		case frameAlive:
		case frameRecord:
			rec, err := memory.DecodeRecord(payload)
			if err != nil {
				return fmt.Errorf("the daemon's answer: %w", err)
			}
			records++
			if err := yield(rec); err != nil {
				return err
			}
		case frameEnd:
			if n, size := binary.Uvarint(payload); size <= 0 || n != records {
				return fmt.Errorf("%w: %d records came of %d", ErrCut, records, n)
			}
			return nil
		case frameError:
			var e Error
			if err := json.Unmarshal(payload, &e); err != nil {
				return fmt.Errorf("the daemon's answer: %w", err)
			}
			return &e
		default:
			return fmt.Errorf("%w: a frame of kind %q", ErrProtocol, kind)
		}
	}
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
