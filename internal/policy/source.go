package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// SourceID names the text of a policy: the beginning of a SHA-256 of its files. As text
// it is hexadecimal. The zero SourceID is none.
type SourceID [16]byte

func (id SourceID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String.
func (id SourceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what String wrote.
func (id *SourceID) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("%q is not the name of a policy: %d hexadecimal digits", b, hex.EncodedLen(len(id)))
	}
	_, err := hex.Decode(id[:], b)
	return err
}

// SourceFile is a file of a policy as it was read.
type SourceFile struct {
	Name string // its absolute path, which rules are reported with
	Text string
}

// Source is the text of a policy: its file first, then those that it takes in.
type Source []SourceFile

// ID names the text; the zero ID for no files. Files count in their order.
func (s Source) ID() SourceID {
	if len(s) == 0 {
		return SourceID{}
	}
	sum := sha256.New()
	for _, f := range s {
		fmt.Fprintf(sum, "%d %s %d ", len(f.Name), f.Name, len(f.Text))
		_, _ = io.WriteString(sum, f.Text) // never fails
	}
	return SourceID(sum.Sum(nil)[:len(SourceID{})])
}
