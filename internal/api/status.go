package api

import (
	"context"
	"time"

	"dmarcd/internal/report/analysis"
)

// Daemon is the running daemon.
type Daemon interface {
	Status(ctx context.Context) Status
}

// StatusRequest asks for the Status.
type StatusRequest struct{}

// Status is the state of the running daemon.
type Status struct {
	Version string         `json:"version"`
	Started time.Time      `json:"started"`
	Mode    string         `json:"mode"`
	Files   []FileInForce  `json:"files"`  // none where the built-in ones are in force
	Faults  []Fault        `json:"faults"` // of the files on disk
	Sockets []SocketStatus `json:"sockets"`
	// Listening lists all open sockets and ports, including those of Sockets.
	Listening []string      `json:"listening"`
	Store     StoreStatus   `json:"store"`
	Journal   JournalStatus `json:"journal"`
	Reports   ReportsStatus `json:"reports"`
	// Analysis is the state of received reports.
	Analysis AnalysisStatus `json:"analysis"`
	Leader   bool           `json:"leader"` // of those that share the store
	// LeaderTasks are the tasks that run here because this daemon leads, by name.
	LeaderTasks []string `json:"leader_tasks,omitempty"`
	Held        int64    `json:"held"` // mail in the MTA's hold queue of this host, as far as is known
	// HeldSince is the time of the oldest held message.
	HeldSince           time.Time     `json:"held_since,omitzero"`
	UnmanagedRecipients int64         `json:"unmanaged_recipients"` // since the start
	Relays              []RelayStatus `json:"relays"`               // of client_ip_from
	Restart             []Restart     `json:"restart,omitempty"`    // keys that changed and wait for a restart
	Notes               []string      `json:"notes,omitempty"`      // what else an operator ought to know
}

// Restart is a key whose new value takes effect only after a restart.
type Restart struct {
	Key     string `json:"key"`
	InForce string `json:"in_force"`
	Waiting string `json:"waiting"`
}

// FileInForce is a file in force, as it was read.
type FileInForce struct {
	Path         string    `json:"path"`
	SHA256       string    `json:"sha256"`
	InForceSince time.Time `json:"in_force_since"`
}

// Fault is a fault in a file on disk.
type Fault struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Key     string `json:"key"`
	Message string `json:"message"`
}

// SocketStatus is a socket that the MTA connects to.
type SocketStatus struct {
	Socket      string `json:"socket"`
	Connections int    `json:"connections"` // open ones
}

// StoreStatus is the state of the store.
type StoreStatus struct {
	URL  string  `json:"url"` // without its password
	Up   bool    `json:"up"`
	LagS float64 `json:"lag_s"` // age of the oldest record that it does not have
}

// JournalStatus is the content of the journal.
type JournalStatus struct {
	Bytes   int64 `json:"bytes"`
	Records int64 `json:"records"` // that the store does not have, roughly
}

// ReportsStatus is the state of the reports that we send.
type ReportsStatus struct {
	Enabled bool  `json:"enabled"`
	Queued  int64 `json:"queued"`
	Failed  int64 `json:"failed"` // in the last week
}

// AnalysisStatus is the state of the reports that others send us.
type AnalysisStatus struct {
	Enabled bool                  `json:"enabled"`
	Feeds   []analysis.FeedState  `json:"feeds"`             // of this host
	Spooled int                   `json:"spooled"`           // mails that wait on disk
	Error   string                `json:"error,omitempty"`   // why the store did not take the last batch
	Records map[analysis.Word]int `json:"records,omitempty"` // managed domains by the state of their record; where this daemon leads
}

// RelayStatus counts the mail of a relay of client_ip_from since the start.
type RelayStatus struct {
	Network string `json:"network"`
	Read    uint64 `json:"read"`   // the true client was read
	Unread  uint64 `json:"unread"` // it could not be read
}

// DaemonStatus returns the state of the running daemon.
func DaemonStatus() Op[StatusRequest, Status] {
	return Op[StatusRequest, Status]{
		Name: "status", Summary: "What the running daemon is doing.",
		Role: RoleViewer, Scope: ScopeHost,
		Do: func(ctx context.Context, s *Service, _ Viewer, _ StatusRequest) (Status, error) {
			if s.Daemon == nil {
				return Status{}, missing("running daemon")
			}
			return s.Daemon.Status(ctx), nil
		},
	}
}
