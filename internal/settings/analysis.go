package settings

import (
	"time"

	"dmarcd/internal/dns"
)

// Analysis is the intake and reading of the reports that others send us.
type Analysis struct {
	Enabled        bool
	Domains        []dns.Name // empty: those of the policy
	Addresses      []ReportAddress
	Discard        bool // drop report mail once it is taken in
	LMTP           LMTP
	Folder         ReportFolder
	SourceMap      string // files; "" for none; see Settings.Path
	MMDB           string
	FailureReports bool
	IMAP           []IMAP
	Alerts         Alerts
	Poll           time.Duration // how often the records of managed domains are queried
	Limits         AnalysisLimits
}

// ReportAddress is a recipient that gets reports.
type ReportAddress struct {
	// Address is a mailbox, or *@DOMAIN with DomainsByLocalPart.
	Address string
	// DomainsByLocalPart maps a local part, in lower case, to the domains whose reports
	// it receives; nil for a mailbox.
	DomainsByLocalPart map[string][]dns.Name
}

// LMTP is the socket that takes report mail by LMTP; no Socket means none.
type LMTP struct {
	Listen
	// TrustResults says that the mail has passed dmarcd, so that Authentication-Results
	// fields with our id are genuine.
	TrustResults bool
}

// ReportFolder is a watched folder; no Path means none.
type ReportFolder struct {
	Path         string // see Settings.Path
	TrustResults bool   // as in LMTP
}

// IMAPSecurity is how a connection to an IMAP server is kept private.
type IMAPSecurity string

// Ways to keep an IMAP connection private.
const (
	IMAPImplicit IMAPSecurity = "implicit" // TLS from the first octet
	IMAPStartTLS IMAPSecurity = "starttls"
	IMAPNone     IMAPSecurity = "none" // on loopback only
)

// IMAP is a mailbox that reports are fetched from.
type IMAP struct {
	Host   string
	Port   int
	TLS    IMAPSecurity
	CAFile string // "" for the system's; see Settings.Path
	User   string
	// Of PasswordFile and OAuthTokenFile one is set.
	PasswordFile   string
	OAuthTokenFile string
	Folder         string
	DoneFolder     string // where read mail is moved; "" leaves it
	Poll           time.Duration
	TrustResults   bool // as in LMTP
}

// Language is the language of mail to people.
type Language string

// Languages.
const (
	English  Language = "en"
	Japanese Language = "ja"
)

// Alerts are sent about received reports.
type Alerts struct {
	To                []string
	ByDomain          map[dns.Name]DomainAlerts
	Webhook           string // a URL; "" for none
	WebhookSecretFile string // key that signs webhook posts; "" for none; see Settings.Path
	Language          Language
}

// DomainAlerts are the alerts about one managed domain.
type DomainAlerts struct {
	To       []string
	Language Language // "" as in Alerts
}

// AnalysisLimits bound what one received mail may cost. None of them is zero.
type AnalysisLimits struct {
	MailBytes     int64 // of a mail as received
	ExpandedBytes int64 // of all that it unpacks to
	Ratio         int   // of unpacked to packed octets
	Entries       int   // files in one archive
	Records       int   // of one report
}
