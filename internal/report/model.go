package report

import (
	"net/netip"
	"time"
)

// Policy is what a domain owner requests in p=, sp= or np= (RFC 9989 section 4.7).
type Policy string

// The policies.
const (
	PolicyNone       Policy = "none"
	PolicyQuarantine Policy = "quarantine"
	PolicyReject     Policy = "reject"
)

// Disposition is what the reporter did with mail (RFC 9990 appendix A,
// ActionDispositionType).
type Disposition string

// The dispositions.
const (
	DispositionNone       Disposition = "none"       // no action
	DispositionPass       Disposition = "pass"       // no action: DMARC passed under an enforcing policy
	DispositionQuarantine Disposition = "quarantine" // failed, and marked or held
	DispositionReject     Disposition = "reject"     // failed, and refused
)

// DMARCResult is whether a mechanism had an aligned pass, as evaluated by DMARC and before
// any override. An unfinished check is a fail, because there is no other word.
type DMARCResult string

// The verdicts.
const (
	DMARCPass DMARCResult = "pass"
	DMARCFail DMARCResult = "fail"
)

// Result is the outcome of DKIM or SPF itself, regardless of DMARC (RFC 8601 sections 2.7.1
// and 2.7.2).
type Result string

// The results. Only SPF has ResultSoftfail.
const (
	ResultNone      Result = "none"
	ResultPass      Result = "pass"
	ResultFail      Result = "fail"
	ResultSoftfail  Result = "softfail"
	ResultPolicy    Result = "policy"
	ResultNeutral   Result = "neutral"
	ResultTemperror Result = "temperror"
	ResultPermerror Result = "permerror"
)

// Scope is the identity that SPF checked.
type Scope string

// The scopes. RFC 9990 has only ScopeMFrom; ScopeHelo comes from reports of RFC 7489.
const (
	ScopeMFrom Scope = "mfrom"
	ScopeHelo  Scope = "helo"
)

// AlignmentMode is the mode of adkim= or aspf=.
type AlignmentMode string

// The modes of alignment.
const (
	ModeRelaxed AlignmentMode = "r"
	ModeStrict  AlignmentMode = "s"
)

// Discovery is how the reporter found the policy record.
type Discovery string

// The discovery methods.
const (
	DiscoveryTreeWalk Discovery = "treewalk" // RFC 9989
	DiscoveryPSL      Discovery = "psl"      // RFC 7489
)

// ReasonType is why the disposition differs from the published policy (RFC 9990 section
// 3.1.6).
type ReasonType string

// The types of reasons. The last two are from RFC 7489: read, never written.
const (
	ReasonLocalPolicy      ReasonType = "local_policy"
	ReasonMailingList      ReasonType = "mailing_list"
	ReasonOther            ReasonType = "other"
	ReasonPolicyTestMode   ReasonType = "policy_test_mode"
	ReasonTrustedForwarder ReasonType = "trusted_forwarder"
	ReasonForwarded        ReasonType = "forwarded"
	ReasonSampledOut       ReasonType = "sampled_out"
)

// Dialect is the specification that a report follows.
type Dialect string

// The dialects.
const (
	DialectRFC9990 Dialect = "rfc9990"
	DialectRFC7489 Dialect = "rfc7489"
	DialectDraft   Dialect = "draft" // without a version: drafts before RFC 7489, and reporters that still follow them
)

// Report is one aggregate report: one receiver's data on one policy domain for one period.
type Report struct {
	Metadata Metadata
	Policy   Published
	Rows     []Row
	Dialect  Dialect // set by Parse; WriteXML always writes RFC 9990
}

// Metadata is the reporter and the period.
type Metadata struct {
	OrgName      string
	Email        string
	ExtraContact string // "" for none
	ReportID     string // without angle brackets
	// Begin and End are the first and the last second of the period, both included, as in the
	// file: a day is 00:00:00 to 23:59:59. UTC.
	Begin, End time.Time
	Error      string // error with the policy record, for people; "" for none
	Generator  string // name and version of the software; "" if not stated
}

// Published is the policy record as the reporter found it.
type Published struct {
	Domain      string        // the policy domain; A-labels in our output
	Discovery   Discovery     // "" if not stated
	P           Policy        // always present in our output
	SP, NP      Policy        // "" if not published
	ADKIM, ASPF AlignmentMode // "" if not stated, which means relaxed
	FO          string        // failure reporting options, such as "1:d"; "" if not stated
	Testing     bool          // t=y
}

// Row is a number of messages with the same properties.
type Row struct {
	SourceIP    netip.Addr
	Count       int64       // messages
	Disposition Disposition // "" if not stated
	DKIM, SPF   DMARCResult // aligned pass or not; "" if not stated, which counts as fail
	Reasons     []Reason

	HeaderFrom   string // the Author Domain
	EnvelopeFrom string // domain of MAIL FROM; "" if not stated or null
	NullSender   bool   // MAIL FROM was "<>": the element is present and empty
	EnvelopeTo   string // recipient domain; "" if not stated

	AuthDKIM []DKIMResult // best first, see RankDKIM
	AuthSPF  *SPFResult   // nil if not stated
}

// Reason is why a row's disposition differs from the published policy.
type Reason struct {
	Type    ReasonType
	Comment string // "" for none
}

// DKIMResult is the outcome of one signature.
type DKIMResult struct {
	Domain      string // d=
	Selector    string // s=; "" if not stated
	Result      Result
	HumanResult string // explanation for people; "" for none
}

// SPFResult is the outcome of SPF for one identity.
type SPFResult struct {
	Domain      string
	Scope       Scope // "" if not stated
	Result      Result
	HumanResult string // explanation for people; "" for none
}
