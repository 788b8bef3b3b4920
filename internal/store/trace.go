package store

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"

	"dmarcd/internal/memory"
)

// maxTraceBytes bounds what a trace may unpack to: more than one can hold.
const maxTraceBytes = 4 * memory.MaxTraceBytes

// deflaters are kept because each is large.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriterDict(nil, flate.BestSpeed+1, traceWords)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// traceWords is what traces are full of. It is part of the format: another one
// could not unpack what is stored.
var traceWords = []byte("nxdomainnodatatemporary: AAAAMXPTR_domainkey._dmarc.selector1.v=spf1 include:_spf.redirect= a mx ip6:ip4: ~all -all" +
	"v=DKIM1; k=rsa; t=s; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA" +
	"v=DMARC1; p=none; sp=quarantine; p=reject; adkim=r; aspf=r; fo=1; pct=100; rua=mailto:dmarc-reports@; ruf=mailto:dmarc@.com.net.orgTXT")

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
	r := flate.NewReaderDict(bytes.NewReader(b), traceWords)
	plain, err := io.ReadAll(io.LimitReader(r, maxTraceBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: trace: %w", memory.ErrEncoding, err)
	}
	if len(plain) > maxTraceBytes {
		return nil, fmt.Errorf("%w: trace of over %d octets", memory.ErrEncoding, maxTraceBytes)
	}
	return memory.DecodeTrace(plain)
}
