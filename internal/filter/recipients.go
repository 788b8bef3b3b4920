package filter

import (
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// group is the recipients whose domains have the same rules.
type group struct {
	rules   *policy.Rules
	domains []dns.Name
}

// accepted is one recipient of ours.
type accepted struct {
	address message.Address // as the client wrote it
	group   int             // index in recipients.groups
}

// recipients sorts the accepted recipients of one transaction by what their
// domains want.
type recipients struct {
	groups   []group
	ours     []accepted
	resolved []message.Address // as the MTA reads those that it reads otherwise
	class    class             // of the first that has one
}

// maxListedDomains bounds the domains listed of one group: a transaction may have
// thousands of recipients.
const maxListedDomains = 1000

// take files a recipient of ours.
func (r *recipients) take(a message.Address, rules *policy.Rules) {
	for i := range r.groups {
		g := &r.groups[i]
		if g.rules != rules {
			continue
		}
		r.ours = append(r.ours, accepted{address: a, group: i})
		if len(g.domains) < maxListedDomains && !slices.Contains(g.domains, a.Domain) {
			g.domains = append(g.domains, a.Domain)
		}
		return
	}
	r.ours = append(r.ours, accepted{address: a, group: len(r.groups)})
	r.groups = append(r.groups, group{rules: rules, domains: []dns.Name{a.Domain}})
}

// Recipient is one recipient that the MTA accepts.
type Recipient struct {
	Written message.Address // as the client wrote it
	Read    message.Address // as the MTA parses it; zero if not known
	Local   bool            // the MTA delivers it on this host itself
}

// Rcpt adds one recipient. Where mayRefuse says that an answer can be given, a recipient
// that needs a transaction of its own is refused for now; otherwise the reply is zero. A
// recipient that is not ours neither splits the transaction nor affects the decision.
func (t *Transaction) Rcpt(r Recipient, mayRefuse bool) policy.Reply {
	a := r.Written
	if !r.Read.Domain.IsZero() {
		a.Domain = r.Read.Domain
	}
	rules, domain, ours := t.rulesFor(r)
	a.Domain = domain
	if ours && t.bypassed == "" && mayRefuse && t.splits(a, rules) {
		return policy.SeparateReply()
	}
	t.env.Rcpts = append(t.env.Rcpts, a)
	if t.bypassed != "" || !ours {
		return policy.Reply{}
	}
	t.rcpts.take(a, rules)
	if !r.Read.Domain.IsZero() && r.Read.String() != r.Written.String() {
		t.rcpts.resolved = append(t.rcpts.resolved, r.Read)
	}
	return policy.Reply{}
}

// rulesFor returns the rules for a recipient, and their domain. A recipient that is
// delivered on this host is ours, whatever `managed` lists, and so is a path that only
// the MTA can interpret: without a domain (RFC 5321 section 4.5.1 has "<postmaster>"), or
// with another address in its local part. Spelling a recipient differently must not
// bypass the filter.
func (t *Transaction) rulesFor(r Recipient) (rules *policy.Rules, domain dns.Name, ours bool) {
	p := &t.settings.Policy
	domain = r.Written.Domain
	if !r.Read.Domain.IsZero() {
		domain = r.Read.Domain
	}
	if rules, ours = p.RulesFor(domain); ours && !domain.IsZero() {
		return rules, domain, true
	}
	inner, routed := innerDomain(r.Written.Local)
	if routed {
		if rules, ours = p.RulesFor(inner); ours {
			return rules, inner, true
		}
	}
	if routed || r.Local || t.isThisHost(r.Written) || t.isThisHost(r.Read) && !r.Read.Domain.IsZero() {
		return p.LocalRules(), domain, true
	}
	return rules, domain, false
}

// isThisHost reports whether an address has no domain, or one that means this host.
func (t *Transaction) isThisHost(a message.Address) bool {
	if a.Domain.IsZero() {
		return true
	}
	name := a.Domain.String()
	return name == "localhost" || name == "localhost.localdomain" ||
		strings.EqualFold(name, strings.TrimSuffix(t.env.Host, ".")) || strings.EqualFold(name, t.settings.AuthServID)
}

// innerDomain is the domain that a local part names in the old ways of routing
// ("bob%example.org", "example.org!bob", or quoted with an "@"; RFC 5321 appendix C and
// RFC 1123 section 5.2.16), or the zero Name for an invalid one.
func innerDomain(local string) (domain dns.Name, routed bool) {
	local = strings.NewReplacer("\"", "", "\\", "").Replace(local)
	text := ""
	switch at := strings.LastIndexAny(local, "@%"); {
	case at >= 0:
		text = local[at+1:]
	case strings.Contains(local, "!"):
		text, _, _ = strings.Cut(local, "!")
	default:
		return dns.Name{}, false
	}
	name, err := dns.Parse(text)
	if err != nil {
		return dns.Name{}, true
	}
	return name, true
}

// splits reports whether a recipient is refused for now, so that it comes in a
// transaction of its own. A recipient that is accepted makes later ones with other rules
// split.
func (t *Transaction) splits(a message.Address, rules *policy.Rules) bool {
	switch t.settings.Policy.MixedRecipients {
	case settings.Separate:
		return len(t.rcpts.groups) > 0 && t.rcpts.groups[0].rules != rules
	case settings.OnConflict:
		c := t.filter.conflicts.class(t.from(), a, t.filter.now())
		if c != 0 && t.rcpts.class != 0 {
			return c != t.rcpts.class
		}
		t.rcpts.class |= c
	}
	return false
}

// from identifies the sender of the transaction's envelope, as far as it is known.
func (t *Transaction) from() *envelopeFrom {
	from := &envelopeFrom{peer: t.peer, client: t.peer, sender: t.env.MailFrom}
	if t.recovered {
		from.client = t.env.ClientIP
	}
	return from
}

// AssumeRecipient replaces the recipient where none is known: the default settings
// decide.
func (t *Transaction) AssumeRecipient() {
	t.rcpts.take(message.Address{}, t.settings.Policy.Default)
}
