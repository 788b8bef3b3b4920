package dmarc

import "dmarcd/internal/dns"

// Status is the DMARC result (RFC 9989 section 4.4), in the terms of RFC 8601.
type Status string

// DMARC results. The zero Status means "not checked".
const (
	None      Status = "none" // no policy applies
	Pass      Status = "pass"
	Fail      Status = "fail"
	TempError Status = "temperror"
	PermError Status = "permerror" // no single author domain
)

// Policy is what a domain owner requests (RFC 9989 section 4.7).
type Policy string

// Policies. The zero Policy means that no record applies.
const (
	PolicyNone       Policy = "none"
	PolicyQuarantine Policy = "quarantine"
	PolicyReject     Policy = "reject"
)

// Method is the mechanism that an identifier comes from.
type Method string

// Methods.
const (
	SPF  Method = "spf"
	DKIM Method = "dkim"
)

// State is the mechanism's result for the identifier, reduced to what DMARC needs.
type State int

// States. Only Passed yields an authenticated identifier.
const (
	NotPassed State = iota
	Passed
	Undecided // temperror: it may or may not pass
)

// Identifier is a domain that SPF or DKIM checked (RFC 9989 section 4.4).
type Identifier struct {
	Method Method
	Domain dns.Name // zero if the mechanism named no usable domain: it never aligns
	State  State
}

// Alignment is whether an identifier's domain aligns with the author domain in the mode
// that the record requests (relaxed without a record), independent of its outcome.
type Alignment string

// Alignments.
const (
	Unaligned        Alignment = "unaligned"
	Aligned          Alignment = "aligned"
	AlignmentUnknown Alignment = "unknown" // the walk for the identifier met a DNS error
)

// Result is the outcome of the DMARC evaluation of one author domain.
type Result struct {
	Status       Status
	Author       dns.Name // domain of the From field; zero if there is no single one
	OrgDomain    dns.Name // of Author, by tree walk (RFC 9989 section 4.10.2); zero if a DNS error hides it, or if it was not awaited
	PolicyDomain dns.Name // where Record was found; zero if none applies
	Record       *Record  // the governing record; nil if none applies
	Source       string   // the tag with the policy: "p", "sp" or "np"; "" if no record
	Requested    Policy   // the value of that tag; "" if no record
	Policy       Policy   // the policy that applies: Requested, lowered by t=y; "" if no record
	NonExistent  bool     // the author domain does not exist (NXDOMAIN, section 3.2.13); asked only where sp and np differ
	// ExistenceHidden reports that sp and np differ and that a DNS error hides which applies;
	// Requested and Policy are then those of the weaker one, see Strictest.
	ExistenceHidden bool
	SPFAligned      bool        // an aligned SPF pass
	DKIMAligned     bool        // at least one aligned DKIM pass
	Alignments      []Alignment // one for each Identifier of the input, in that order
	Walk            []Step      // names consulted for the author domain, in order
	// Err is the reason for TempError and PermError; for None, why a record does not
	// count; and why NonExistent is unknown if that affects Requested. Otherwise it is
	// nil.
	Err error
}

// Strictest is the strictest policy that may apply: Policy, or if ExistenceHidden the
// stricter of sp and np, also lowered by t=y.
func (r *Result) Strictest() Policy {
	if !r.ExistenceHidden {
		return r.Policy
	}
	sp, _ := r.Record.forExisting()
	np, _ := r.Record.forMissing()
	if weaker(sp, np) {
		sp = np
	}
	if r.Record.Testing {
		return lowered(sp)
	}
	return sp
}

// Inherited is the strictest policy that the organizational domain requests for its
// subdomains, if a DNS error hides whether the author domain has its own record: it
// applies if there is none. It is "" if a record was found, or none could be read.
func (r *Result) Inherited() Policy {
	if r.Record != nil || r.Status != TempError || len(r.Walk) < 2 {
		return ""
	}
	var found Policy
	for _, s := range r.Walk[1:] { // upwards: the last is that of the organizational domain
		if s.Record == nil || s.Record.Unusable || s.Record.PSD == PSDYes {
			continue
		}
		above := Result{Record: s.Record, ExistenceHidden: true}
		found = above.Strictest()
	}
	return found
}

// Step is one name of a tree walk.
type Step struct {
	Name   dns.Name // without "_dmarc."
	Record *Record  // nil if there is none, or several
	Text   string   // the record as published, "" if none
	Err    error    // a transient DNS error or why a record was dropped; nil otherwise
}
