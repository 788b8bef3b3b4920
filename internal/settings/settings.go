// Package settings reads the configuration: dmarcd.yaml, which says how the daemon runs,
// and policy.yaml, which says what happens to mail. It defines every key of both files
// with its default, checks all of them, and returns complete, immutable Settings or every
// fault at once. It does not hold the live copy.
//
// YAML as these files use it:
//   - one document a file, UTF-8, with or without a byte order mark
//   - an empty file, and a key with nothing after it, mean the defaults
//   - aliases (*name) are followed; merge keys (<<) and tags (!name) are refused
//   - true and false are the only booleans
//   - words, numbers and text may be quoted or not
package settings

import (
	"io/fs"
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Settings is the whole configuration, complete and checked. It is never changed
// once it was handed out, and may be read from several goroutines.
type Settings struct {
	// File is the absolute path of dmarcd.yaml, "" when running without files.
	File string
	// Text is the content of File; no Data where File is "".
	Text Text
	// PolicyFile names policy.yaml as the `policy` key does; see Path.
	PolicyFile string
	Policy     Policy

	AuthServID        string   // RFC 8601 section 2.5
	RemoveAuthServIDs []string // ids of our other hosts
	Listen            []Listen // at least one
	StateDir          string   // absolute
	Store             string   // sqlite:PATH or postgres://USER@HOST/NAME
	StorePasswordFile string   // "" for none
	TrustedNetworks   policy.NetList
	SkipAuthenticated bool
	ClientIPFrom      []ClientIPSource
	Resolver          Resolver
	Discovery         Discovery
	Limits            Limits
	OnTrouble         OnTrouble
	HTTP              HTTP
	Log               Log
	Retention         Retention
	Reports           Reports
	Analysis          Analysis
	Notify            Notify
}

// Path returns the absolute form of a file that a key of dmarcd.yaml names: relative
// names are relative to that file's folder. "" stays "".
func (s *Settings) Path(name string) string {
	if name == "" {
		return ""
	}
	return beside(s.File, name)
}

// DailyReportsOff says that daily_reports of the policy has no effect, because reports
// are off; "" where they are on, or where no domain's mail would be counted.
func (s *Settings) DailyReportsOff() string {
	counted := s.Policy.Default.DMARC.DailyReports
	for _, r := range s.Policy.Domains {
		counted = counted || r.DMARC.DailyReports
	}
	if s.Reports.Enabled || !counted {
		return ""
	}
	return "daily_reports is on, but no report is sent: reports.enabled of dmarcd.yaml is false"
}

// Listen is one socket that the MTA connects to.
type Listen struct {
	Socket string      // inet:PORT@HOST, inet6:PORT@HOST, unix:PATH, local:PATH or systemd:NAME
	Mode   fs.FileMode // of a unix socket; 0 for other kinds
	Group  string      // of a unix socket; "" leaves the process's group
}

// ClientIPSource says where a trusted relay records the address of the true client.
type ClientIPSource struct {
	Relay netip.Prefix
	// Header is the field with the address; "" for the relay's Received field.
	Header string
}

// Resolver is how DNS is queried.
type Resolver struct {
	Servers      []string      // host:port; empty: those of /etc/resolv.conf
	Timeout      time.Duration // one try of one query
	Budget       time.Duration // all lookups of one message together
	CacheEntries int
}

// Discovery is how the DMARC record of a domain is found.
type Discovery string

// Ways of discovery.
const (
	DiscoveryTreeWalk Discovery = "treewalk" // RFC 9989 section 4.10
	DiscoveryPSL      Discovery = "psl"      // RFC 7489, by the public suffix list
)

// Limits bound what one message or client may cost. None of them is zero.
type Limits struct {
	Signatures   int   // DKIM signatures verified of one message
	HeaderBytes  int64 // octets of a message's header that are read
	HeaderFields int
	Connections  int // milter connections at a time
	RSABitsMin   int // RFC 8301 section 3.2
	RSABitsMax   int
}

// OnTrouble says what happens to mail when dmarcd itself fails.
type OnTrouble string

// Answers to trouble.
const (
	TroubleAccept OnTrouble = "accept"
	TroubleDefer  OnTrouble = "defer"
)

// HTTP is where the console, /healthz, /readyz and /metrics are served.
type HTTP struct {
	Listen        string // host:port; "" for none
	TLSCert       string // files, both or neither; see Settings.Path
	TLSKey        string
	Proxy         Proxy
	MetricsListen string // host:port for /metrics, /healthz and /readyz only; "" for none
}

// Loopback reports whether the console can be reached from this host only.
func (h *HTTP) Loopback() bool { return h.Listen == "" || isLoopback(h.Listen) }

// Proxy is the reverse proxy that terminates TLS and passes on the client's address.
type Proxy struct {
	// Header is the field whose last value is the client's address; "" for no proxy.
	Header string
	// Network is the proxy's own network; zero for no proxy.
	Network netip.Prefix
}

// LogLevel is how much is logged.
type LogLevel string

// Log levels.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// LogFormat is the form of a log line.
type LogFormat string

// Log formats.
const (
	FormatJSON LogFormat = "json"
	FormatText LogFormat = "text"
)

// Log is what is logged and how.
type Log struct {
	Level     LogLevel
	Format    LogFormat
	Addresses bool // local parts too
}

// Retention is how long data is kept.
type Retention struct {
	Messages   time.Duration
	Traces     time.Duration
	Aggregates time.Duration
	RawReports time.Duration
	Received   time.Duration // single records of received reports
	// ReceivedRollups is how long the daily sums of received reports are kept.
	ReceivedRollups time.Duration
	MaxBytes        int64 // of the store together
}

// Scope is which mail the reports to senders cover.
type Scope string

// Scopes of reports.
const (
	ScopeAll         Scope = "all"          // all evaluated mail
	ScopeFailureDays Scope = "failure_days" // the whole day if a message failed
	ScopeFailures    Scope = "failures"     // failing rows only
)

// Reports are the daily reports to senders' domains.
type Reports struct {
	Enabled      bool
	OrgName      string
	Email        string
	Contact      string
	At           TimeOfDay // UTC
	Scope        Scope
	SMTP         string // host:port
	Username     string // "" for no login
	PasswordFile string
	DKIM         ReportKey
	Exclude      policy.DomainList
	MinMessages  int
	Failure      FailureReports
}

// ReportKey signs the mails that carry reports. All three are set, or none.
type ReportKey struct {
	Domain   dns.Name
	Selector string
	KeyFile  string
}

// FailureReports are the reports of RFC 9991.
type FailureReports struct {
	Enabled bool
	PerHour int
}

// TimeOfDay is a time of every day, in minutes after midnight.
type TimeOfDay int

// Notify is how notifications of package policy are sent.
type Notify struct {
	SMTP     string // host:port
	From     string // "" only where the host's name makes no address
	Template string // text with %TOKENS%; "" for the built-in one
	// TemplateFile is the file that Template was read from; "" where it was written out.
	TemplateFile string
	PerHour      int
}
