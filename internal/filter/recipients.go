package filter

import (
	"slices"

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
	groups []group
	ours   []message.Address
}

// take files a recipient of ours.
func (r *recipients) take(a message.Address, rules *policy.Rules) {
	r.ours = append(r.ours, a)
	for i := range r.groups {
		g := &r.groups[i]
		if g.rules != rules {
			continue
		}
		if !slices.Contains(g.domains, a.Domain) {
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

// Rcpt tells of one recipient that the MTA accepts. Where mayRefuse says that an
// answer can be given, a recipient that needs a transaction of its own is refused
// for now; otherwise the reply is zero. A recipient that is not ours neither
// separates nor decides.
func (t *Transaction) Rcpt(a message.Address, mayRefuse bool) policy.Reply {
	t.env.Rcpts = append(t.env.Rcpts, a)
	if t.left != "" {
		return policy.Reply{}
	}
	rules, ours := t.settings.Policy.RulesFor(a.Domain)
	if !ours {
		return policy.Reply{}
	}
	if mayRefuse && t.rcpts.differs(rules) && t.parts(a) {
		t.env.Rcpts = t.env.Rcpts[:len(t.env.Rcpts)-1]
		return policy.SeparateReply()
	}
	t.rcpts.take(a, rules)
	return policy.Reply{}
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
