package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// memoryBytes of a draft stay in memory, so that most rejected mails never reach the disk.
	memoryBytes = 64 << 10
	// beginningBytes are kept of a mail over its limit: almost always the whole header.
	beginningBytes = 64 << 10
)

// Draft is an incoming mail. Only one goroutine may call its methods. A draft that is not
// committed must be aborted.
type Draft struct {
	spool *Spool
	limit int64
	size  int64  // octets written to the draft, kept or not
	kept  int64  // of those, in the file and in buf
	buf   []byte // not yet in the file
	file  *os.File
	err   error // the first error; nothing is kept after it
	ended bool
}

// Begin opens a draft. Of a mail of more than limit octets it keeps the beginning and sets
// Meta.TooLarge; 0 means no limit. An error, such as ErrFull, may be reported as late as
// Commit.
func (s *Spool) Begin(limit int64) *Draft {
	d := &Draft{spool: s, limit: limit}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		d.err = ErrClosed
	case s.mails >= s.config.MaxMails:
		d.err = ErrFull
	default:
		s.mails++
		return d
	}
	s.stats.Refused++
	d.ended = true
	return d
}

// Write adds to the mail, whose lines end in CRLF. It returns the error that Commit would
// return, so that a caller may stop early.
func (d *Draft) Write(p []byte) (int, error) {
	n := len(p)
	d.size += int64(n)
	if d.err != nil {
		return 0, d.err
	}
	if d.tooLarge() {
		d.keepBeginning()
		p = p[:min(int64(n), max(0, beginningBytes-d.kept))]
	}
	if err := d.spool.reserve(int64(len(p))); err != nil {
		d.fail(err)
		return 0, err
	}
	d.kept += int64(len(p))
	d.buf = append(d.buf, p...)
	if len(d.buf) > memoryBytes {
		d.flush()
	}
	if d.err != nil {
		return 0, d.err
	}
	return n, nil
}

func (d *Draft) tooLarge() bool { return d.limit > 0 && d.size > d.limit }

// keepBeginning discards everything but the beginning.
func (d *Draft) keepBeginning() {
	over := d.kept - beginningBytes
	if over <= 0 {
		return
	}
	if fromBuf := min(over, int64(len(d.buf))); fromBuf > 0 {
		d.buf = d.buf[:int64(len(d.buf))-fromBuf]
	}
	d.kept = beginningBytes
	d.spool.release(over)
	if inFile := d.kept - int64(len(d.buf)); d.file != nil {
		if err := d.file.Truncate(inFile); err != nil {
			d.fail(err)
			return
		}
		if _, err := d.file.Seek(inFile, 0); err != nil {
			d.fail(err)
		}
	}
}

// flush writes the buffer to the file.
func (d *Draft) flush() {
	if d.err != nil {
		return
	}
	if d.file == nil {
		f, err := os.CreateTemp(d.spool.config.Dir, draftPrefix)
		if err != nil {
			d.fail(err)
			return
		}
		d.file = f
	}
	if _, err := d.file.Write(d.buf); err != nil {
		d.fail(err)
		return
	}
	d.buf = d.buf[:0]
}

// Commit writes the mail and its metadata to disk, synced. The draft ends whatever it
// returns.
func (d *Draft) Commit(meta Meta) error {
	if d.err == nil && !validFeed(meta.Feed) {
		d.fail(fmt.Errorf("feed %q", meta.Feed))
	}
	meta.Size, meta.TooLarge = d.size, d.tooLarge()
	if meta.At.IsZero() {
		meta.At = d.spool.config.Now()
	}
	d.putTrailer(&meta)
	d.flush()
	if d.err == nil {
		d.publish(&meta)
	}
	if d.err != nil {
		d.Abort()
		return d.error()
	}
	return nil
}

// putTrailer appends the metadata to the mail.
func (d *Draft) putTrailer(meta *Meta) {
	if d.err != nil {
		return
	}
	text, err := json.Marshal(meta)
	if err != nil {
		d.fail(err)
		return
	}
	before := len(d.buf)
	d.buf = appendTrailer(d.buf, text)
	n := int64(len(d.buf) - before)
	if err := d.spool.reserve(n); err != nil {
		d.fail(err)
		return
	}
	d.kept += n
}

// publish syncs the file and renames it into place.
func (d *Draft) publish(meta *Meta) {
	n := d.spool.name(meta.Feed)
	err := d.file.Sync()
	if cerr := d.file.Close(); err == nil {
		err = cerr
	}
	path := filepath.Join(d.spool.config.Dir, n.String())
	if err == nil {
		err = os.Rename(d.file.Name(), path)
	}
	if err == nil {
		if err = syncDir(d.spool.config.Dir); err != nil {
			// A power cut may remove it, so it must not be promised.
			_ = os.Rename(path, d.file.Name())
		}
	}
	if err != nil {
		d.fail(err)
		return
	}
	d.ended = true
	d.spool.count(n.feed)
	d.spool.enqueue(entry{name: n, size: d.kept})
}

// Abort discards the draft. After Commit it does nothing.
func (d *Draft) Abort() {
	if d.ended {
		return
	}
	d.ended = true
	d.buf = nil
	if d.file != nil {
		d.file.Close()
		os.Remove(d.file.Name()) // the next Open removes what remains
	}
	d.spool.drop(d.kept, d.err != nil)
}

func (d *Draft) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.buf = nil
}

func (d *Draft) error() error {
	if d.err == nil || errors.Is(d.err, ErrFull) || errors.Is(d.err, ErrClosed) {
		return d.err
	}
	return fmt.Errorf("spool: %w", d.err)
}

// reserve allocates n octets of the spool's capacity.
func (s *Spool) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+n > s.config.MaxBytes {
		return ErrFull
	}
	s.bytes += n
	return nil
}

func (s *Spool) release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= n
}

// drop subtracts a draft of n octets from the counts.
func (s *Spool) drop(n int64, refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= n
	s.mails--
	if refused {
		s.stats.Refused++
	}
}

func (s *Spool) count(feed string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds[feed]++
}

// name returns the name of the next mail.
func (s *Spool) name(feed string) name {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return name{at: s.config.Now().UnixNano(), serial: s.serial, feed: feed}
}

// validFeed reports whether a feed's name can be part of a file name.
func validFeed(feed string) bool {
	const most = 100
	return feed != "" && len(feed) <= most && strings.Trim(feed, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
