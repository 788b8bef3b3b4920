package analysis

import (
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// Kind is what a mail or file that was taken in turned out to be.
type Kind string

// Kinds. All but KindAggregate are set aside.
const (
	KindAggregate  Kind = "aggregate"  // it holds aggregate reports, perhaps none of ours
	KindTLS        Kind = "tls"        // a report of RFC 8460
	KindFailure    Kind = "failure"    // a failure report (RFC 6591, RFC 9991)
	KindBounce     Kind = "bounce"     // a delivery status notification
	KindOther      Kind = "other"      // ordinary mail
	KindTooLarge   Kind = "too_large"  // over analysis.limits; its header alone is kept
	KindUnreadable Kind = "unreadable" // a report, or meant as one, that cannot be read
)

// Trust is what is known of who sent a report (product: RFC 9990 section 3.5.2 asks
// for a pass of DMARC).
type Trust string

// Trusts.
const (
	TrustAuthenticated Trust = "authenticated" // DMARC passed, or a signature aligns, for the organization of the report's e-mail address
	TrustAdmin         Trust = "admin"         // an admin gave it to us
	TrustUnknown       Trust = "not_known"     // nobody looked
	TrustOtherName     Trust = "other_name"    // authenticated for another organization, which no admin has accepted for it
	TrustFailed        Trust = "failed"        // looked at, and DMARC did not pass
)

// Counts tells whether reports of that trust are in totals, alerts and advice.
func (t Trust) Counts() bool {
	return t == TrustAuthenticated || t == TrustAdmin || t == TrustUnknown
}

// rank orders trusts: a report takes the place of the same one of a lower rank.
func (t Trust) rank() int {
	switch t {
	case TrustAuthenticated, TrustAdmin:
		return 2
	case TrustUnknown:
		return 1
	}
	return 0
}

// Batch is what is stored in one transaction.
type Batch struct {
	Items  []Item
	Reader int // version of the reader that has read them, for Stale
	// Feeds are the states of feeds that change together with the items, such as how
	// far a mailbox was read.
	Feeds []FeedState
}

// Item is one mail or file as a feed took it in.
type Item struct {
	Feed string // name of the feed
	// Token names the item within its feed, so that it is stored once however often
	// it is handed over: a spool name, UIDVALIDITY and UID, a path and its digest. ""
	// for none.
	Token   string
	TakenAt time.Time
	Name    string // path or file name, for people; "" for none
	From    string // address of the From field; "" for a file
	Subject string // "" for a file
	Kind    Kind
	Why     string // why it is set aside or cannot be read, for people
	Bytes   int64  // as it came
	Digest  [32]byte
	Raw     []byte // the item compressed by gzip, kept where a report in it could not be read; nil for none
	Notes   []report.Note
	Reports []Report
	Origin  Origin // for reading Raw again; else zero
}

// Origin is what was known of the sender of an item when it was taken in.
type Origin struct {
	Mail      bool     `json:"mail,omitempty"`      // it is a mail, whatever it looks like
	Admin     bool     `json:"admin,omitempty"`     // an admin gave it to us
	Failed    bool     `json:"failed,omitempty"`    // its mail did not pass DMARC
	Auth      dns.Name `json:"auth,omitzero"`       // domain that authenticated it; zero for none
	Addresses []string `json:"addresses,omitempty"` // of ours that it came to
}

// Status is what became of a report.
type Status string

// Statuses.
const (
	StatusStored    Status = "stored"    // its rows are kept; they count if its trust does
	StatusEmpty     Status = "empty"     // a report on a period without mail: a sign of life
	StatusDuplicate Status = "duplicate" // the same again
	StatusDiffers   Status = "differs"   // the same again with other records: listed, not counted
	StatusReplaced  Status = "replaced"  // an authenticated one has taken its place
	StatusAside     Status = "aside"     // not about a managed domain, or at somebody else's address
	StatusRefused   Status = "refused"   // it cannot be read
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
	Recipient  string // the address of ours that it came to; "" if not known
	AuthDomain dns.Name
	Trust      Trust
	Status     Status // StatusStored, StatusEmpty, StatusAside or StatusRefused as far as the reader knows; Ingest decides on the others
	Why        string // of StatusAside and StatusRefused, for people
	Flags      Flags
	Digest     [32]byte // of its records, see DigestRows
	Raw        []byte   // the XML compressed by gzip; nil for none
	RawBytes   int64    // of the XML
	Rows       []Row
	Nothing    int // records that tell of no mail
	Quarantine []report.RecordFault
	Sent       []Sent // of the head
	Notes      []report.Note
}

// Flags are what is odd in a report or a row.
type Flags uint16

// Flags. Their bits are stored.
const (
	FlagWorkedOutSPF     Flags = 1 << iota // no SPF verdict; worked out from auth_results and alignment
	FlagWorkedOutDKIM                      // likewise DKIM
	FlagContradictedSPF                    // verdict and auth_results contradict each other; the verdict counts
	FlagContradictedDKIM                   // likewise DKIM
	FlagForeignFrom                        // the From domain is not below the policy domain
	FlagLongPeriod                         // a period of over 31 days, not spread
	FlagFuture                             // a period that ends after it was received
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

// Compliant tells whether the row's messages have an aligned pass.
func (r *Row) Compliant() bool {
	return r.SPF == report.DMARCPass || r.DKIM == report.DMARCPass
}

// AuthSet is what is often the same in many rows: the results by themselves, the
// reasons, and the values that were sent in other words.
type AuthSet struct {
	DKIM    []DKIMResult `json:"dkim,omitempty"`
	SPF     []SPFResult  `json:"spf,omitempty"`
	Reasons []Reason     `json:"reasons,omitempty"`
	Sent    []Sent       `json:"sent,omitempty"`
}

// The types of package report that are kept, and shown, as JSON. Each can be
// converted from and to the one that it is named after.
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
	// Sent is a value that was read as another.
	Sent struct {
		Where string `json:"where"`
		Value string `json:"value"`
	}
)

// Day is the UTC day of a report: that of its period's middle.
func (r *Report) Day() memory.Day { return MiddleDay(r.Metadata.Begin, r.Metadata.End) }

// Messages counts what the rows tell of.
func (r *Report) Messages() (messages, compliant int64) {
	for i := range r.Rows {
		messages += r.Rows[i].Count
		if r.Rows[i].Compliant() {
			compliant += r.Rows[i].Count
		}
	}
	return messages, compliant
}

// Classified is what became of one report of a batch.
type Classified struct {
	Item, Report int   // their places in the batch
	ID           int64 // of the report in the store
	Status       Status
	Of           int64 // the report that it is a duplicate of, differs from or has replaced; 0 for none
	Known        bool  // the item was stored before, under the same token; nothing was changed
}

// FeedState is what is told of a feed, and where it goes on.
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
