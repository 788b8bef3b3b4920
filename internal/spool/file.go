package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
)

// File names: a draft is "draft-" plus a suffix, a mail is TIME-SERIAL-FEED.ATTEMPTS, and
// an unreadable one has ".damaged" appended.
const (
	draftPrefix   = "draft-"
	damagedSuffix = ".damaged"
)

// name is the file name of a mail.
type name struct {
	at       int64 // nanoseconds since 1970
	serial   uint64
	feed     string
	attempts int
}

func (n name) id() string { return fmt.Sprintf("%020d-%08d-%s", n.at, n.serial, n.feed) }

func (n name) String() string { return n.id() + "." + strconv.Itoa(n.attempts) }

func (n name) compare(o name) int {
	return cmp.Or(cmp.Compare(n.at, o.at), cmp.Compare(n.serial, o.serial))
}

func parseName(s string) (n name, ok bool) {
	id, attempts, ok := strings.Cut(s, ".")
	parts := strings.SplitN(id, "-", 3)
	if !ok || len(parts) != 3 || !validFeed(parts[2]) {
		return name{}, false
	}
	at, err1 := strconv.ParseInt(parts[0], 10, 64)
	serial, err2 := strconv.ParseUint(parts[1], 10, 64)
	tried, err3 := strconv.Atoi(attempts)
	if err1 != nil || err2 != nil || err3 != nil || tried < 0 {
		return name{}, false
	}
	return name{at: at, serial: serial, feed: parts[2], attempts: tried}, true
}

// A file is the mail, its metadata as JSON, and a trailer: the length of the JSON and its
// CRC-32C, four octets each, then magic.
const (
	magic       = "dmarcdS1"
	trailerSize = 8 + len(magic)
	maxMeta     = 1 << 20
)

var errTrailer = errors.New("no trailer")

func checksum(text []byte) uint32 { return crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)) }

func appendTrailer(b, text []byte) []byte {
	b = append(b, text...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	b = binary.BigEndian.AppendUint32(b, checksum(text))
	return append(b, magic...)
}

// readTrailer returns the text after the mail, and the mail's length.
func readTrailer(f io.ReaderAt, size int64) (text []byte, mail int64, err error) {
	var t [trailerSize]byte
	if size < int64(trailerSize) {
		return nil, 0, errTrailer
	}
	if _, err := f.ReadAt(t[:], size-int64(trailerSize)); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(t[:]))
	mail = size - int64(trailerSize) - n
	if string(t[8:]) != magic || n > maxMeta || mail < 0 {
		return nil, 0, errTrailer
	}
	text = make([]byte, n)
	if _, err := f.ReadAt(text, mail); err != nil {
		return nil, 0, err
	}
	if checksum(text) != binary.BigEndian.Uint32(t[4:]) {
		return nil, 0, errTrailer
	}
	return text, mail, nil
}

// syncDir makes renames in a directory permanent.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
