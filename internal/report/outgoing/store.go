package outgoing

import (
	"context"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
)

// ErrNotFound is wrapped by a Store where there is no such report or delivery.
var ErrNotFound = errkind.New(errkind.NotFound, "outgoing: not found")

// ByHand is the epoch of a person's request: it needs no leadership.
const ByHand int64 = 0

// Leader decides which of several daemons works.
type Leader interface {
	// Lead waits until this daemon leads and runs do, with a context that ends when
	// it leads no more. It returns when ctx ends or do does while leading.
	Lead(ctx context.Context, do func(ctx context.Context, epoch int64) error) error
}

// Source has the aggregates that aggregate reports are made of.
type Source interface {
	// CloseDays closes all days up to through: later aggregates are counted into the next
	// open day. A closed day that has not ended by today, because a clock was wrong, is
	// reopened. If there is a report on it, it remains the only one: its domain's later
	// aggregates are counted into the next day without a report.
	CloseDays(ctx context.Context, epoch int64, through, today memory.Day) (Progress, error)
	// Built notes that all reports up to day have been made, or are not to be. Before
	// the first closing of days it does nothing.
	Built(ctx context.Context, epoch int64, day memory.Day) error
	// CountDomains counts the policy domains with aggregates of a day.
	CountDomains(ctx context.Context, day memory.Day) (int, error)
	// CountUnreported counts the messages of days that are in no report.
	CountUnreported(ctx context.Context, first, last memory.Day) (int64, error)
	// Domains returns the domains after a name, in order of name; fewer than limit only
	// at the end.
	Domains(ctx context.Context, day memory.Day, after dns.Name, limit int) ([]DomainDay, error)
	// Policies returns the policy records that a domain had on a day, the one seen last
	// first, up to limit, and how many there were.
	Policies(ctx context.Context, day memory.Day, domain dns.Name, limit int) ([]PolicySeen, int, error)
	// Rows returns rows of a domain and day, each once, in a stable order, after a cursor
	// that is 0 at first; failed leaves out those with an aligned pass.
	Rows(ctx context.Context, day memory.Day, domain dns.Name, failed bool, after int64, limit int) ([]Counted, error)
}

// Queue keeps reports and their deliveries.
type Queue interface {
	// Add stores reports with their deliveries, all or none. Of a domain and day
	// that have a report already nothing is changed. It returns how many it stored.
	Add(ctx context.Context, epoch int64, reports []NewReport) (int, error)
	// AddFailure is Add for one failure report, within limits; false beyond them.
	AddFailure(ctx context.Context, r NewReport, limits Limits) (bool, error)
	// Claim takes up to limit deliveries that are due, each for this caller only until
	// lease. Those in except are left out in any case.
	Claim(ctx context.Context, epoch int64, now, lease time.Time, limit int, except []int64) ([]Task, error)
	// Complete notes the result of a claimed delivery, if the claim is still valid.
	Complete(ctx context.Context, t *Task, o *AttemptResult) (bool, error)
	// File is the file of a report; ErrNotFound if it is not kept any more.
	File(ctx context.Context, report int64) ([]byte, error)
	// Bounced makes the sent delivery of a Message-ID a failed one; false if there is
	// none.
	Bounced(ctx context.Context, n BounceNote) (bool, error)
}

// Archive is the part of the store for people's questions and commands.
type Archive interface {
	List(ctx context.Context, f Filter) ([]Report, error) // the newest first
	Report(ctx context.Context, id int64) (Report, error)
	// Find returns the ID of the report of a domain and day, or with a Report-ID.
	Find(ctx context.Context, domain string, day memory.Day, reportID string) (int64, error)
	// Requeue makes deliveries due now that are final, or due later. An error may come
	// after some of them; the number says how many.
	Requeue(ctx context.Context, r Requeue) (int, error)
	Suppress(ctx context.Context, s Suppression) error
	Unsuppress(ctx context.Context, target string) (bool, error)
	// Suppressions returns those after a place, newest first.
	Suppressions(ctx context.Context, now time.Time, r SuppressionsRequest) ([]Suppression, error)
	// Gauges counts deliveries in those states, and suppressions in force.
	Gauges(ctx context.Context, now time.Time, states []State) (Gauges, error)
	// Secret is a random value, the same for all daemons.
	Secret(ctx context.Context) ([]byte, error)
}

// Store is everything that is kept.
type Store interface {
	Leader
	Source
	Queue
	Archive
}

// Progress is how far the days are closed and reported.
type Progress struct {
	Closed memory.Day // nothing is counted into this day and those before it
	Built  memory.Day // the reports on this day and those before it were made

	Reopened memory.Day // the last of the days that were just opened again; 0 if none were
}

// DomainDay is a policy domain with aggregates of a day.
type DomainDay struct {
	Domain   dns.Name
	Messages int64
	Failed   int64 // of them, those without an aligned pass
	Reported bool  // a report was made
}

// PolicySeen is a policy record that mail of a day was judged by.
type PolicySeen struct {
	Record string
	PSL    bool
	Last   time.Time // when it was seen last
}

// Counted is a row and how many messages made it.
type Counted struct {
	Cursor   int64
	Key      []byte // of a report.Row
	Messages int64
}

// NewReport is a report to be stored. Its ID is not set yet.
type NewReport struct {
	Report
	File []byte // compressed; of a failure report, the mail with placeholders; nil with a Problem
}

// Task is a delivery that was claimed.
type Task struct {
	Report        Report // without its deliveries
	Delivery      Delivery
	Claim         int64  // which claim of the delivery this is
	SuppressedWhy string // why the destination is suppressed; "" if it is not
}

// AttemptResult is the result of a claimed delivery.
type AttemptResult struct {
	State     State
	Cause     Cause
	Error     string
	At        time.Time
	Due       time.Time  // of the next attempt, where State is waiting
	Uncounted bool       // the attempt was none: our own server is in trouble
	Verified  bool       // from now on
	Record    string     // the outside host's record
	Others    []Delivery // to be added to the report
	Suppress  string     // the address to be suppressed; "" for none
}

// BounceNote is what is noted about a bounced mail.
type BounceNote struct {
	MessageID string // without brackets
	Cause     Cause
	Error     string
	Suppress  bool // the destination
	At        time.Time
}

// Limits bound failure reports, over the last hour.
type Limits struct {
	Since   time.Time
	All     int
	PerHost int // to one host
}

// Requeue chooses deliveries to be tried again.
type Requeue struct {
	Now      time.Time
	Expires  time.Time
	Delivery int64 // this one; 0 for those of Report,
	Report   int64 // this one; 0 for those that Filter chooses
	Filter   Filter
	States   []State // those in one of these states only
}

// Gauges are the numbers of items in the store.
type Gauges struct {
	Deliveries map[State]int64 `json:"deliveries"`
	Suppressed int64           `json:"suppressed"`
}
