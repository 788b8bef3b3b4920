package filter

import (
	"net/netip"

	"dmarcd/internal/auth/authres"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// Result is all that is known of a message at its end, and what to do with it.
type Result struct {
	Envelope  message.Envelope
	MessageID string        // as the message has it, printable, cut; "" if none
	Bypassed  policy.Reason // why the message was not judged, and bypassed the filter unstamped; "" if it was judged
	Verdict   policy.Verdict
	Domains   []DomainDecision // one for each distinct set of rules among the recipients
	Decision  policy.Decision  // the decision that is carried out
	Chosen    int              // index in Domains of that decision; -1 if none of them decided
	Rules     *policy.Rules    // the rules that decided; nil if none did: domains disagreed, forged fields, mail bypassed
	Remove    []authres.Ref    // forged fields, in the order to delete them
	Insert    []NewField       // each to the top of the message, in this order: the last ends up first
	Change    []ChangedField
	// Redirect is the address to which quarantined mail is redirected instead of our
	// recipients, which Replaced lists; "" for none.
	Redirect string
	Replaced []message.Address
	// Header is the header as received; nil for mail that was bypassed.
	Header   *message.Header
	Warnings []Warning // for the admin to look at; each appears once an hour at most
	Forged   int       // fields that claimed to be ours, as many as were found
	// Unrecovered reports that the true client behind a relay could not be read.
	Unrecovered bool
	// Dropped reports that a copy was kept and the message, which would be delivered
	// otherwise, is accepted and dropped. The Decision is unaffected.
	Dropped     bool
	DeferLapsed bool // DNS trouble has deferred this envelope for as long as it may
	ForgedKept  bool // removing them would cost the MTA too much; the message gets no field of ours
	PSL         bool // the governing record was found by the public suffix list
	lookupsCut  bool // more was asked than lookups holds

	tag string // what the decision puts before the Subject; "" for nothing
	// reportedIndex is the index in Domains of the decision that the result fields
	// report; -1 where DMARC ran for none.
	reportedIndex int

	lookups []lookup // DNS questions, in the order of the answers
}

// reported is the decision that the result fields describe; the zero DomainDecision where
// DMARC ran for no recipient domain.
func (o *Result) reported() DomainDecision {
	if o.reportedIndex < 0 {
		return DomainDecision{}
	}
	return o.Domains[o.reportedIndex]
}

// WarningKind is the subject of a Warning.
type WarningKind int

// Kinds of warnings.
const (
	WarnRelay   WarningKind = iota + 1 // a relay's field could not be read
	WarnPrivate                        // a client in a private network that nobody trusts
)

// Warning is something that an admin should look at.
type Warning struct {
	Kind    WarningKind
	Client  netip.Addr
	Network netip.Prefix // the relay's entry in client_ip_from
	Field   string       // the field, cut; "" if there is none
}

// DomainDecision is the decision for recipient domains with the same rules.
type DomainDecision struct {
	Domains  []dns.Name
	Rules    *policy.Rules
	Decision policy.Decision
}

// NewField is a header field of ours.
type NewField struct {
	Name  string
	Value string // with its leading space, folds as CRLF and a blank, without the last CRLF
	// redacted is Value without local parts; "" where it has none.
	redacted string
}

// QuarantineReason is the reason that the MTA's queue shows for held mail; "" unless the
// message is to be held.
func (o *Result) QuarantineReason() string {
	if o.Decision.Action != policy.Quarantine || o.Rules != nil && o.Rules.Quarantine.Method != policy.QuarantineHold {
		return ""
	}
	if !o.Decision.Evaluated || o.Decision.Standalone() {
		return "dmarcd: " + o.authorWord() + " (" + string(o.Decision.Reason) + ")"
	}
	return "dmarcd: DMARC " + string(o.Decision.Status) + " for " + o.authorWord() + " (" + string(o.Decision.Reason) + ")"
}

func (o *Result) authorWord() string {
	if d := o.Verdict.DMARC.Author; !d.IsZero() {
		return d.String()
	}
	return "an unreadable From"
}

// maxShown bounds what a record keeps of one remote value, in octets.
const maxShown = 200
