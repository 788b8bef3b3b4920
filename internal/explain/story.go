// Package explain tells the whole story of one remembered message: what was done
// with it and why, what SPF, DKIM, DMARC and ARC found and on what grounds, which
// rule of which file decided for each recipient domain, and what an administrator
// can do about it. It is pure: a Record goes in, a Story comes out, as JSON by its
// fields or as text.
//
// Much of a record was written by strangers. Nothing of it reaches a Story but as
// printable text of bounded length, with "?" for what is not printable: a Story is
// safe to show on a terminal, in either form.
package explain

import (
	"time"

	"dmarcd/internal/memory"
)

// Story is all that can be told of a message. The names of its JSON fields and
// their words are stable; texts, such as Headline and every "text" and "means",
// are for people and may change.
type Story struct {
	Headline string  `json:"headline"` // what happened, and why, in one sentence
	Action   string  `json:"action"`   // what was done: bypass, quarantine, reject, defer or discard
	Would    string  `json:"would"`    // what would have been done in mode enforce
	Reason   string  `json:"reason"`
	Message  Message `json:"message"`
	SPF      SPF     `json:"spf"`
	DKIM     []DKIM  `json:"dkim"` // one for each signature, in header order
	// UncheckedSignatures counts those over limits.signatures, which DKIM leaves out.
	UncheckedSignatures int       `json:"unchecked_signatures,omitempty"`
	DMARC               DMARC     `json:"dmarc"`
	ARC                 *ARC      `json:"arc,omitempty"` // where a recipient domain asked for it
	Domains             []Domains `json:"decisions"`     // one for each distinct set of rules among the recipients
	// Settled tells how the answer came about where the recipients' domains
	// wanted different things; "" where they did not.
	Settled  string   `json:"settled,omitempty"`
	Added    []string `json:"added"`   // our header fields, topmost first
	Removed  []string `json:"removed"` // forged ones, as NAME[INDEX]
	Forged   int      `json:"forged"`  // fields that claimed to be ours
	Reply    string   `json:"reply,omitempty"`
	Hold     string   `json:"hold,omitempty"`        // what the MTA's queue shows of held mail
	Redirect string   `json:"redirect,omitempty"`    // where it went instead
	Tag      string   `json:"subject_tag,omitempty"` // what was put before its Subject
	Commands []Held   `json:"commands,omitempty"`    // for held mail, by MTA
	DNS      DNS      `json:"dns"`
	Hints    []Hint   `json:"hints"`
}

// Message is what SMTP and the header told.
type Message struct {
	At           time.Time `json:"at"`
	QueueID      string    `json:"queue_id,omitempty"`
	MessageID    string    `json:"message_id,omitempty"`
	MTA          string    `json:"mta,omitempty"`
	ClientIP     string    `json:"client_ip,omitempty"`
	Helo         string    `json:"helo,omitempty"`
	Sender       string    `json:"sender,omitempty"` // host of MAIL FROM, or the address where those are kept
	NullSender   bool      `json:"null_sender,omitempty"`
	EnvelopeFrom string    `json:"envelope_from,omitempty"` // domain of MAIL FROM
	From         []string  `json:"from"`                    // domains of the From field
	Recipients   []string  `json:"recipients,omitempty"`    // addresses, where they are kept
	Domains      []string  `json:"recipient_domains"`
	Report       bool      `json:"carries_report,omitempty"`
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
	Aligns      string `json:"aligns,omitempty"` // the alignment in words
}

// Term is one term of an SPF record that was evaluated.
type Term struct {
	Domain  string `json:"domain"` // whose record it stands in
	Term    string `json:"term"`
	Depth   int    `json:"depth"`
	Outcome string `json:"outcome"`          // match, no match or error
	Result  string `json:"result,omitempty"` // of the record that it leads to
	Target  string `json:"target,omitempty"` // the name looked up; none where it is made of a local part
	Private bool   `json:"private,omitempty"`
}

// DKIM is the outcome for one signature.
type DKIM struct {
	Result     string `json:"result"`
	Domain     string `json:"domain,omitempty"`
	Selector   string `json:"selector,omitempty"`
	Identity   string `json:"identity,omitempty"`
	Algorithm  string `json:"algorithm,omitempty"`
	KeyBits    int    `json:"key_bits,omitempty"`
	Header     string `json:"header_canonicalization,omitempty"`
	Body       string `json:"body_canonicalization,omitempty"`
	Signature  string `json:"b,omitempty"` // its first characters
	Partial    bool   `json:"partial_body,omitempty"`
	Testing    bool   `json:"testing,omitempty"`
	Alignment  string `json:"alignment,omitempty"`
	Error      string `json:"error,omitempty"`
	Means      string `json:"means"`
	Aligns     string `json:"aligns,omitempty"`
	KeyAt      string `json:"key_at,omitempty"`     // the name of its key record
	Unassessed bool   `json:"unassessed,omitempty"` // over a limit: one line serves for all of them
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

// Step is one name that was asked for a DMARC record.
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
	Results    string `json:"results,omitempty"` // what the hop says it found
}

// Domains is what recipient domains with the same rules decided.
type Domains struct {
	Domains   []string `json:"domains"` // empty where no recipient was told
	Action    string   `json:"action"`
	Would     string   `json:"would"`
	Mode      string   `json:"mode"`
	Criteria  string   `json:"criteria,omitempty"` // rfc or hes
	Result    string   `json:"result,omitempty"`   // of DMARC, by the domain's criteria; none where it did not run
	Reason    string   `json:"reason"`
	Rule      string   `json:"rule,omitempty"`
	File      string   `json:"file,omitempty"`
	Line      int      `json:"line,omitempty"`
	Enforced  bool     `json:"enforced_peer,omitempty"`
	Override  string   `json:"override,omitempty"` // by whom a failure was let through, as reports tell it
	CarriedIt bool     `json:"carried_out"`        // this is the decision that the message met
	Text      string   `json:"text"`
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

// DNS is what was asked.
type DNS struct {
	Answers []Answer `json:"answers,omitempty"`
	Cut     bool     `json:"cut,omitempty"`     // more was asked than is kept
	Missing string   `json:"missing,omitempty"` // why there are none
}

// Answer is one look-up.
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

// Options is what a story needs to know beside the record. The zero value will do.
type Options struct {
	Now    time.Time     // zero: how old the record is does not count
	Traces time.Duration // retention.traces; 0 if not known
}

// New tells the story of a record.
func New(r *memory.Record, o Options) *Story {
	t := &teller{r: r, v: &r.Verdict, d: &r.Verdict.DMARC, o: o}
	s := &Story{
		Action:  word(r.Decision.Action),
		Would:   word(r.Decision.Would),
		Reason:  word(r.Decision.Reason),
		Message: t.message(),
		SPF:     t.spf(),
		DKIM:    t.dkim(),

		UncheckedSignatures: t.v.Unchecked,
		DMARC:               t.dmarc(),
		ARC:                 t.arc(),
		Domains:             t.domains(),
		Settled:             t.settled(),
		Added:               cleanAll(r.Added, maxField),
		Removed:             cleanAll(r.Removed, maxShort),
		Forged:              r.Forged,
		Reply:               reply(&r.Decision.Reply),
		Hold:                clean(r.Hold, maxShort),
		Tag:                 clean(r.Tag, maxShort),
		DNS:                 t.dns(),
	}
	s.Redirect = clean(r.Redirect, maxShort)
	if r.Hold != "" {
		s.Commands = heldCommands(r.MTA, r.QueueID)
	}
	s.Hints = t.hints()
	s.Headline = t.headline()
	return s
}
