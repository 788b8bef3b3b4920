package analysis

import (
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// Kind is the kind of a mail or file that was taken in.
type Kind string

// Kinds. All but KindAggregate are set aside.
const (
	KindAggregate  Kind = "aggregate"  // it contains aggregate reports, perhaps none of ours
	KindTLS        Kind = "tls"        // a report of RFC 8460
	KindFailure    Kind = "failure"    // a failure report (RFC 6591, RFC 9991)
	KindBounce     Kind = "bounce"     // a delivery status notification
	KindOther      Kind = "other"      // ordinary mail
	KindTooLarge   Kind = "too_large"  // over analysis.limits; only its header is kept
	KindUnreadable Kind = "unreadable" // an actual or intended report that cannot be read
)

// Trust is what is known about the sender of a report (product: RFC 9990 section 3.5.2 asks
// for a DMARC pass).
type Trust string

// Trusts.
const (
	TrustAuthenticated Trust = "authenticated" // DMARC passed, or a signature aligns, for the organization of the report's e-mail address
	TrustAdmin         Trust = "admin"         // supplied by an admin
	TrustUnknown       Trust = "not_known"     // not checked
	TrustOtherName     Trust = "other_name"    // authenticated for another organization that no admin has accepted for it
	TrustFailed        Trust = "failed"        // checked, and DMARC did not pass
)

// Counts reports whether reports with that trust count in totals, alerts and advice.
func (t Trust) Counts() bool {
	return t == TrustAuthenticated || t == TrustAdmin || t == TrustUnknown
}

// rank orders trusts: a report replaces the same one of a lower rank.
func (t Trust) rank() int {
	switch t {
	case TrustAuthenticated, TrustAdmin:
		return 2
	case TrustUnknown:
		return 1
	}
	return 0
}

// Batch is the content of one transaction.
type Batch struct {
	Items  []Item
	Reader int // version of the reader that has read them, for Stale
	// Feeds are the states of feeds that change together with the items, such as the position in
	// a mailbox.
	Feeds []FeedState
}

// Item is one mail or file from a feed.
type Item struct {
	Feed string // name of the feed
	// Token identifies the item within its feed, so that it is stored once however often the feed
	// delivers it: a spool name, UIDVALIDITY and UID, a path and its digest. "" for none.
	Token   string
	TakenAt time.Time
	Name    string // path or file name, for people; "" for none
	From    string // address of the From field; "" for a file
	Subject string // "" for a file
	Kind    Kind
	Why     string // why it was set aside or cannot be read, for people
	Bytes   int64  // as received
	Digest  [32]byte
	Raw     []byte // the item compressed by gzip, kept if a report in it could not be read; nil for none
	Notes   []report.Note
	Reports []Report
	Origin  Origin // for reading Raw again; otherwise zero
}

// Origin is what was known about the sender of an item when it was taken in.
type Origin struct {
	Mail      bool     `json:"mail,omitempty"`      // it is a mail, whatever it looks like
	Admin     bool     `json:"admin,omitempty"`     // supplied by an admin
	Failed    bool     `json:"failed,omitempty"`    // its mail did not pass DMARC
	Auth      dns.Name `json:"auth,omitzero"`       // domain that authenticated it; zero for none
	Addresses []string `json:"addresses,omitempty"` // of ours that received it
}

// Status is the outcome for a report.
type Status string

// Statuses.
const (
	StatusStored    Status = "stored"    // its rows are kept; they count if its trust does
	StatusEmpty     Status = "empty"     // a report on a period without mail: it shows that the reporter is active
	StatusDuplicate Status = "duplicate" // the same again
	StatusDiffers   Status = "differs"   // the same again with other records: listed, not counted
	StatusReplaced  Status = "replaced"  // replaced by an authenticated one
	StatusAside     Status = "aside"     // not about a managed domain, or at somebody else's address
	StatusRefused   Status = "refused"   // unreadable
)

// Report is one aggregate report as received.
type Report struct {
	Domain     dns.Name // the managed domain that it belongs to; zero for none
	Policy     report.Published
	PCT        string // pct of RFC 7489 as sent
	Metadata   report.Metadata
	Dialect    report.Dialect
	Version    string
	FileName   string // of the attachment or archive entry; "" for none
	Recipient  string // the address of ours that received it; "" if not known
	AuthDomain dns.Name
	Trust      Trust
	Status     Status // StatusStored, StatusEmpty, StatusAside or StatusRefused as far as the reader knows; Ingest decides on the others
	Why        string // of StatusAside and StatusRefused, for people
	Flags      Flags
	Digest     [32]byte // of its records, see DigestRows
	Raw        []byte   // the XML compressed by gzip; nil for none
	RawBytes   int64    // of the XML
	Rows       []Row
	Nothing    int // records without mail
	Quarantine []report.RecordFault
	Sent       []Sent // of the head
	Notes      []report.Note
}

// Flags mark oddities of a report or a row.
type Flags uint16

// Flags. Their bits are stored.
const (
	FlagWorkedOutSPF     Flags = 1 << iota // SPF verdict missing; derived from auth_results and alignment
	FlagWorkedOutDKIM                      // likewise DKIM
	FlagContradictedSPF                    // verdict and auth_results contradict each other; the verdict counts
	FlagContradictedDKIM                   // likewise DKIM
	FlagForeignFrom                        // the From domain is not below the policy domain
	FlagLongPeriod                         // a period of over 31 days, not spread
	FlagFuture                             // a period that ends after the report was received
)

// Row is the mail of one record.
type Row struct {
	Number       int // of the record in its file, from 1
	Source       netip.Addr
	Count        int64
	Disposition  report.Disposition // "" for not told
	SPF, DKIM    report.DMARCResult // those that count; never ""
	Flags        Flags
	HeaderFrom   string
	EnvelopeFrom string // "" for not told, or null
	NullSender   bool
	EnvelopeTo   string
	Auth         *AuthSet // may be shared among rows; never nil
}

// Compliant reports whether the row's messages have an aligned pass.
func (r *Row) Compliant() bool {
	return r.SPF == report.DMARCPass || r.DKIM == report.DMARCPass
}

// AuthSet is the data that many rows share: the results themselves, the reasons, and the
// values that were sent differently.
type AuthSet struct {
	DKIM    []DKIMResult `json:"dkim,omitempty"`
	SPF     []SPFResult  `json:"spf,omitempty"`
	Reasons []Reason     `json:"reasons,omitempty"`
	Sent    []Sent       `json:"sent,omitempty"`
}

// Types of package report in the form that is stored and shown as JSON. Each converts to and
// from its namesake.
type (
	// DKIMResult is the outcome of one signature.
	DKIMResult struct {
		Domain      string        `json:"domain"`
		Selector    string        `json:"selector,omitempty"`
		Result      report.Result `json:"result"`
		HumanResult string        `json:"human_result,omitempty"`
	}
	// SPFResult is the outcome of SPF for one identity.
	SPFResult struct {
		Domain      string        `json:"domain"`
		Scope       report.Scope  `json:"scope,omitempty"`
		Result      report.Result `json:"result"`
		HumanResult string        `json:"human_result,omitempty"`
	}
	// Reason is why a row's disposition is not the published policy.
	Reason struct {
		Type    report.ReasonType `json:"type"`
		Comment string            `json:"comment,omitempty"`
	}
	// Sent is a value that was reinterpreted.
	Sent struct {
		Where string `json:"where"`
		Value string `json:"value"`
	}
)

// Day returns the UTC day of a report: that of its period's middle.
func (r *Report) Day() memory.Day { return MiddleDay(r.Metadata.Begin, r.Metadata.End) }

// Messages sums the messages of the rows.
func (r *Report) Messages() (messages, compliant int64) {
	for i := range r.Rows {
		messages += r.Rows[i].Count
		if r.Rows[i].Compliant() {
			compliant += r.Rows[i].Count
		}
	}
	return messages, compliant
}

// Classified is the outcome for one report of a batch.
type Classified struct {
	Item, Report int   // their indexes in the batch
	ID           int64 // of the report in the store
	Status       Status
	Of           int64 // the report that it is a duplicate of, differs from or has replaced; 0 for none
	Known        bool  // the item was stored before, under the same token; nothing was changed
}

// FeedState is the state of a feed, and its position.
type FeedState struct {
	Name    string    `json:"name"` // such as "milter", "folder", "imap:user@host/INBOX"
	Host    string    `json:"host"` // the daemon that runs it
	LastRun time.Time `json:"last_run,omitzero"`
	LastOK  time.Time `json:"last_ok,omitzero"`
	Error   string    `json:"error,omitempty"` // of the last run; "" if it went well
	Backlog int64     `json:"backlog"`         // items that wait
	Taken   int64     `json:"taken"`           // items since ever
	Cursor  string    `json:"-"`               // the feed's own
}
