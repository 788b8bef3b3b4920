package intake

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// FeedStore stores the states of feeds: a part of analysis.Store.
type FeedStore interface {
	Feed(ctx context.Context, host, name string) (analysis.FeedState, error)
	SaveFeed(ctx context.Context, f analysis.FeedState) error
}

// Feeds are the feeds of this host and their states. It is safe for concurrent use.
type Feeds struct {
	store FeedStore
	host  string
	now   func() time.Time
	log   *slog.Logger

	mu    sync.Mutex
	feeds map[string]*Feed
}

// NewFeeds returns an empty set that keeps its states in store.
func NewFeeds(store FeedStore, host string, now func() time.Time, log *slog.Logger) *Feeds {
	return &Feeds{store: store, host: host, now: now, log: log, feeds: map[string]*Feed{}}
}

// Feed is one of the feeds, with the state of its last run.
type Feed struct {
	set     *Feeds
	backlog func() int64 // nil where it is set

	mu      sync.Mutex
	state   analysis.FeedState
	loaded  bool
	changed bool
}

// Add returns the feed of that name. backlog counts waiting items; nil if the feed sets the
// number.
func (f *Feeds) Add(name string, backlog func() int64) *Feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.feeds[name] == nil {
		f.feeds[name] = &Feed{set: f}
		f.feeds[name].state = analysis.FeedState{Name: name, Host: f.host}
	}
	f.feeds[name].backlog = backlog
	return f.feeds[name]
}

// States returns the states of all feeds, by name.
func (f *Feeds) States() []analysis.FeedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []analysis.FeedState
	for _, one := range f.feeds {
		out = append(out, one.State())
	}
	slices.SortFunc(out, func(a, b analysis.FeedState) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// saveEvery is the interval at which changed states are stored.
const saveEvery = 10 * time.Second

// Run stores the states until ctx ends, and once more then.
func (f *Feeds) Run(ctx context.Context) {
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		f.save(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			f.save(last)
			return
		}
	}
}

// save stores states as far as the store accepts them; it retries later.
func (f *Feeds) save(ctx context.Context) {
	f.mu.Lock()
	feeds := slices.Collect(maps.Values(f.feeds))
	f.mu.Unlock()
	for _, one := range feeds {
		if err := one.load(ctx); err != nil {
			return
		}
		one.mu.Lock()
		state, changed := one.now(), one.changed
		one.changed = false
		one.mu.Unlock()
		if !changed {
			continue
		}
		if err := f.store.SaveFeed(ctx, state); err != nil {
			one.mu.Lock()
			one.changed = true
			one.mu.Unlock()
			return
		}
	}
}

// load adds the stored state of the feed, once.
func (f *Feed) load(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded {
		return nil
	}
	kept, err := f.set.store.Feed(ctx, f.state.Host, f.state.Name)
	if err != nil {
		return err
	}
	f.loaded = true
	f.state.Taken += kept.Taken
	if f.state.Cursor == "" {
		f.state.Cursor = kept.Cursor
	}
	if f.state.LastRun.IsZero() {
		f.state.LastRun, f.state.LastOK, f.state.Error = kept.LastRun, kept.LastOK, kept.Error
	}
	return nil
}

// now returns the state; the caller holds the lock.
func (f *Feed) now() analysis.FeedState {
	if f.backlog != nil {
		f.state.Backlog = f.backlog()
	}
	return f.state
}

// State returns the state of the feed.
func (f *Feed) State() analysis.FeedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now()
}

// Ran records that the feed has looked, and the error.
func (f *Feed) Ran(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.set.now()
	f.changed = true
	f.state.LastRun = at
	if err != nil {
		if f.state.Error == "" {
			f.set.log.Warn("a feed of received reports fails", "feed", f.state.Name, "error", err.Error())
		}
		f.state.Error = cut(text.Error(err))
		return
	}
	if f.state.Error != "" {
		f.set.log.Info("a feed of received reports works again", "feed", f.state.Name)
	}
	f.state.LastOK, f.state.Error = at, ""
}

// Took counts items that were taken in.
func (f *Feed) Took(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Taken += n
	f.changed = true
}

// Waits sets how many items wait.
func (f *Feed) Waits(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = f.changed || f.state.Backlog != n
	f.state.Backlog = n
}

// moved sets the position of the feed.
func (f *Feed) moved(cursor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Cursor = cursor
	f.changed = true
}
