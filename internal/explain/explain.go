// Package explain explains one stored message: what was done with it and why, what SPF,
// DKIM, DMARC and ARC found and on what grounds, which rule of which file decided for
// each recipient domain, what an administrator can do about it, and what to tell the
// sender. It is pure: a Record goes in, an Explanation comes out, as JSON by its fields
// or as text, in English or Japanese.
//
// Much of a record is foreign text. An Explanation holds it unchanged; WriteText makes it
// safe for a terminal, and writers of JSON or HTML do so themselves (package text).
package explain

import (
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// Explanation is everything known about a message. The names of its JSON fields and their
// words are stable, and the same as in the log (docs/json.md); texts, such as Headline
// and every "text" and "means", are for people and may change.
type Explanation struct {
	Language   Language `json:"language"`
	Headline   string   `json:"headline"`              // what happened, and why, in one sentence
	TellSender string   `json:"tell_sender,omitempty"` // for a reply to the sender: no recipient, no setting
	Action     string   `json:"action"`                // what was done: bypass, quarantine, reject, defer or discard
	Would      string   `json:"would"`                 // what would have been done in mode enforce
	Reason     string   `json:"reason"`
	Offline    bool     `json:"offline,omitempty"`  // judged by a command: nothing was done with it
	Bypassed   bool     `json:"bypassed,omitempty"` // not judged, for Reason
	Message    Message  `json:"message"`
	SPF        SPF      `json:"spf"`
	DKIM       []DKIM   `json:"dkim"` // one for each signature, in header order
	// UncheckedSignatures counts those over limits.signatures, which DKIM leaves out.
	UncheckedSignatures int   `json:"unchecked_signatures,omitempty"`
	DMARC               DMARC `json:"dmarc"`
	ARC                 *ARC  `json:"arc,omitempty"` // where a recipient domain uses it
	// Decisions has one for each distinct set of rules among the recipients.
	Decisions []Decision `json:"decisions"`
	// Mixed says how the answer was chosen where the recipients' domains disagreed; ""
	// where they did not.
	Mixed    string   `json:"mixed_recipients,omitempty"`
	Added    []string `json:"added"`   // our header fields, topmost first, unfolded
	Removed  []string `json:"removed"` // forged ones, as NAME[INDEX]
	Changed  []string `json:"changed,omitempty"`
	Forged   int      `json:"forged"` // fields that claimed to be ours
	Reply    string   `json:"reply,omitempty"`
	Hold     string   `json:"hold,omitempty"`        // what the MTA's queue shows of held mail
	Redirect string   `json:"redirect,omitempty"`    // where it was redirected
	Tag      string   `json:"subject_tag,omitempty"` // what was put before its Subject
	Commands []Held   `json:"commands,omitempty"`    // for held mail, by MTA
	DNS      DNS      `json:"dns"`
	Hints    []Hint   `json:"hints"`
}

// Message is the message's envelope and header.
type Message struct {
	At         time.Time `json:"at"`
	QueueID    string    `json:"queue_id,omitempty"`
	MessageID  string    `json:"message_id,omitempty"`
	MTA        string    `json:"mta,omitempty"`
	Client     string    `json:"client,omitempty"` // its address
	Helo       string    `json:"helo,omitempty"`
	MailFrom   string    `json:"mail_from,omitempty"`  // host of MAIL FROM, or the address where those are kept; "<>" for the null sender
	From       []string  `json:"from"`                 // domains of the From field
	Rcpt       []string  `json:"rcpt"`                 // domains of the recipients
	Recipients []string  `json:"recipients,omitempty"` // their addresses, where they are kept
	Report     bool      `json:"carries_report,omitempty"`
}

// SPF is the outcome of SPF.
type SPF struct {
	Result      string `json:"result"`
	Domain      string `json:"domain,omitempty"`
	Identity    string `json:"identity,omitempty"` // mailfrom or helo
	Mechanism   string `json:"mechanism,omitempty"`
	Walk        []Term `json:"walk,omitempty"`
	WalkCut     bool   `json:"walk_cut,omitempty"`
	Lookups     int    `json:"lookups"` // of at most 10
	Voids       int    `json:"void_lookups"`
	Explanation string `json:"explanation,omitempty"`
	Alignment   string `json:"alignment,omitempty"` // aligned, unaligned or unknown
	Error       string `json:"error,omitempty"`
	Means       string `json:"means"`
	Aligns      string `json:"aligns,omitempty"` // explains the alignment
}

// Term is one term of an SPF record that was evaluated.
type Term struct {
	Domain  string `json:"domain"` // domain of the record that contains it
	Term    string `json:"term"`
	Depth   int    `json:"depth"`
	Outcome string `json:"outcome"`          // match, no match or error
	Result  string `json:"result,omitempty"` // of the record that it leads to
	Target  string `json:"target,omitempty"` // the name looked up; "" where it is made from a local part
	Private bool   `json:"private,omitempty"`
}

// DKIM is the outcome for one signature.
type DKIM struct {
	Result    string `json:"result"`
	Domain    string `json:"domain,omitempty"`
	Selector  string `json:"selector,omitempty"`
	Identity  string `json:"identity,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	KeyBits   int    `json:"key_bits,omitempty"`
	Header    string `json:"header_canonicalization,omitempty"`
	Body      string `json:"body_canonicalization,omitempty"`
	Signature string `json:"b,omitempty"` // its first characters
	Partial   bool   `json:"partial_body,omitempty"`
	Testing   bool   `json:"testing,omitempty"`
	Unchecked bool   `json:"unchecked,omitempty"` // over limits.signatures: one line serves for all of them
	Alignment string `json:"alignment,omitempty"`
	Error     string `json:"error,omitempty"`
	Means     string `json:"means"`
	Aligns    string `json:"aligns,omitempty"`
	KeyAt     string `json:"key_at,omitempty"` // the name of its key record
}

// DMARC is the outcome of DMARC by RFC 9989, whatever criteria a domain has.
type DMARC struct {
	Result       string   `json:"result"`
	Domain       string   `json:"domain,omitempty"` // the author domain
	OrgDomain    string   `json:"org_domain,omitempty"`
	PolicyDomain string   `json:"policy_domain,omitempty"`
	Record       string   `json:"record,omitempty"`
	Warnings     []string `json:"warnings,omitempty"`
	Tag          string   `json:"tag,omitempty"` // p, sp or np
	Requested    string   `json:"requested,omitempty"`
	Policy       string   `json:"policy,omitempty"` // after t=y
	Testing      bool     `json:"testing,omitempty"`
	NonExistent  bool     `json:"nonexistent,omitempty"`
	PSL          bool     `json:"psl,omitempty"`
	ADKIM        string   `json:"adkim,omitempty"`
	ASPF         string   `json:"aspf,omitempty"`
	SPFAligned   bool     `json:"spf_aligned"` // an aligned pass
	DKIMAligned  bool     `json:"dkim_aligned"`
	Walk         []Step   `json:"walk,omitempty"`
	Error        string   `json:"error,omitempty"`
	Means        string   `json:"means"`
	PolicyMeans  string   `json:"policy_means,omitempty"`
}

// Step is one name that was queried for a DMARC record.
type Step struct {
	Name     string   `json:"name"`
	Record   string   `json:"record,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// ARC is the outcome for the chain.
type ARC struct {
	Result     string `json:"result"`
	Hops       []Hop  `json:"hops"`
	OldestPass int    `json:"oldest_pass"`
	Temporary  bool   `json:"temporary,omitempty"`
	Error      string `json:"error,omitempty"`
	Means      string `json:"means"`
}

// Hop is one ARC set.
type Hop struct {
	Instance   int    `json:"instance"`
	SealDomain string `json:"seal_domain,omitempty"`
	Selector   string `json:"selector,omitempty"`
	Verified   bool   `json:"message_signature_verified"`
	Results    string `json:"results,omitempty"` // results that the hop recorded, if any
}

// Decision is the decision of recipient domains with the same rules.
type Decision struct {
	Domains  []string `json:"domains"` // empty where no recipient is known
	Action   string   `json:"action"`
	Would    string   `json:"would"`
	Mode     string   `json:"mode"`
	Criteria string   `json:"criteria,omitempty"` // rfc or hes
	Result   string   `json:"result,omitempty"`   // of DMARC, by the domain's criteria; none where it did not run
	Reason   string   `json:"reason"`
	Rule     string   `json:"rule,omitempty"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	LineText string   `json:"line_text,omitempty"` // the text of that line at the time
	Enforced bool     `json:"enforced_peer,omitempty"`
	Override string   `json:"override,omitempty"` // who let a failure through, as reports state it
	Carried  bool     `json:"carried_out"`        // this decision was carried out
	Ended    *Ended   `json:"ended,omitempty"`
	Text     string   `json:"text"`
}

// Ended is a list entry that matched such a message, but was no longer valid.
type Ended struct {
	Rule  string     `json:"rule"`  // the list
	Until policy.Day `json:"until"` // the last day on which it held
}

// Held is how to deal with held mail on one MTA.
type Held struct {
	MTA      string    `json:"mta"` // postfix or sendmail
	Commands []Command `json:"commands"`
}

// Command is a command for the shell.
type Command struct {
	Does    string `json:"does"` // list, read, release or delete
	Command string `json:"command"`
}

// DNS is the lookups made.
type DNS struct {
	Answers []Answer `json:"answers,omitempty"`
	Cut     bool     `json:"cut,omitempty"`     // more was asked than is kept
	Missing string   `json:"missing,omitempty"` // why there are none
}

// Answer is one lookup.
type Answer struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Records []string `json:"records,omitempty"`
	Error   string   `json:"error,omitempty"` // nxdomain, nodata or temporary: …
	Took    int64    `json:"took_us"`         // microseconds
	Failed  bool     `json:"failed,omitempty"`
}

// Hint is something that the administrator may do.
type Hint struct {
	Text    string `json:"text"`
	Setting string `json:"setting,omitempty"` // a key of the recipient domain's entry
	Command string `json:"command,omitempty"` // for the shell
}

// Options is what an explanation needs besides the record. The zero value is valid.
type Options struct {
	Language Language      // "": English
	Now      time.Time     // zero: how old the record is does not count
	Traces   time.Duration // retention.traces; 0 if not known
	Offline  bool          // a command judged the message: say what would be done
	Bypassed bool          // the message was not judged, for the reason of the record's Decision
	Policy   policy.Source // the text of the policy in force then; nil if it is not known
}

// New explains a record.
func New(r *memory.Record, o Options) *Explanation {
	x := &explainer{r: r, v: &r.Verdict, d: &r.Verdict.DMARC, o: o}
	e := &Explanation{
		Language: o.Language.orEnglish(),
		Action:   string(r.Decision.Action),
		Would:    string(r.Decision.Would),
		Reason:   string(r.Decision.Reason),
		Offline:  o.Offline,
		Bypassed: o.Bypassed,
		Message:  x.message(),
		SPF:      x.spf(),
		DKIM:     x.dkim(),

		UncheckedSignatures: x.v.Unchecked,
		DMARC:               x.dmarc(),
		ARC:                 x.arc(),
		Decisions:           x.decisions(),
		Mixed:               x.mixed(),
		Added:               append([]string{}, r.Added...),
		Removed:             append([]string{}, r.Removed...),
		Forged:              r.Forged,
		Reply:               reply(&r.Decision.Reply),
		Hold:                r.Hold,
		Redirect:            r.Redirect,
		Tag:                 r.Tag,
		DNS:                 x.dns(),
	}
	if r.Hold != "" && !o.Offline {
		e.Commands = heldCommands(r.MTA, r.QueueID)
	}
	e.Hints = x.hints()
	e.Headline = x.headline()
	if !o.Offline && !o.Bypassed {
		e.TellSender = x.tellSender()
	}
	return e
}

// explainer explains one record.
type explainer struct {
	r *memory.Record
	v *policy.Verdict
	d *dmarc.Result
	o Options
}
