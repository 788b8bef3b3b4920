package policy

import (
	"dmarcd/internal/auth/dmarc"
)

// Reason is the cause of a decision: one word of a closed list, for logs, metrics and
// reports.
type Reason string

// Reasons.
const (
	ReasonPass         Reason = "pass"              // DMARC passed by the criteria in force
	ReasonSenderIP     Reason = "sender_ip_match"   // the client may, or may not, send for the From domain
	ReasonSPF          Reason = "spf"               // the standalone SPF check
	ReasonDKIM         Reason = "dkim"              // the standalone DKIM check
	ReasonForwarder    Reason = "trusted_forwarder" // failed, but came through a trusted forwarder
	ReasonARC          Reason = "arc"               // failed, but a trusted sealer saw it pass
	ReasonPolicy       Reason = "published_policy"  // failed; the slot of the sender's policy acted
	ReasonNoRecord     Reason = "no_record"         // no DMARC record
	ReasonEnforcedPeer Reason = "enforced_peer"     // an enforced peer failed
	ReasonTemperror    Reason = "temperror"         // DNS trouble left the result open
	ReasonMultipleFrom Reason = "multiple_from"     // no single author domain
	ReasonDisabled     Reason = "disabled"          // DMARC is off for the recipient's domain
	ReasonException    Reason = "exception"         // the client is on the exception list
	ReasonNotListed    Reason = "sender_not_listed" // the From domain is not on the senders list
	ReasonNullSender   Reason = "null_sender"       // skip_null_sender
	ReasonTrusted      Reason = "trusted_network"   // not inbound: trusted or local client
	ReasonLogin        Reason = "authenticated"     // not inbound: the client logged in
	ReasonNotOurs      Reason = "not_ours"          // no recipient is ours
	ReasonConflict     Reason = "mixed_recipients"  // recipients' settings disagree
	ReasonForged       Reason = "forged_fields"     // more forged fields than an MTA can be made to delete
)

// Reply is an SMTP answer other than success. The zero Reply is success.
type Reply struct {
	Code     int    // 550, 451 or 452
	Enhanced string // RFC 3463
	Text     string // one line of printable ASCII
}

// Decision is the action on a message for one recipient domain, and its cause.
type Decision struct {
	Action Action // action carried out
	Would  Action // what would be done in mode enforce; equal to Action there
	Reason Reason
	Rule   string // the key that decided, relative to the domain's entry, such as "dmarc.actions.reject"; "" if none did
	Reply  Reply  // for Reject and Defer; zero otherwise
	// Comment reports an override by ARC, in the form of RFC 8617 section 7.2.2; "" for
	// other reasons.
	Comment string
	// Evaluated means that DMARC ran: the message is stamped, recorded with its result
	// and counted in reports.
	Evaluated bool
	Ended     Ended        // an entry that would have counted, had it not ended
	Ran       Checks       // the standalone checks that ran
	Enforced  bool         // judged as an enforced peer
	Status    dmarc.Status // by the criteria in force; "" unless Evaluated
}

// Standalone reports whether a check beside DMARC intercepts: sender IP match, SPF or DKIM.
func (d *Decision) Standalone() bool {
	return d.Would != Bypass && (d.Reason == ReasonSenderIP || d.Reason == ReasonSPF || d.Reason == ReasonDKIM)
}

// Checks says which standalone checks ran.
type Checks struct{ SPF, DKIM bool }

// severity orders actions from the mildest to the strictest.
func severity(a Action) int {
	switch a {
	case Defer:
		return 1
	case Quarantine:
		return 2
	case Discard:
		return 3
	case Reject:
		return 4
	}
	return 0
}

// stricter is the stricter of two actions.
func stricter(a, b Action) Action {
	if severity(b) > severity(a) {
		return b
	}
	return a
}
