// Package policy turns the facts about a message (Verdict) and the wishes of the
// recipient's domain (Rules) into an action (Decision). It is pure: no I/O, no context,
// no clock, no errors.
package policy

import (
	"net/netip"

	"dmarcd/internal/dns"
)

// Action is what may be done with a message.
type Action string

// The actions of the policy file. None of them weakens silently: an action that
// a place does not allow is a fault when the file is read.
const (
	Bypass     Action = "bypass"     // do not intercept
	Quarantine Action = "quarantine" // by the quarantine method
	Reject     Action = "reject"     // 550 at end of message
	Defer      Action = "defer"      // 4xx
	Discard    Action = "discard"    // 2xx and drop
)

// Mode says whether decisions are carried out.
type Mode string

// Modes. The zero Mode is not valid in complete Rules.
const (
	Enforce Mode = "enforce"
	Monitor Mode = "monitor" // evaluate, stamp, log, count; intercept nothing
)

// Criteria says what makes DMARC pass.
type Criteria string

// Criteria.
const (
	CriteriaRFC Criteria = "rfc" // RFC 9989: one aligned pass
	CriteriaHES Criteria = "hes" // the lenient words of Hosted Email Security
)

// Require says what an enforced peer must pass.
type Require string

// Requirements of an enforced peer.
const (
	RequireBoth   Require = "both"
	RequireEither Require = "either"
)

// PeerAction is the action on a failing enforced peer.
type PeerAction string

// Peer actions. The first three are a floor: the slot decides where it is stricter.
const (
	PeerBypass     PeerAction = "bypass"
	PeerQuarantine PeerAction = "quarantine"
	PeerReject     PeerAction = "reject"
	PeerSlot       PeerAction = "slot" // the action slot only
)

// NoRecordWhen says which mail without a DMARC record gets the no_record slot.
type NoRecordWhen string

// NoRecordWhen values.
const (
	NoRecordAlways          NoRecordWhen = "always"
	NoRecordUnauthenticated NoRecordWhen = "unauthenticated" // neither SPF nor DKIM passes for the From domain
)

// QuarantineMethod says how mail is quarantined.
type QuarantineMethod string

// Quarantine methods.
const (
	QuarantineHold     QuarantineMethod = "hold"     // the MTA's hold queue
	QuarantineHeader   QuarantineMethod = "header"   // marked for the mailbox filter
	QuarantineRedirect QuarantineMethod = "redirect" // sent to an address instead
)

// Rules is the whole policy of one managed domain. Complete Rules have every field set;
// the zero Rules are not usable. They are immutable once loaded and shared by pointer.
// Equal settings share one pointer: two domains whose *Rules are == have the same rules.
type Rules struct {
	Mode          Mode
	DMARC         DMARCRules
	SenderIPMatch []IPMatch
	SPF           SPFRules
	DKIM          DKIMRules
	Quarantine    QuarantineRules
}

// DMARCRules are the keys below `dmarc`.
type DMARCRules struct {
	Enabled               bool
	Criteria              Criteria
	Senders               DomainList // From domains to verify; All by default
	Exceptions            NetList    // clients that bypass DMARC
	EnforcedPeers         PeerList
	EnforcedPeerAction    PeerAction
	SkipNullSender        bool
	XHeader               bool // X-TM-Authentication-Results
	AuthenticationResults bool
	DailyReports          bool
	Actions               Slots
	NoRecordWhen          NoRecordWhen
	MultipleFrom          Action // Bypass, Quarantine or Reject
	ARC                   ARCRules
	TrustedForwarders     []Forwarder
	RejectText            Template
	TagSubject            string
	TagSigned             bool
	Notify                []string
}

// Slots are the actions for mail that fails, by what the sender's domain published.
type Slots struct {
	None       Action
	Quarantine Action
	Reject     Action
	NoRecord   Action
	Temperror  TemperrorAction
}

// TemperrorAction is the action on mail that cannot be judged because of DNS trouble.
type TemperrorAction string

// Temperror actions. A sender can choose a name whose DNS is broken: only by_policy and
// quarantine keep a forgery from passing that way in the end.
const (
	// TemperrorByPolicy bypasses where no policy could be read, or where mail that
	// fails the policy is let through anyway. Otherwise it defers, and quarantines
	// what was deferred for as long as may be.
	TemperrorByPolicy   TemperrorAction = "by_policy"
	TemperrorBypass     TemperrorAction = "bypass"
	TemperrorDefer      TemperrorAction = "defer" // then bypass
	TemperrorQuarantine TemperrorAction = "quarantine"
)

// ARCRules are the keys below `arc`.
type ARCRules struct {
	Enabled        bool
	TrustedSealers DomainList
}

// Forwarder is one trusted forwarder. Exactly one of the three is set.
type Forwarder struct {
	DKIM dns.Name // a verified signature of this domain
	SPF  dns.Name // an SPF pass for this domain
	IP   NetList  // a client in these networks
}

// IPMatch is one sender_ip_match entry: mail From Domain must come from Networks.
type IPMatch struct {
	Domain   DomainList
	Networks NetList
	Action   Action // Quarantine, Reject or Discard
}

// SPFRules are the keys of the standalone SPF check.
type SPFRules struct {
	Enabled bool
	Ignored IgnoredPeers
	XHeader bool
	Actions SPFActions
}

// IgnoredPeers are the senders that bypass the standalone SPF check.
type IgnoredPeers struct {
	Domains DomainList // of MAIL FROM
	Nets    NetList    // of clients
}

// Match reports whether a sender bypasses the check on a day; on day 0 ends are ignored.
// If not, ended is the latest end of an entry that matched, 0 for none.
func (p *IgnoredPeers) Match(domain dns.Name, client netip.Addr, on Day) (ok bool, ended Day) {
	byDomain, first := p.Domains.MatchOn(domain, on)
	byNet, second := p.Nets.MatchOn(client, on)
	if byDomain || byNet {
		return true, 0
	}
	return false, max(first, second)
}

// SPFActions has one action for each SPF result but pass.
type SPFActions struct {
	Fail, Softfail, Neutral, None, Permerror, Temperror Action
}

// DKIMRules are the keys of the standalone DKIM check.
type DKIMRules struct {
	Enabled        bool
	EnforcedPeers  DomainList
	XHeader        bool
	SkipNullSender bool
	Actions        DKIMActions
}

// DKIMActions has one action for each outcome of the standalone DKIM check but pass.
type DKIMActions struct {
	Fail, None, Temperror Action
}

// QuarantineRules say how quarantined mail is set apart.
type QuarantineRules struct {
	Method  QuarantineMethod
	Address string // for QuarantineRedirect
}
