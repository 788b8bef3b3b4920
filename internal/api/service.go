package api

import (
	"context"
	"time"

	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
)

// Service is what operations work with. Fields are set once, before the first call; a
// nil one means that this process does not have the thing. It may be used from
// several goroutines.
type Service struct {
	Settings func() *settings.Settings // those in force
	Memory   Memory
	Daemon   Daemon // the running daemon
	Reports  outgoing.Service
	Received analysis.Store    // reports about our domains
	Intake   Intake            // of received reports
	DNS      analysis.Resolver // past every cache of ours
	Now      func() time.Time
}

// Memory is what is remembered of mail.
type Memory interface {
	// Find gives the records whose queue id or message-id (with or without its
	// brackets) is id, newest first, at most MaxFound; none is no error.
	Find(ctx context.Context, id string) ([]*memory.Record, error)
	// Records gives the records from since until before until, oldest first and
	// without their traces; a zero time is no bound. It ends with the first error of
	// yield, and returns that.
	Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error
	// Count says how many records Records would give, as nearly as is known quickly.
	Count(ctx context.Context, since, until time.Time) (int64, error)
}

// today is the UTC day of now.
func today(s *Service) memory.Day { return memory.DayOf(s.Now()) }

// MaxFound bounds the records that Find gives.
const MaxFound = 1000

// missing is the answer where the service lacks what an operation needs.
func missing(what string) error {
	return errkind.Errorf(errkind.Trouble, "this process has no %s", what)
}

// pageLimit is how many entries a page has that was asked for with a limit.
func pageLimit(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}
