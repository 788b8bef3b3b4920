package settings

import (
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// pool gives equal rules one pointer, so that comparing pointers shows whether two
// domains have the same rules.
type pool struct {
	schema  kind[policy.Rules]
	builtin policy.Rules
	rules   map[string]*policy.Rules
	text    []byte // scratch space for a key of rules
}

func newPool() *pool {
	return &pool{
		schema:  entrySchema(nil),
		builtin: defaultRules(policy.Enforce),
		rules:   map[string]*policy.Rules{},
	}
}

// intern returns the pointer for rules equal to r. Rules are equal if their differences
// from the built-in ones are shown alike, however they were written.
func (p *pool) intern(r *policy.Rules) *policy.Rules {
	p.text = flatten(p.text[:0], p.schema.unlike(r, &p.builtin))
	if known, ok := p.rules[string(p.text)]; ok {
		return known
	}
	own := *r
	p.rules[string(p.text)] = &own
	return &own
}

func flatten(text []byte, n *yaml.Node) []byte {
	text = append(text, byte(n.Kind))
	text = append(text, n.Value...)
	for _, c := range n.Content {
		text = flatten(text, c)
	}
	return append(text, 0)
}

func sortedNames(m map[dns.Name]*policy.Rules) []dns.Name {
	return slices.SortedFunc(maps.Keys(m), func(a, b dns.Name) int { return strings.Compare(a.String(), b.String()) })
}
