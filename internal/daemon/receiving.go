package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"dmarcd/internal/inbound"
	"dmarcd/internal/milter"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/intake"
	"dmarcd/internal/settings"
	"dmarcd/internal/spool"
)

// receiving takes in the reports that others send: by the milter, LMTP, IMAP, a watched folder, and
// from admins.
type receiving struct {
	settings func() *settings.Settings
	log      *slog.Logger
	store    analysis.Store
	spool    *spool.Spool
	path     *intake.Path
	feeds    *intake.Feeds
	tap      *inbound.ReportTap
	service  *intake.Service
	lmtp     *intake.LMTP // nil without a listener
	listener listener     // of lmtp
	recorder *recorder
}

// spoolDir returns the folder where received mails wait.
func spoolDir(config *settings.Settings) string { return filepath.Join(config.StateDir, "spool") }

// newReceiving opens the spool, and the socket for LMTP. After an error nothing stays open.
func newReceiving(d *Daemon) (*receiving, error) {
	config := d.settings.Load()
	waiting, err := spool.Open(spool.Config{Dir: spoolDir(config), Now: time.Now})
	if err != nil {
		return nil, startError(stateError(err))
	}
	r := &receiving{
		settings: d.settings.Load, log: d.log, store: d.recorder.store, spool: waiting, tap: inbound.NewReportTap(waiting, d.log), recorder: d.recorder,
		feeds: intake.NewFeeds(d.recorder.store, hostName(), time.Now, d.log),
	}
	r.path = intake.NewPath(intake.Config{
		Store: r.store, Settings: r.settings, Keys: d.resolver, Now: time.Now, Log: d.log, Busy: (&meter{count: d.messages}).busy,
		Bounced: func(ctx context.Context, mail []byte) error {
			_, err := d.reporting.pipeline.Bounce(ctx, mail)
			return err
		},
	})
	r.service = &intake.Service{Path: r.path, FeedList: r.feeds, Store: r.store, Settings: r.settings, Now: time.Now, Log: d.log}
	if err := r.listen(config); err != nil {
		return nil, startError(err)
	}
	return r, nil
}

// listen opens the socket for LMTP, if configured.
func (r *receiving) listen(config *settings.Settings) error {
	socket := config.Analysis.LMTP
	if socket.Socket == "" {
		return nil
	}
	a, err := milter.ParseAddress(socket.Socket)
	if err != nil {
		return fmt.Errorf("analysis.lmtp: %w", err)
	}
	opened, err := milter.Listen(a, socket.Mode, socket.Group)
	if err != nil {
		return fmt.Errorf("analysis.lmtp: %w", err)
	}
	r.listener = listener{Listener: opened, name: socket.Socket}
	r.lmtp = intake.NewLMTP(r.spool, r.settings, r.feed(intake.FeedLMTP), r.log)
	return nil
}

// feed returns a feed that uses the spool.
func (r *receiving) feed(name string) *intake.Feed {
	return r.feeds.Add(name, func() int64 { return int64(r.spool.Stats().Feeds[name]) })
}

// run works until ctx ends.
func (r *receiving) run(ctx context.Context) {
	var working sync.WaitGroup
	working.Go(func() { r.path.Run(ctx) })
	working.Go(func() { r.feeds.Run(ctx) })
	through := &intake.SpoolFeed{
		Spool: r.spool, Path: r.path, Log: r.log,
		Feeds:        map[string]*intake.Feed{intake.FeedMilter: r.feed(intake.FeedMilter)},
		TrustResults: func(feed string) bool { return feed == intake.FeedLMTP && r.settings().Analysis.LMTP.TrustResults },
	}
	if r.lmtp != nil {
		through.Feeds[intake.FeedLMTP] = r.feed(intake.FeedLMTP)
	}
	working.Go(func() { through.Run(ctx) })
	working.Go(func() { r.runFeeds(ctx) })
	working.Wait()
}

// serve serves LMTP until shutdown.
func (r *receiving) serve() error {
	if r.lmtp == nil {
		return nil
	}
	return r.lmtp.Serve(r.listener)
}

// shutdown completes mails in progress.
func (r *receiving) shutdown(ctx context.Context) {
	if r.lmtp == nil {
		return
	}
	if err := r.lmtp.Shutdown(ctx); err != nil {
		r.log.Warn("some mail by LMTP was cut off", "error", err.Error())
	}
}

// feedSettings are the settings of runFeeds.
type feedSettings struct {
	enabled bool
	folder  settings.ReportFolder
	imap    []settings.IMAP
}

func feedSettingsOf(s *settings.Settings) feedSettings {
	return feedSettings{enabled: s.Analysis.Enabled, folder: s.Analysis.Folder, imap: s.Analysis.IMAP}
}

// runFeeds runs the folder and the mailboxes, and restarts them when a reload has changed them.
func (r *receiving) runFeeds(ctx context.Context) {
	const look = time.Second
	for ctx.Err() == nil {
		current := r.settings()
		these := feedSettingsOf(current)
		running, cancel := context.WithCancel(ctx)
		var working sync.WaitGroup
		if these.enabled {
			r.startFeeds(running, &working, current)
		}
		for rest(ctx, look) {
			if next := r.settings(); next != current && !reflect.DeepEqual(feedSettingsOf(next), these) {
				break
			}
		}
		cancel()
		working.Wait()
	}
}

func (r *receiving) startFeeds(ctx context.Context, working *sync.WaitGroup, s *settings.Settings) {
	const every = 2 * time.Second
	most := func() int64 { return r.settings().Analysis.Limits.MailBytes }
	if f := s.Analysis.Folder; f.Path != "" {
		folder := &intake.Folder{
			Dir: s.Path(f.Path), TrustResults: f.TrustResults, Most: most, Every: every, Path: r.path, Feed: r.feeds.Add(intake.FeedFolder, nil), Now: time.Now,
		}
		working.Go(func() { folder.Run(ctx) })
	}
	for _, account := range s.Analysis.IMAP {
		for _, path := range []*string{&account.CAFile, &account.PasswordFile, &account.OAuthTokenFile} {
			if *path != "" {
				*path = s.Path(*path)
			}
		}
		box := &intake.IMAP{Account: intake.IMAPAccount{IMAP: account}, Most: most, Path: r.path, Store: r.store, Leads: r.recorder.leading, Now: time.Now}
		box.Feed = r.feeds.Add(box.Account.Name(), nil)
		working.Go(func() { r.recorder.asLeader(ctx, "imap", box.Run) })
	}
}

// messages returns the number of messages that the milter answered.
func (d *Daemon) messages() uint64 {
	if d.milter == nil {
		return 0
	}
	return d.milter.Stats().Messages
}

// meter reports whether a count has changed recently. It is safe for concurrent use.
type meter struct {
	count func() uint64

	mu   sync.Mutex
	last uint64
	at   time.Time
}

func (m *meter) busy() bool {
	const lately = 100 * time.Millisecond
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if n := m.count(); n != m.last {
		m.last, m.at = n, now
	}
	return now.Sub(m.at) < lately
}
