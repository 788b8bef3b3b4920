package settings

import (
	"net/netip"
	"strconv"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/spf"
	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
)

// MixedRecipients says what happens if the domains of one message's recipients decide
// differently.
type MixedRecipients string

// Answers to mixed recipients.
const (
	OnConflict MixedRecipients = "on_conflict" // part them only if their decisions differ
	Separate   MixedRecipients = "separate"    // part them at RCPT
	Mildest    MixedRecipients = "mildest"     // one decision for all, the mildest
	Strictest  MixedRecipients = "strictest"   // one decision for all, the strictest
)

// Policy is the content of policy.yaml. It is immutable once returned. Equal rules share
// one pointer throughout one Policy.
type Policy struct {
	Mode            policy.Mode
	MixedRecipients MixedRecipients
	// DomainsDir is a folder of files with further domain entries, as the key names
	// it; "" for none.
	DomainsDir string
	Managed    policy.DomainList // empty: every recipient is ours
	DeferLimit time.Duration
	Default    *policy.Rules
	Domains    map[dns.Name]*policy.Rules // the entries, each complete
	Tests      []Test

	// Texts are the texts that the policy was read from: its own file, then the others by
	// path. Empty if it was not read from a file.
	Texts []Text
	// ID identifies Texts in records of mail.
	ID policy.SourceID

	distinct bool
	origins  *provenance // nil for a policy that was not read from a file
	folders  []string    // folders that were listed
	endings  []ending
}

// Ended returns a warning for each entry that has ended, by place; of similar ones, the
// first few.
func (p *Policy) Ended(now time.Time) []Fault {
	if len(p.endings) == 0 {
		return nil
	}
	l := faultList{file: p.endings[0].File, similar: map[string]int{}}
	today := policy.DayOf(now)
	for _, e := range p.endings {
		if e.until < today {
			l.add(e.Fault, "")
		}
	}
	return l.all()
}

// Place is a line of a file; the zero Place means the built-in rules.
type Place struct {
	File   string
	Line   int // from 1
	Column int // from 1; 0 where it does not matter
}

// String is the place as file:line, "" for the zero Place.
func (p Place) String() string {
	if p.File == "" || p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// RulesFor returns the rules for a recipient's domain, and whether the recipient is ours.
// Rules is never nil. An address without a domain has the zero Name.
func (p *Policy) RulesFor(domain dns.Name) (rules *policy.Rules, ours bool) {
	if r, ok := p.Domains[domain]; ok {
		return r, true
	}
	return p.Default, p.Managed.Empty() || p.Managed.Match(domain)
}

// LocalRules returns the rules for a recipient of this host who has no domain of ours:
// the default, or the common rules of all our recipients if they have the same.
func (p *Policy) LocalRules() *policy.Rules {
	if !p.distinct {
		for _, r := range p.Domains {
			return r // all of them are equal
		}
	}
	return p.Default
}

// Distinct reports whether two recipients of ours can have different rules.
func (p *Policy) Distinct() bool { return p.distinct }

// ManagedDomains counts the recipient domains that the file names, in entries of
// their own or in Managed; 0 where every recipient is ours and none has an entry.
func (p *Policy) ManagedDomains() int {
	n := len(p.Domains)
	for _, pattern := range p.Managed.Patterns() {
		if name, err := dns.Parse(pattern); err != nil || p.Domains[name] == nil {
			n++
		}
	}
	return n
}

// usesDefault reports whether a recipient of ours can have no entry of its own.
func (p *Policy) usesDefault() bool {
	if p.Managed.Empty() {
		return true
	}
	for _, pattern := range p.Managed.Patterns() {
		n, err := dns.Parse(pattern)
		if _, ok := p.Domains[n]; err != nil || !ok {
			return true
		}
	}
	return false
}

// index computes what Distinct and LocalRules return; it runs last.
func (p *Policy) index() {
	var first *policy.Rules
	if len(p.Domains) == 0 || p.usesDefault() {
		first = p.Default
	}
	for _, r := range p.Domains {
		if first == nil {
			first = r
		}
		if r != first {
			p.distinct = true
			return
		}
	}
	p.distinct = false
}

// Test is a decision that the admin expects of the policy for given results of SPF and
// DKIM. Load and LoadPolicy refuse a policy whose tests fail.
type Test struct {
	Name     string
	Rcpt     message.Address
	From     message.Address
	MailFrom message.Address // From if the file leaves it out; zero for the null sender; without a Local if the file has a domain
	IP       netip.Addr      // zero: none given
	Helo     string
	SPF      SPFCase
	DKIM     DKIMCase
	Policy   Published
	Expect   policy.Action
	At       Place // its place; zero for one not read from a file
}

// SPFCase is the SPF result of a Test.
type SPFCase struct {
	Result spf.Status
	Domain dns.Name // zero: MailFrom's domain
}

// DKIMCase is the DKIM result of a Test.
type DKIMCase struct {
	Result dkim.Status
	Domain dns.Name // d=; zero: From's domain
}

// Published is the policy that the sender's domain publishes in a Test.
type Published string

// What a sender's domain may publish.
const (
	PublishedNone       Published = "none"
	PublishedQuarantine Published = "quarantine"
	PublishedReject     Published = "reject"
	PublishedNoRecord   Published = "no_record"
)
