package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"dmarcd/internal/spool"
)

// Names of the feeds that use the spool.
const (
	FeedMilter = "milter"
	FeedLMTP   = "lmtp"
)

// SpoolFeed takes mails of the milter and the LMTP listener from the spool.
type SpoolFeed struct {
	Spool *spool.Spool
	Path  *Path
	Feeds map[string]*Feed // by the name that mails have in the spool
	// TrustResults reports whether the mail of a feed has passed dmarcd.
	TrustResults func(feed string) bool
	Log          *slog.Logger
}

// Run takes mails until ctx ends or the spool is closed. A mail leaves the spool once it is
// stored.
func (s *SpoolFeed) Run(ctx context.Context) {
	for {
		item, err := s.Spool.Take(ctx)
		if err != nil {
			return
		}
		if err := s.put(ctx, item); err != nil {
			item.Release()
			return
		}
	}
}

func (s *SpoolFeed) put(ctx context.Context, item *spool.Item) error {
	m := &item.Meta
	name := m.QueueID
	if name == "" {
		name = m.MessageID
	}
	return s.Path.Put(ctx, Entry{
		Input:    Input{Feed: m.Feed, Token: item.ID, Name: name, At: m.At, Mail: true, TooLarge: m.TooLarge, Bytes: m.Size},
		Origin:   Origin{Trust: m.Trust, Author: m.Author, Addresses: m.Addresses, TrustResults: s.TrustResults != nil && s.TrustResults(m.Feed)},
		Attempts: item.Attempts,
		Open: func() ([]byte, error) {
			b, err := io.ReadAll(item.Reader())
			if err != nil {
				return nil, fmt.Errorf("intake: the spool cannot be read: %w", err)
			}
			return b, nil
		},
		Done: func(o ItemResult) { s.done(item, &o) },
	})
}

func (s *SpoolFeed) done(item *spool.Item, o *ItemResult) {
	feed := s.Feeds[item.Meta.Feed]
	if o.Err != nil {
		item.Release()
		if feed != nil && !errors.Is(o.Err, context.Canceled) {
			feed.Ran(o.Err)
		}
		return
	}
	if err := item.Ack(); err != nil { // it is known by its token when it comes again
		s.Log.Warn("a mail cannot be removed from the spool", "id", item.ID, "error", err.Error())
	}
	if feed != nil {
		if !o.Known {
			feed.Took(1)
		}
		feed.Ran(nil)
	}
}
