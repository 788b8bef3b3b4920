package analysis

import (
	"context"
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
)

// Store stores received reports and answers questions about them. It is safe for concurrent
// use. Each write is one transaction.
type Store interface {
	Ingester
	Figures
	Reports
	Sources
	Admin
	Records
}

// Ingester stores what feeds take in.
type Ingester interface {
	// Ingest stores a batch and returns the outcome for each report in it. Figures change at once.
	// A unique key of the database detects duplicates, also within the batch. A new domain needs
	// no preparation.
	Ingest(ctx context.Context, b *Batch) ([]Classified, error)
	// KnownReports returns the reports that are stored under keys, as Settle takes them.
	KnownReports(ctx context.Context, keys [][32]byte) (map[[32]byte][]Known, error)
	// HasTokens returns which tokens of a feed are stored, so that items acknowledged late are not
	// read again.
	HasTokens(ctx context.Context, feed string, tokens []string) (map[string]bool, error)
	// Feed returns the state of a feed that this host runs; the zero state for a new one.
	Feed(ctx context.Context, host, name string) (FeedState, error)
	// SaveFeed stores the state of a feed when nothing is ingested.
	SaveFeed(ctx context.Context, f FeedState) error
	Feeds(ctx context.Context) ([]FeedState, error)
}

// Query is the question of a view.
type Query struct {
	Filter  Filter
	Managed []dns.Name // managed domains to answer about: the viewer's; nil for all, empty for none
	Limit   int        // of a page; the caller bounds it
	After   string     // where the page before ended; "" for the first
}

// Figures are the questions of views. The answers come from records. For days whose records
// retention has removed they come from rollups, if these suffice for the filter.
type Figures interface {
	// Overview returns a line for each managed domain with reports, by falling count
	// of messages that are not compliant, then by name.
	Overview(ctx context.Context, q Query) (Page[OverviewRow], error)
	// Sources returns a line for each source at a level, by falling count of messages, then by
	// name. Its label is that of the level: a service's label ignores exceptions by host and
	// network. A source that domains label differently has none.
	Sources(ctx context.Context, q Query, level Level) (Page[SourceRow], error)
	// Trend returns a line for each day with messages, in order.
	Trend(ctx context.Context, q Query) ([]TrendRow, error)
	// Details returns records, the latest day first.
	Details(ctx context.Context, q Query) (Page[Detail], error)
	// Export passes all records of Details to yield, which may use each only until it returns; an
	// error of yield ends it and is returned.
	Export(ctx context.Context, q Query, yield func(*Detail) error) error
	// Totals counts what the filter matches, for the line below its form.
	Totals(ctx context.Context, q Query) (Totals, error)
}

// Reports are the questions about single reports.
type Reports interface {
	// ListReports returns items and reports as received, the latest first. It applies domain,
	// period and reporter of the filter.
	ListReports(ctx context.Context, q ReportsQuery) (Page[Listed], error)
	// RawReport returns what was received for the report or item of that number.
	RawReport(ctx context.Context, id int64) (Raw, error)
	// Reporters returns a line for each reporter, by falling count of reports.
	Reporters(ctx context.Context, q Query) (Page[ReporterRow], error)
	// Stale returns stored originals that a reader before version has read, and reports that were
	// set aside, in order of number, from after on.
	Stale(ctx context.Context, version int, after int64, limit int) ([]Stale, error)
	// Reread replaces a report by the result of a newer reader. One that is stored, empty, refused
	// or aside is settled again; any other keeps its status.
	Reread(ctx context.Context, id int64, version int, r *Report) (Classified, error)
	// RereadItem replaces an item that is kept as a whole by the result of a newer reader, and
	// returns the outcomes of the reports that it did not yield before.
	RereadItem(ctx context.Context, id int64, version int, item *Item) ([]Classified, error)
}

// Sources are addresses that sent mail, and their names.
type Sources interface {
	// Unidentified returns addresses without an identity, those with the most recent mail first,
	// to some days; then those due for another look-up, in order of when they became due.
	Unidentified(ctx context.Context, now time.Time, limit int) ([]netip.Addr, error)
	// Identify stores the identities of addresses. The first identity of an address holds for all
	// its mail; a later one for reports whose day is its From or later. Figures follow.
	Identify(ctx context.Context, found []Identity) error
}

// Identity is what is known about the source at an address.
type Identity struct {
	Source  netip.Addr
	From    memory.Day // first day that it holds for, where it was another before
	Host    string     // forward-confirmed name; "" for none
	Claimed string     // name that its reverse record gives, confirmed or not; "" for none
	Service string     // domain of the email service; ServiceUnknown for none
	About   SourceAbout
	Unsure  bool      // the look-up failed: an identity that is known already stays, and only Again counts
	Again   time.Time // when to look again
}

// ServiceUnknown is the service of a source that is not identified.
const ServiceUnknown = "unknown"

// Admin stores the decisions of admins.
type Admin interface {
	// SetPair accepts mail that is authenticated for one organization as the reports of another,
	// or revokes that. Stored reports and figures follow.
	SetPair(ctx context.Context, p Pair) error
	Pairs(ctx context.Context) ([]Pair, error)
	// SetLabel labels a service of a domain, or an exception of it; LabelNone removes it.
	SetLabel(ctx context.Context, l LabelSet) error
	// Labels returns those of the managed domains; nil for all.
	Labels(ctx context.Context, managed []dns.Name) ([]LabelSet, error)
}

// Pair is a decision on reports under another name.
type Pair struct {
	Auth     dns.Name  `json:"auth_domain"`  // organizational domain that authenticated the mail
	Email    dns.Name  `json:"email_domain"` // organizational domain of the reports' e-mail address
	Accepted bool      `json:"accepted"`
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Reports  int64     `json:"reports"` // stored ones that it concerns; not for SetPair
}

// Label is an admin's classification of a source.
type Label string

// Labels.
const (
	LabelNone       Label = ""
	LabelAuthorised Label = "authorised"
	LabelForwarder  Label = "forwarder"
	LabelIgnore     Label = "ignore"
)

// LabelSet labels a service of a managed domain or, within it, a host or network.
type LabelSet struct {
	Domain  dns.Name     `json:"domain"`
	Service string       `json:"service,omitempty"` // one of Service, Host and Network is set
	Host    string       `json:"host,omitempty"`
	Network netip.Prefix `json:"network,omitzero"`
	Label   Label        `json:"label"`
	Note    string       `json:"note,omitempty"`
	By      string       `json:"by,omitempty"`
	At      time.Time    `json:"at,omitzero"`
}

// Records are the DNS records of managed domains, day by day.
type Records interface {
	// SaveSnapshot stores an observation, as a new entry if it differs from the last one of its
	// domain and kind, otherwise as seen again.
	SaveSnapshot(ctx context.Context, s Snapshot) error
	// Snapshots returns the latest of each domain and kind.
	Snapshots(ctx context.Context, managed []dns.Name) ([]Snapshot, error)
	// History returns those of a domain, the latest first.
	History(ctx context.Context, domain dns.Name, kind SnapshotKind, limit int) ([]Snapshot, error)
	// SetExpected stores the record that was generated for a domain; "" deletes it.
	SetExpected(ctx context.Context, domain dns.Name, record string, now time.Time) error
	// Expected returns it; "" for none.
	Expected(ctx context.Context, domain dns.Name) (string, error)
	// Selectors returns the selectors that count reports name for signatures of the
	// domain and names below it, since a day: the most used first.
	Selectors(ctx context.Context, domain dns.Name, since memory.Day, limit int) ([]Selector, error)
}

// SnapshotKind is which record was looked up.
type SnapshotKind string

// Kinds of snapshots.
const (
	SnapshotDMARC SnapshotKind = "dmarc"
	SnapshotSPF   SnapshotKind = "spf"
	SnapshotKey   SnapshotKind = "dkim"
	SnapshotAuth  SnapshotKind = "authorization" // <domain>._report._dmarc of one of our addresses
)

// Snapshot is the DNS answer for a name.
type Snapshot struct {
	Domain dns.Name     `json:"domain"` // managed
	Kind   SnapshotKind `json:"kind"`
	Name   string       `json:"name"`             // asked
	Value  string       `json:"value,omitempty"`  // record as found; "" for none
	Word   Word         `json:"word"`             // of SnapshotDMARC, what Verify says; else WordInEffect, WordMissing or WordUnknown
	First  time.Time    `json:"first,omitzero"`   // seen first
	Last   time.Time    `json:"last,omitzero"`    // and last
	Error  string       `json:"error,omitempty"`  // of WordUnknown
	Detail string       `json:"detail,omitempty"` // for people
}

// Word is what verifying a record gives.
type Word string

// Words.
const (
	WordInEffect Word = "in_effect"
	WordNotYet   Word = "not_yet" // another record than the expected one is seen
	WordMissing  Word = "missing" // no record, or none of our addresses in rua
	WordBroken   Word = "broken"
	WordUnknown  Word = "unknown" // it could not be looked up
)

// Selector is a DKIM selector that reports name.
type Selector struct {
	Domain   dns.Name `json:"domain"` // d=
	Selector string   `json:"selector"`
	Messages int64    `json:"messages"`
}

// Raw is what was received.
type Raw struct {
	ID       int64
	Name     string // file name for people
	Mail     bool   // a mail or file as taken in, which may hold several tenants' reports
	Domain   dns.Name
	Gzip     []byte // compressed; nil if it is not kept
	Received time.Time
	Digest   [32]byte // of the records of a report, see DigestRows; of an item as it came

	// Of a report.
	Trust     Trust
	Status    Status
	Auth      dns.Name // organizational domain that authenticated it; zero for none
	Recipient string   // the address of ours that it came to; "" if not known

	// Of an item.
	Feed   string
	Origin Origin
}

// Stale is a report, or an item that is kept as a whole, that may be read again.
type Stale struct {
	ID     int64
	Item   bool
	Reader int    // version of the reader that has read it
	Status Status // of a report
	Policy string // policy domain of a report as sent
}

// ErrNotFound: there is no report or item of that number.
var ErrNotFound = errkind.New(errkind.NotFound, "there is no such report")
