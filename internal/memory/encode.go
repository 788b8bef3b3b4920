package memory

import "errors"

// ErrEncoding says that bytes are no record that this version can read.
var ErrEncoding = errors.New("memory: not a record")

// AppendBinary appends the record's encoding to b.
func (r *Record) AppendBinary(b []byte) ([]byte, error) { return b, ErrEncoding }

// DecodeRecord reads what AppendBinary wrote, all of b. Its error wraps ErrEncoding.
func DecodeRecord(b []byte) (*Record, error) { return nil, ErrEncoding }

// Tally is the record's count for a report to the sender's domain; false where
// none is due: DMARC did not run, no policy was published, the mail is deferred
// and comes again, or it carries a report.
func (r *Record) Tally() (Tally, bool) { return Tally{}, false }

// AppendBinary appends the tally's encoding to b.
func (t *Tally) AppendBinary(b []byte) []byte { return b }

// DecodeTally reads what AppendBinary wrote, all of b. Its error wraps ErrEncoding.
func DecodeTally(b []byte) (Tally, error) { return Tally{}, ErrEncoding }
