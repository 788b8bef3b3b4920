package outgoing

import (
	"time"

	"dmarcd/internal/memory"
)

// Kind is the kind of a report.
type Kind string

// The kinds.
const (
	KindAggregate Kind = "aggregate" // RFC 9990
	KindFailure   Kind = "failure"   // RFC 9991
)

// State is the state of a delivery.
type State string

// The states. The first two are waiting, the others final until somebody requests a
// retry.
const (
	StateQueued      State = "queued"      // waits for its first or next attempt
	StateUnconfirmed State = "unconfirmed" // likewise; not yet known whether its host takes reports on the domain
	StateSent        State = "sent"        // the mail server has taken it
	StateFailed      State = "failed"      // refused for good, or bounced
	StateExpired     State = "expired"     // tried for two days
	StateSuppressed  State = "suppressed"  // the destination is suppressed
	StateUnverified  State = "unverified"  // the outside host does not request reports on the domain
	StateCapped      State = "capped"      // one organization requests too many mails
	StateReplaced    State = "replaced"    // the outside host named other addresses, which have deliveries of their own
)

// States lists all states.
func States() []State {
	return []State{StateQueued, StateUnconfirmed, StateSent, StateFailed, StateExpired, StateSuppressed, StateUnverified, StateCapped, StateReplaced}
}

// Waiting reports whether a delivery in that state will be tried.
func (s State) Waiting() bool { return s == StateQueued || s == StateUnconfirmed }

// Cause says in one word why a delivery was not sent, or not yet.
type Cause string

// The causes. The zero Cause means that there was no trouble.
const (
	CauseServer     Cause = "server"     // our mail server, or our login there
	CauseTemporary  Cause = "temporary"  // refused for now
	CauseTimeout    Cause = "timeout"    // the server did not answer
	CausePolicy     Cause = "policy"     // the server does not let us send there, such as by relaying
	CauseDNS        Cause = "dns"        // the query about the outside host failed
	CauseRefused    Cause = "refused"    // the destination was refused for good
	CauseContent    Cause = "content"    // the mail was refused for good, not the destination
	CauseTooLarge   Cause = "too_large"  // larger than the server takes
	CauseBounced    Cause = "bounced"    // it bounced
	CauseUnverified Cause = "unverified" // the outside host does not request reports
	CauseSuppressed Cause = "suppressed"
	CauseCapped     Cause = "capped" // one organization requests too many mails
	CauseMail       Cause = "mail"   // no mail could be made
)

// Report is one report, as it is shown.
type Report struct {
	ID        int64      `json:"id"`
	Kind      Kind       `json:"kind"`
	Domain    string     `json:"domain"` // the policy domain
	Day       memory.Day `json:"day"`    // of the mail it is about; of a failure report, the day it was made
	ReportID  string     `json:"report_id"`
	FileName  string     `json:"file_name,omitempty"`
	Subject   string     `json:"subject"`
	OrgName   string     `json:"org_name,omitempty"` // as in the file
	Email     string     `json:"email,omitempty"`    // likewise
	Made      time.Time  `json:"made"`
	Messages  int64      `json:"messages"`
	Rows      int64      `json:"rows"`
	Octets    int64      `json:"octets"`            // of the compressed file; of a failure report, of the mail
	Stored    bool       `json:"stored"`            // the file is still there
	Note      string     `json:"note,omitempty"`    // the report's remark on the policy record
	Problem   string     `json:"problem,omitempty"` // why there is no file
	Delivered []Delivery `json:"deliveries"`
}

// Delivery is a report on its way to one address.
type Delivery struct {
	ID        int64     `json:"id"`
	To        string    `json:"to"`
	State     State     `json:"state"`
	Cause     Cause     `json:"cause,omitempty"`
	Error     string    `json:"error,omitempty"` // of the last attempt
	Attempts  int       `json:"attempts"`
	Due       time.Time `json:"due,omitzero"`     // of the next attempt
	Expires   time.Time `json:"expires"`          // when it is given up
	Sent      time.Time `json:"sent,omitzero"`    // when the server took it
	MessageID string    `json:"message_id"`       // without brackets
	Verified  bool      `json:"verified"`         // the host is the domain's own, or has requested the reports
	Record    string    `json:"record,omitempty"` // of an outside host: its record
}

// Suppression is an address or a host that gets no reports.
type Suppression struct {
	Target         string    `json:"target"` // an address, or a host name for all its addresses
	Reason         string    `json:"reason"`
	ByHand         bool      `json:"by_hand"`
	Since          time.Time `json:"since"`
	Until          time.Time `json:"until,omitzero"`  // zero: no end
	AutomaticCount int       `json:"automatic_count"` // how often dmarcd itself suppressed it
	Active         bool      `json:"active"`
}

// Filter chooses reports. Zero fields choose nothing out.
type Filter struct {
	Kind   Kind        `json:"kind,omitempty"`
	Domain string      `json:"domain,omitempty"` // the policy domain
	Since  *memory.Day `json:"since,omitempty"`  // this day and later
	Until  *memory.Day `json:"until,omitempty"`  // this day and earlier
	State  State       `json:"state,omitempty"`  // with a delivery in that state
	To     string      `json:"to,omitempty"`     // with a delivery to that address
	Before int64       `json:"before,omitempty"` // with a smaller ID: the next page
	Limit  int         `json:"limit,omitempty"`  // 0 for 100, at most 1000
}

// Most reports, or suppressions, of one answer.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func (f Filter) bounded() Filter {
	f.Limit = boundedLimit(f.Limit)
	return f
}

func boundedLimit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}
