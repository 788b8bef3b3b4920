package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// decodeStrictly decodes one JSON value and rejects unknown fields.
func decodeStrictly(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}
