package intake

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
)

// compress returns octets as a gzip file.
func compress(b []byte, scratch *Scratch) ([]byte, error) {
	return compressStream(bytes.NewReader(b), scratch)
}

func compressStream(in io.Reader, scratch *Scratch) ([]byte, error) {
	var out bytes.Buffer
	z, err := scratch.writer(&out)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(z, in); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writer returns a new writer or reuses the previous one.
func (s *Scratch) writer(w io.Writer) (*gzip.Writer, error) {
	if s == nil {
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	}
	if s.gzip == nil {
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		s.gzip = z
		return z, err
	}
	s.gzip.Reset(w)
	return s.gzip, nil
}

// regzip converts an entry of a zip archive to a gzip file. It reuses the compressed data
// unless they are odd.
func regzip(f *zip.File, odd bool) ([]byte, error) {
	if odd || f.Method != zip.Deflate {
		in, err := f.Open()
		if err != nil {
			return nil, err
		}
		defer in.Close() //nolint:errcheck // opened for reading only
		return compressStream(&zipReader{in: in, note: func(string) {}}, nil)
	}
	raw, err := f.OpenRaw()
	if err != nil {
		return nil, err
	}
	out := bytes.NewBufferString("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
	if _, err := io.Copy(out, raw); err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(out.Bytes(), f.CRC32)
	return binary.LittleEndian.AppendUint32(b, uint32(f.UncompressedSize64)), nil
}

// WriteRaw writes a stored report or mail, unpacked.
func WriteRaw(w io.Writer, raw []byte) error {
	_, err := io.Copy(w, newInflater(bufio.NewReader(bytes.NewReader(raw)), false, func(string) {}, nil))
	return err
}
