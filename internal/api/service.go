package api

import (
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
)

// Service holds what operations use. Fields are set once, before the first call; a nil one means
// that this process does not have it. It is safe for concurrent use.
type Service struct {
	Settings func() *settings.Settings // those in force
	Memory   memory.Reader
	Held     memory.HeldMail
	Policies memory.Policies
	Host     string // the name of this host, as records have it
	Daemon   Daemon // the running daemon
	Reports  outgoing.Service
	Received analysis.Store     // reports about our domains
	Intake   Intake             // of received reports
	DNS      analysis.Resolver  // past every cache of ours
	Services func() *source.Map // of email services; nil for none
	Accounts *account.Service   // who may use the console
	Now      func() time.Time
}

// maxFound bounds the messages with one id.
const maxFound = 1000

// missing is the answer if the service lacks what an operation needs.
func missing(what string) error {
	return errkind.Errorf(errkind.Trouble, "this process has no %s", what)
}

// today is the UTC day of now.
func today(s *Service) memory.Day { return memory.DayOf(s.Now()) }

// pageLimit returns the size of a page for a requested limit.
func pageLimit(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}
