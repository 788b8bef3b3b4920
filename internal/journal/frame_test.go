package journal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const testSeed = 7

// frames makes sealed frames with these payloads.
func frames(payloads ...string) []byte {
	var b []byte
	for n, p := range payloads {
		at := len(b)
		b = appendFrame(b, kindRecord, int64(n), []byte(p))
		seal(b[at:], testSeed, uint32(n))
	}
	return b
}

// scanAll reads all frames of b.
func scanAll(b []byte, total int64) (payloads []string, lost uint64) {
	var s scanner
	s.reset(bytes.NewReader(b), testSeed, 0, int64(len(b)), 0, total)
	for {
		f, ok := s.scan()
		if !ok {
			return payloads, lost + s.tail
		}
		payloads = append(payloads, string(f.payload))
		lost += f.lost
	}
}

func TestScan(t *testing.T) {
	want := []string{"one", "", strings.Repeat("x", MaxPayload), "four"}
	got, lost := scanAll(frames(want...), -1)
	if strings.Join(got, "|") != strings.Join(want, "|") || lost != 0 {
		t.Errorf("%d frames, %d lost", len(got), lost)
	}
}

// A write that was cut short costs its own frame and is nothing to report.
func TestScanCutAnywhere(t *testing.T) {
	payloads := []string{"one", "twotwo", "", "four"}
	b := frames(payloads...)
	for n := range b {
		whole, end := 0, 0
		for end+frameLen(b[end:]) <= n {
			end += frameLen(b[end:])
			whole++
		}
		got, lost := scanAll(b[:n], -1)
		if len(got) != whole || lost != 0 {
			t.Errorf("cut at %d: %d frames and %d lost, want %d and 0", n, len(got), lost, whole)
		}
		// The same where it is known how many there should be.
		if got, lost := scanAll(b[:n], 4); len(got) != whole || lost != uint64(4-whole) {
			t.Errorf("cut at %d of 4: %d frames and %d lost", n, len(got), lost)
		}
	}
}

// A damaged octet costs one frame, wherever it is, and the loss is counted.
func TestScanFlippedAnywhere(t *testing.T) {
	payloads := []string{"one", "twotwo", "", "four", "five"}
	b := frames(payloads...)
	last := len(b) - frameHead - len("five")
	for n := range b {
		for _, bit := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(b)
			bad[n] ^= bit
			got, lost := scanAll(bad, 5)
			if len(got) != 4 || lost != 1 {
				t.Errorf("octet %d changed by %#x: %q and %d lost", n, bit, got, lost)
			}
			got, lost = scanAll(bad, -1)
			if len(got) != 4 || lost != 1 && n < last {
				t.Errorf("octet %d changed by %#x, total not known: %q and %d lost", n, bit, got, lost)
			}
		}
	}
}

func TestScanTails(t *testing.T) {
	b := frames("one", "two")
	for name, c := range map[string]struct {
		tail string
		lost uint64
	}{
		"zeros":            {strings.Repeat("\x00", 5000), 0},
		"short rubbish":    {"rubbish", 0},
		"rubbish":          {strings.Repeat("rubbish", 100), 1},
		"damaged payload":  {string(frames("", "", "three")[2*frameHead:3*frameHead]) + "thre3", 1},
		"frame of before":  {string(frames("one")), 1},
		"frame of another": {strings.Repeat("\x01", frameHead), 1},
	} {
		got, lost := scanAll(append(bytes.Clone(b), c.tail...), -1)
		if len(got) != 2 || lost != c.lost {
			t.Errorf("%s: %q and %d lost, want %d", name, got, lost, c.lost)
		}
	}
}

// The content of a record is never taken for a frame, even where the frames around it are
// damaged.
func TestScanFrameInPayload(t *testing.T) {
	inner := appendFrame(nil, kindRecord, 0, []byte("forged"))
	seal(inner, testSeed+1, 1) // who writes a record does not know the salt
	b := frames("one", string(inner), "three")
	b[frameHead+3+8] ^= 1 // of the second frame's head
	got, lost := scanAll(b, 3)
	if strings.Join(got, " ") != "one three" || lost != 1 {
		t.Errorf("%q and %d lost", got, lost)
	}
}

// failingReader fails from an offset on.
type failingReader struct {
	b    []byte
	from int64
}

func (r failingReader) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, r.b[min(off, r.from):r.from])
	if n < len(p) {
		return n, errors.New("bad sector")
	}
	return n, nil
}

func TestScanReadError(t *testing.T) {
	b := frames("one", "two", "three")
	var s scanner
	s.reset(failingReader{b, int64(len(b)) - 4}, testSeed, 0, int64(len(b)), 0, 3)
	n := 0
	for _, ok := s.scan(); ok; _, ok = s.scan() {
		n++
	}
	if n != 2 || s.tail != 1 || s.err == nil || s.off != s.size {
		t.Errorf("%d frames, %d lost, %v, at %d of %d", n, s.tail, s.err, s.off, s.size)
	}
}

// FuzzScan: whatever is done to a segment, no frame is read that was not written,
// none twice, none out of order, and what is missing is counted.
func FuzzScan(f *testing.F) {
	f.Add(uint8(3), uint16(10), uint16(0), []byte("x"))
	f.Add(uint8(5), uint16(25), uint16(30), []byte{})
	f.Add(uint8(9), uint16(60), uint16(4), appendFrame(nil, kindRecord, 0, []byte("a")))
	f.Fuzz(func(t *testing.T, count uint8, at, salvage uint16, put []byte) {
		var payloads []string
		for n := range int(count) {
			payloads = append(payloads, fmt.Sprint(n, strings.Repeat("x", n%7)))
		}
		b := frames(payloads...)
		from := min(len(b), int(at))
		to := min(len(b), from+int(salvage))
		bad := append(append(bytes.Clone(b[:from]), put...), b[to:]...)
		got, lost := scanAll(bad, int64(count))
		next := 0
		for _, p := range got {
			for next < len(payloads) && payloads[next] != p {
				next++
			}
			if next == len(payloads) {
				t.Fatalf("%q was not written, or not in this order: %q", p, got)
			}
			next++
		}
		if len(got)+int(lost) != int(count) {
			t.Fatalf("%d read and %d lost of %d", len(got), lost, count)
		}
	})
}
