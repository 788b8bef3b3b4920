package filter

import (
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// group is the recipients whose domains want the same.
type group struct {
	rules   *policy.Rules
	domains []dns.Name
}

// recipients sorts the accepted recipients of one transaction by what their
// domains want.
type recipients struct {
	groups   []group
	ours     []message.Address // as the client wrote them
	resolved []message.Address // as the MTA reads those that it reads otherwise
}

// maxListedDomains bounds the domains listed of one group: a transaction may have
// thousands of recipients.
const maxListedDomains = 1000

// take files a recipient of ours.
func (r *recipients) take(a message.Address, rules *policy.Rules) {
	r.ours = append(r.ours, a)
	for i := range r.groups {
		g := &r.groups[i]
		if g.rules != rules {
			continue
		}
		if len(g.domains) < maxListedDomains && !slices.Contains(g.domains, a.Domain) {
			g.domains = append(g.domains, a.Domain)
		}
		return
	}
	r.groups = append(r.groups, group{rules: rules, domains: []dns.Name{a.Domain}})
}

// differs reports whether rules are not those of the first accepted recipient.
func (r *recipients) differs(rules *policy.Rules) bool {
	return len(r.groups) > 0 && r.groups[0].rules != rules
}

// Rcpt tells of one recipient that the MTA accepts, as the client wrote it and,
// where the MTA told, as it reads it itself (the zero Address if it did not). Where
// mayRefuse says that an answer can be given, a recipient that needs a transaction
// of its own is refused for now; otherwise the reply is zero. A recipient that is
// not ours neither separates nor decides.
func (t *Transaction) Rcpt(a, resolved message.Address, mayRefuse bool) policy.Reply {
	written := a.String()
	if !resolved.Domain.IsZero() {
		a.Domain = resolved.Domain
	}
	rules, domain, ours := t.rulesFor(a)
	a.Domain = domain
	t.env.Rcpts = append(t.env.Rcpts, a)
	if t.bypassed != "" || !ours {
		return policy.Reply{}
	}
	if mayRefuse && t.rcpts.differs(rules) && t.parts(a) {
		t.env.Rcpts = t.env.Rcpts[:len(t.env.Rcpts)-1]
		return policy.SeparateReply()
	}
	t.rcpts.take(a, rules)
	if !resolved.Domain.IsZero() && resolved.String() != written {
		t.rcpts.resolved = append(t.rcpts.resolved, resolved)
	}
	return policy.Reply{}
}

// rulesFor gives the rules for a recipient, and the domain that they are for. A
// path that only the MTA knows how to read is ours: without a domain (RFC 5321
// section 4.5.1 has "<postmaster>"), or with another address in its local part.
// Nobody may switch the filter off by the way that he spells a recipient.
func (t *Transaction) rulesFor(a message.Address) (rules *policy.Rules, domain dns.Name, ours bool) {
	p := &t.settings.Policy
	if rules, ours = p.RulesFor(a.Domain); ours && !a.Domain.IsZero() {
		return rules, a.Domain, true
	}
	inner, routed := innerDomain(a.Local)
	if routed {
		if rules, ours = p.RulesFor(inner); ours {
			return rules, inner, true
		}
	}
	if routed || a.Domain.IsZero() {
		return p.Default, a.Domain, true
	}
	return rules, a.Domain, false
}

// innerDomain is the domain that a local part names in the old ways of routing
// ("bob%example.org", "example.org!bob", or quoted with an "@"; RFC 5321 appendix
// C and RFC 1123 section 5.2.16), the zero Name for one that cannot be read.
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

// parts reports whether a recipient with settings of its own is sent away at once.
func (t *Transaction) parts(a message.Address) bool {
	switch t.settings.Policy.MixedRecipients {
	case settings.Separate:
		return true
	case settings.OnConflict:
		return t.filter.conflicts.known(t.peer, t.env.MailFrom, a, t.filter.now())
	}
	return false
}

// AssumeRecipient stands in for a recipient where none is known: the default
// settings decide.
func (t *Transaction) AssumeRecipient() {
	t.rcpts.take(message.Address{}, t.settings.Policy.Default)
}
