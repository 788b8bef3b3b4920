package spool

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Trust is what is known about the sender of a mail.
type Trust string

// Values of Trust.
const (
	NotKnown      Trust = "not_known"     // not checked
	Authenticated Trust = "authenticated" // DMARC passed for Meta.Author
	Failed        Trust = "failed"        // checked, and it did not pass
)

// Meta is the metadata of a mail.
type Meta struct {
	Feed      string     `json:"feed"`                 // how it came in: lower-case letters, digits, "_"
	At        time.Time  `json:"at"`                   // when it came in; Commit sets the current time if zero
	Trust     Trust      `json:"trust"`                // zero counts as NotKnown
	Author    string     `json:"author,omitempty"`     // the From domain, from the verdict; "" if unknown
	Addresses []string   `json:"addresses,omitempty"`  // those of our report addresses that received it
	QueueID   string     `json:"queue_id,omitempty"`   // the MTA's
	MessageID string     `json:"message_id,omitempty"` // printable, cut
	Client    netip.Addr `json:"client,omitzero"`      // who handed it over; zero if unknown
	Place     string     `json:"place,omitempty"`      // where the feed found it, such as a UID or a path; "" for none
	Size      int64      `json:"size"`                 // octets as received; set by Commit
	TooLarge  bool       `json:"too_large,omitempty"`  // over its limit, only the beginning was kept; set by Commit
}

// Item is a mail that was taken. Only one goroutine at a time may use its reader.
type Item struct {
	Meta Meta
	// ID identifies the mail while it is in the spool.
	ID string
	// Attempts counts how often it was taken before, across restarts.
	Attempts int

	spool *Spool
	entry entry
	file  *os.File
	kept  int64
}

// open reads the trailer of a mail and counts the attempt in its name, so that a mail that
// kills the process can be identified.
func (s *Spool) open(e entry) (*Item, error) {
	path := filepath.Join(s.config.Dir, e.name.String())
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, kept, err := readTrailer(f, e.size)
	item := &Item{ID: e.name.id(), Attempts: e.name.attempts, spool: s, entry: e, file: f, kept: kept}
	if err == nil {
		err = json.Unmarshal(text, &item.Meta)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	item.entry.name.attempts++
	if err := os.Rename(path, filepath.Join(s.config.Dir, item.entry.name.String())); err != nil {
		item.entry.name.attempts-- // on a read-only disk the count is lost
	}
	if item.Meta.Trust == "" {
		item.Meta.Trust = NotKnown
	}
	return item, nil
}

// Reader returns the mail from its beginning, lines ending in CRLF. It reads from disk and
// is valid until Ack or Release.
func (i *Item) Reader() *io.SectionReader { return io.NewSectionReader(i.file, 0, i.kept) }

// Ack removes a processed mail. A second call does nothing.
func (i *Item) Ack() error {
	if i.file == nil {
		return nil
	}
	i.file.Close()
	i.file = nil
	err := os.Remove(filepath.Join(i.spool.config.Dir, i.entry.name.String()))
	i.spool.forget(i.entry)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// Release returns the mail to the end of the queue. After Ack it does nothing.
func (i *Item) Release() {
	if i.file == nil {
		return
	}
	i.file.Close()
	i.file = nil
	i.spool.enqueue(i.entry)
}
