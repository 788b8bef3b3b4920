package daemon

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/intake"
	"dmarcd/internal/settings"
)

// IntakeTrial reads reports in this process and stores nothing.
func IntakeTrial(config *settings.Settings) api.Asker {
	current := func() *settings.Settings { return config }
	service := &intake.Service{Settings: current, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	return api.Local{Viewer: api.Operator(), Service: &api.Service{Settings: current, Intake: service, Now: time.Now}}
}

// hostName returns the name that identifies this host's feeds.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// ownIntake takes reports into a store that no daemon uses.
type ownIntake struct {
	*intake.Service
	cancel  context.CancelFunc
	working sync.WaitGroup
}

func newOwnIntake(store analysis.Store, config *settings.Settings) *ownIntake {
	log := slog.New(slog.DiscardHandler)
	current := func() *settings.Settings { return config }
	path := intake.NewPath(intake.Config{Store: store, Settings: current, Now: time.Now, Log: log})
	feeds := intake.NewFeeds(store, hostName(), time.Now, log)
	o := &ownIntake{Service: &intake.Service{Path: path, FeedList: feeds, Store: store, Settings: current, Now: time.Now, Log: log}}
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	o.working.Go(func() { path.Run(ctx) })
	o.working.Go(func() { feeds.Run(ctx) })
	return o
}

func (o *ownIntake) close() {
	o.cancel()
	o.working.Wait()
}
