package memory

import (
	"context"
	"net/netip"
	"time"

	"dmarcd/internal/dns"
)

// Reader reads stored records. Its methods may be called from several goroutines at once.
type Reader interface {
	// Find returns the messages with a queue id or a message-id (with or without its
	// brackets), newest first, with their traces; none is no error.
	Find(ctx context.Context, id string, limit int) ([]Record, error)
	// Search returns messages, newest first.
	Search(ctx context.Context, q Query) (Page, error)
	// Records calls yield with the messages from since to before until, oldest first and
	// without their traces. yield may keep them; its error ends the iteration and is
	// returned. A zero time is no bound.
	Records(ctx context.Context, since, until time.Time, yield func(*Record) error) error
	// Count estimates quickly how many messages Records would return.
	Count(ctx context.Context, since, until time.Time) (int64, error)
}

// HeldMail reads what is known about mail in the hold queues of MTAs.
type HeldMail interface {
	// CountHeld counts the mail held on a host, "" for all, and returns since when the
	// oldest is held.
	CountHeld(ctx context.Context, host string) (n int64, oldest time.Time, err error)
	// Unhold notes that a message has left the hold queue; false if it did not wait.
	Unhold(ctx context.Context, key int64) (bool, error)
}

// Query selects the messages that match all of its set fields. The zero Query is all
// messages.
type Query struct {
	Key       int64 // the one with this key; 0 for any
	QueueID   string
	MessageID string       // with or without brackets
	From      dns.Name     // of the author
	Rcpt      dns.Name     // of a recipient
	Domain    dns.Name     // of the author, the envelope sender or a recipient
	Client    netip.Prefix // the client's network, or its address as one
	Held      bool         // waits in the MTA's hold queue
	Host      string       // of Held: on this host, or where the host is not known
	// Recipients restricts the search to mail for any of these domains. It is for users
	// who may see no others. nil is no restriction, an empty list finds nothing.
	Recipients []dns.Name
	Action     string // what was done
	Result     string // what DMARC found; "-" for mail that it did not run on
	Since      time.Time
	Until      time.Time     // before this
	Before     int64         // only keys smaller than this: Next of the page before; 0 for the first page
	Limit      int           // at most 10,000; 0 for 100
	Within     time.Duration // the search stops after this time, at the end of a day of mail; 0 is no bound
	Traces     bool          // return traces with the records
}

// Found is a message as it was found.
type Found struct {
	Key    int64 // identifies the message permanently; a later message has a greater key
	Record *Record
	Held   bool // it waits in the MTA's hold queue still, as far as is known
}

// Page is the result of a search.
type Page struct {
	Found []Found // newest first; may be fewer than the limit where the time was over
	Next  int64   // Query.Before of the page after this one; 0 if there is none
}
