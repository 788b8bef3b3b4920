package settings

import (
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// EffectiveRules is the rules of one recipient domain, with the place of each part.
type EffectiveRules struct {
	Domain dns.Name
	Rules  *policy.Rules
	Ours   bool  // whether mail for the domain is processed
	At     Place // the domain's entry, or `default`; zero for the built-in rules

	texts   []Text
	origins *provenance // nil for a policy that was not read from a file
}

// EffectiveRules traces a domain's rules. It reads the texts that the policy was loaded from
// again, so that the files on disk do not matter.
func (p *Policy) EffectiveRules(domain dns.Name) *EffectiveRules {
	t := &EffectiveRules{Domain: domain, At: p.PlaceOf(domain), texts: p.Texts, origins: p.origins}
	t.Rules, t.Ours = p.RulesFor(domain)
	if again, _, err := readTexts(p.Texts, domain); err == nil { // it was read before
		t.origins = again.origins
	}
	return t
}

// Origin returns where the value of a key comes from. Keys are relative to the domain's
// entry, such as dmarc.actions.reject; defer_limit and mixed_recipients are those at the
// top, and so is mode where the entry has none.
func (t *EffectiveRules) Origin(key string) Origin {
	o, _, _ := t.origins.origin(t.Domain, key)
	return o
}

// Entries are the entries of a list, with those of its files, in their order.
func (t *EffectiveRules) Entries(key string) []Entry {
	_, lists, _ := t.origins.origin(t.Domain, key)
	return lists[key]
}

// flowText is a value on one line, in the form for a list.
func flowText(n *yaml.Node) string {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return printable(n.Value)
	case yaml.SequenceNode:
		var parts []string
		for _, c := range n.Content {
			parts = append(parts, flowText(c))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	var parts []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		parts = append(parts, flowText(n.Content[i])+": "+flowText(n.Content[i+1]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
