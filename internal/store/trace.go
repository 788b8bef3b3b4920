package store

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"

	"dmarcd/internal/memory"
)

// maxTraceBytes bounds what a trace may unpack to: more than one can hold, those of
// earlier builds included.
const maxTraceBytes = 384 << 10

// deflaters are pooled because each is large. For a text as short as a trace the fastest
// level is ten times faster: the others begin by clearing their tables.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

func packTrace(t *memory.Trace) ([]byte, error) {
	plain, err := t.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unpackTrace(b []byte) (*memory.Trace, error) {
	r := flate.NewReader(bytes.NewReader(b))
	plain, err := io.ReadAll(io.LimitReader(r, maxTraceBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: trace: %w", memory.ErrEncoding, err)
	}
	if len(plain) > maxTraceBytes {
		return nil, fmt.Errorf("%w: trace of over %d octets", memory.ErrEncoding, maxTraceBytes)
	}
	return memory.DecodeTrace(plain)
}
