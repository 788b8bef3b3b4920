package spf

import (
	"net/netip"

	"dmarcd/internal/dns"
)

// Status is the outcome of a check, RFC 7208 section 2.6.
type Status string

// The results of RFC 7208 section 2.6, spelled as in RFC 8601 section 2.7.2.
// The zero Status means "not checked".
const (
	None      Status = "none"
	Neutral   Status = "neutral"
	Pass      Status = "pass"
	Fail      Status = "fail"
	Softfail  Status = "softfail"
	TempError Status = "temperror"
	PermError Status = "permerror"
)

// Scope is the identity that was checked, RFC 7208 sections 2.3 and 2.4.
type Scope string

// Scopes, spelled as the smtp properties of RFC 8601 section 2.7.2.
const (
	MailFrom Scope = "mailfrom"
	Helo     Scope = "helo"
)

// Request describes one check.
type Request struct {
	IP netip.Addr // of the SMTP client; IPv4-mapped addresses count as IPv4
	// Helo is the HELO argument as sent. With a null reverse-path its domain
	// is the identity (RFC 7208 section 2.4).
	Helo string
	// Local and Host are the parts of the MAIL FROM address before and after its last
	// "@", as sent; both are "" for the null reverse-path.
	Local, Host string
}

// Result is the outcome of one SPF check (RFC 7208 section 2.6).
type Result struct {
	Status    Status   // "" means not checked
	Domain    dns.Name // the identity checked; zero if it was no usable domain
	Scope     Scope
	Mechanism string   // the term that matched, such as "-all", as written; "" if none did
	Chain     []string // domains from Domain to the record that held Mechanism (or the fault), by include and redirect
	Terms     []string // the term that led on from each domain of Chain; the last is Mechanism, or the term at fault
	// Walk lists every term that was evaluated, in order: an include or redirect
	// precedes the terms of the record that it leads to. A term that breaks the grammar
	// of its record is that record's only entry. WalkCut reports that Walk is
	// incomplete.
	Walk        []Step
	WalkCut     bool
	LocalPart   []LocalPartName // names that macros made of the sender's local part, each once; usually nil
	Lookups     int             // terms that cost DNS look-ups, of at most 10 (section 4.6.4)
	Voids       int             // terms whose look-ups found nothing, of at most 2 (section 4.6.4); a third is the PermError
	Explanation string          // the owner's text by exp= on Fail, printable ASCII only, at most 200 octets; "" if none
	Err         error           // why, for TempError and PermError, an *Error; otherwise nil
	ClientIP    netip.Addr
}
