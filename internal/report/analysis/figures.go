package analysis

import (
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report"
)

// Page is a part of a list.
type Page[T any] struct {
	Rows []T
	Next string // Query.After of the next page; "" where there are no more
}

// Counts are the figures of every view, in messages. Those whose disposition is not
// told are in none of the four.
type Counts struct {
	Messages    int64 `json:"messages"`
	Compliant   int64 `json:"compliant"`
	SPFAligned  int64 `json:"spf_aligned"`
	DKIMAligned int64 `json:"dkim_aligned"`
	None        int64 `json:"none"`
	Pass        int64 `json:"pass"`
	Quarantine  int64 `json:"quarantine"`
	Reject      int64 `json:"reject"`
}

// Add counts messages of one kind.
func (c *Counts) Add(messages int64, spf, dkim report.DMARCResult, disposition report.Disposition) {
	c.Messages += messages
	if spf == report.DMARCPass {
		c.SPFAligned += messages
	}
	if dkim == report.DMARCPass {
		c.DKIMAligned += messages
	}
	if spf == report.DMARCPass || dkim == report.DMARCPass {
		c.Compliant += messages
	}
	switch disposition {
	case report.DispositionNone:
		c.None += messages
	case report.DispositionPass:
		c.Pass += messages
	case report.DispositionQuarantine:
		c.Quarantine += messages
	case report.DispositionReject:
		c.Reject += messages
	}
}

// Plus is the sum of two.
func (c Counts) Plus(o Counts) Counts {
	return Counts{
		Messages: c.Messages + o.Messages, Compliant: c.Compliant + o.Compliant, SPFAligned: c.SPFAligned + o.SPFAligned,
		DKIMAligned: c.DKIMAligned + o.DKIMAligned, None: c.None + o.None, Pass: c.Pass + o.Pass,
		Quarantine: c.Quarantine + o.Quarantine, Reject: c.Reject + o.Reject,
	}
}

// OverviewRow is a managed domain.
type OverviewRow struct {
	Domain dns.Name `json:"domain"`
	Counts
	Reporters  int64     `json:"reporters"`
	LastReport time.Time `json:"last_report,omitzero"` // when the latest was received
}

// Level is how closely sources are told apart.
type Level string

// Levels.
const (
	LevelService Level = "service"
	LevelHost    Level = "host" // of a service
	LevelIP      Level = "ip"   // of a host
)

// SourceRow is a source: a service, a host of it or an address of that. Host and IP
// are "" at the levels above them; Host is "" too for an address without a name. Of
// SourceAbout, services have the name and kind alone, hosts nothing.
type SourceRow struct {
	Service string `json:"service"` // domain of the email service, or ServiceUnknown
	Label   Label  `json:"label"`
	Host    string `json:"host"`
	IP      string `json:"ip"`
	SourceAbout
	Counts
	FirstSeen memory.Day `json:"first_seen"`
	LastSeen  memory.Day `json:"last_seen"`
}

// TrendRow is a day.
type TrendRow struct {
	Day memory.Day `json:"day"`
	Counts
}

// Detail is a record, or what of it falls into the period.
type Detail struct {
	Day          memory.Day         `json:"day"`
	HeaderFrom   string             `json:"header_from"`
	Reporter     string             `json:"reporter"` // org_name as sent
	Service      string             `json:"service"`
	Host         string             `json:"host"`
	IP           string             `json:"ip"`
	Messages     int64              `json:"messages"`
	Compliant    int64              `json:"compliant"` // Messages or 0
	Disposition  report.Disposition `json:"disposition"`
	SPF          report.DMARCResult `json:"spf"`
	DKIM         report.DMARCResult `json:"dkim"`
	Reasons      []string           `json:"reasons"` // type, ": " and the comment
	Sentence     string             `json:"sentence"`
	Of           int64              `json:"of,omitempty"` // messages of the whole record, where its period is spread
	Domain       dns.Name           `json:"domain"`       // managed
	PolicyDomain string             `json:"policy_domain"`
	Policy       report.Policy      `json:"policy"` // published p
	Label        Label              `json:"label,omitempty"`
	EnvelopeFrom string             `json:"envelope_from,omitempty"`
	NullSender   bool               `json:"null_sender,omitempty"`
	EnvelopeTo   string             `json:"envelope_to,omitempty"`
	Auth         AuthSet            `json:"auth"`
	Flags        []string           `json:"flags,omitempty"` // names of Flags
	Trust        Trust              `json:"trust"`
	Report       int64              `json:"report"` // its number, for RawReport
	Record       int                `json:"record"` // its number in the report
	Begin        time.Time          `json:"begin"`
	End          time.Time          `json:"end"`
}

// Totals are what a filter chooses, in a line.
type Totals struct {
	Messages  int64     `json:"messages"`
	Reports   int64     `json:"reports"`
	Reporters int64     `json:"reporters"`
	Newest    time.Time `json:"newest,omitzero"` // when the latest report was received
	Failed    int64     `json:"failed"`          // reports that do not count for want of trust
	Differs   int64     `json:"differs"`         // and because they differ from one that does
	Attention int64     `json:"attention"`       // reports with quarantined records, or refused
	// Detail is the first day of which records are kept; before it rollups alone.
	Detail memory.Day `json:"detail,omitzero"`
}

// ReportsQuery asks for received reports.
type ReportsQuery struct {
	Query
	Status Status // "" for all
	Kind   Kind   // "" for all
	Trust  Trust  // "" for all
}

// Listed is a received report, or an item that holds none.
type Listed struct {
	ID          int64          `json:"id"`
	Received    time.Time      `json:"received"`
	Feed        string         `json:"feed"`
	Kind        Kind           `json:"kind"`
	Status      Status         `json:"status"`
	Why         string         `json:"why,omitempty"`
	Of          int64          `json:"of,omitempty"` // the report that it duplicates, differs from or replaces
	Domain      dns.Name       `json:"domain,omitzero"`
	Policy      string         `json:"policy_domain,omitempty"`
	Reporter    string         `json:"reporter,omitempty"`
	Email       string         `json:"email,omitempty"`
	ReportID    string         `json:"report_id,omitempty"`
	Begin       time.Time      `json:"begin,omitzero"`
	End         time.Time      `json:"end,omitzero"`
	Dialect     report.Dialect `json:"dialect,omitempty"`
	Trust       Trust          `json:"trust,omitempty"`
	Auth        dns.Name       `json:"auth_domain,omitzero"`
	Records     int64          `json:"records"`
	Messages    int64          `json:"messages"`
	Compliant   int64          `json:"compliant"`
	Quarantined int64          `json:"quarantined_records"`
	Flags       []string       `json:"flags,omitempty"`
	Raw         bool           `json:"raw"` // it is kept as received
	Name        string         `json:"name,omitempty"`
	From        string         `json:"from,omitempty"`
	Subject     string         `json:"subject,omitempty"`
	Notes       []string       `json:"notes,omitempty"`      // repairs and contradictions of the report
	ItemNotes   []string       `json:"item_notes,omitempty"` // of the mail or file around it
	Error       string         `json:"error,omitempty"`      // that the reporter tells
	SP          report.Policy  `json:"sp,omitempty"`         // as published
	NP          report.Policy  `json:"np,omitempty"`
	PCT         string         `json:"pct,omitempty"` // as sent
}

// ReporterRow is a reporter.
type ReporterRow struct {
	Reporter  string    `json:"reporter"`
	Email     string    `json:"email"`
	Auth      dns.Name  `json:"auth_domain,omitzero"`
	Trust     Trust     `json:"trust"`
	Reports   int64     `json:"reports"`
	Messages  int64     `json:"messages"`
	Notes     int64     `json:"notes"` // reports that needed repair
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
}

// Ingested is what ingesting a file, a mail or a report gave.
type Ingested struct {
	File        string   `json:"file"`
	Accepted    Accepted `json:"accepted"`
	Reports     int64    `json:"reports"`
	Records     int64    `json:"records"`
	Messages    int64    `json:"messages"`
	Compliant   int64    `json:"compliant"`
	Quarantined int64    `json:"quarantined_records"`
	Reason      string   `json:"reason"`
	Notes       []string `json:"notes"`
}

// Accepted is the short of it.
type Accepted string

// Words of Accepted.
const (
	AcceptedYes       Accepted = "yes"
	AcceptedNo        Accepted = "no"
	AcceptedEmpty     Accepted = "empty"
	AcceptedDuplicate Accepted = "duplicate"
	AcceptedDiffers   Accepted = "differs"
	AcceptedAside     Accepted = "aside"
)

// Accepted is the short of a status.
func (s Status) Accepted() Accepted {
	switch s {
	case StatusStored, StatusReplaced:
		return AcceptedYes
	case StatusEmpty:
		return AcceptedEmpty
	case StatusDuplicate:
		return AcceptedDuplicate
	case StatusDiffers:
		return AcceptedDiffers
	case StatusAside:
		return AcceptedAside
	}
	return AcceptedNo
}

// flagNames are the flags' words, by bit.
var flagNames = [...]string{
	"worked_out_spf", "worked_out_dkim", "contradicted_spf", "contradicted_dkim", "foreign_from", "long_period", "future",
}

// Names are the words of the flags that are set.
func (f Flags) Names() []string {
	var out []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}
