// Package memory defines what dmarcd remembers about mail: one Record for each judged
// message, its encoding, the DNS answers it is based on, and the Aggregate by which it is
// counted into a report to the sender's domain. It depends on no database.
//
// Nothing here holds a body. Local parts of addresses are kept only if the operator
// configures that (log.addresses).
package memory

import (
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Record is one judged transaction, as it is journaled, stored, explained and
// replayed. It is made once, before the MTA gets its answer, and never changed.
type Record struct {
	At         time.Time  // when the message began, UTC, in whole microseconds
	QueueID    string     // the MTA's name for the mail; "" if not known
	MessageID  string     // without its brackets, printable, cut; "" if there is none
	MTA        string     // the MTA's name and version, such as "Postfix 3.7.11"; "" if not known
	ClientIP   netip.Addr // zero if not known
	Helo       string     // as sent, cut
	NullSender bool
	// Sender is the host of MAIL FROM, or the whole address where local parts
	// are kept; "" for the null sender.
	Sender       string
	EnvelopeFrom dns.Name // domain of MAIL FROM; zero for the null sender or an invalid domain
	Recipients   []string // whole addresses, only where local parts are kept

	Verdict     policy.Verdict // the raw results, likewise without local parts
	DeferLapsed bool           // the envelope was deferred for as long as it may: policy.Facts.DeferExpired
	Forged      int            // fields that claimed to be ours
	ForgedKept  bool           // removing them would have cost the MTA too much: policy.MaxForgedDepth

	Decision policy.Decision // what was done with the message
	Chosen   int             // index in Outcomes of the decision carried out; -1 where none of them is
	Outcomes []Outcome       // one for each distinct set of rules among the recipients; at least one
	Added    []string        // header fields of ours, topmost first, unfolded
	Removed  []string        // forged ones, as NAME[INDEX], in the order removed
	Hold     string          // what the MTA's queue shows of held mail; "" if it is not held
	Redirect string          // where quarantined mail was redirected; "" if nowhere
	Tag      string          // what was put before the Subject; "" if nothing was
	Mixed    string          // mixed_recipients, where there are several Outcomes; "" otherwise

	// CarriesReport means that the message is a report, or goes only to an address for
	// reports: it never causes a report in return.
	CarriesReport bool
	// Dropped means that report mail was kept for the analysis, and dropped instead of
	// delivered (analysis.discard).
	Dropped bool
	PSL     bool // the record was found by the public suffix list (discovery: psl)

	Host    string          // the host that judged it, whose MTA holds held mail; "" in records before version 2
	Policy  policy.SourceID // the text of the policy in force; zero if not known
	LeftOut LeftOut         // what the record leaves out

	// Trace has the DNS answers used, for all failures and one in a hundred passes. Nil
	// for the others, and after retention.traces.
	Trace *Trace
}

// LeftOut counts the parts of a message that its record omits to stay small.
type LeftOut struct {
	Recipients int
	Domains    int // of recipients
	Removed    int // forged fields
	Added      int // fields of ours
	Terms      int // of SPF
	Hops       int // of ARC
}

// Outcome is the decision for recipient domains with the same rules.
type Outcome struct {
	Domains      []dns.Name // a zero Name means a recipient without a domain; empty if none known
	Decision     policy.Decision
	Mode         policy.Mode
	Criteria     policy.Criteria
	Quarantine   policy.QuarantineMethod
	DailyReports bool   // the domains' mail is counted in reports
	File         string // the file that contains the deciding rule; "" for a built-in one
	Line         int    // from 1; 0 where File is ""
}

// Facts is what rules use besides the verdict, for a replay.
func (r *Record) Facts() policy.Facts {
	return policy.Facts{ClientIP: r.ClientIP, NullSender: r.NullSender, QueueID: r.QueueID, Received: r.At, DeferExpired: r.DeferLapsed}
}
