package settings

import (
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// pool gives equal rules one pointer, so that comparing pointers tells whether
// two domains want the same.
type pool struct {
	schema  kind[policy.Rules]
	builtin policy.Rules
	rules   map[string]*policy.Rules
}

func newPool() *pool {
	return &pool{
		schema:  entrySchema(nil),
		builtin: defaultRules(policy.Enforce),
		rules:   map[string]*policy.Rules{},
	}
}

// intern gives the pointer for rules equal to r. Rules are equal if what differs
// from the built-in ones is shown alike, which holds for sets however they were
// written.
func (p *pool) intern(r *policy.Rules) *policy.Rules {
	var b strings.Builder
	flatten(&b, p.schema.unlike(r, &p.builtin))
	k := b.String()
	if known, ok := p.rules[k]; ok {
		return known
	}
	own := *r
	p.rules[k] = &own
	return &own
}

func flatten(b *strings.Builder, n *yaml.Node) {
	b.WriteByte(byte(n.Kind))
	b.WriteString(n.Value)
	for _, c := range n.Content {
		flatten(b, c)
	}
	b.WriteByte(0)
}

func sortedNames(m map[dns.Name]*policy.Rules) []dns.Name {
	return slices.SortedFunc(maps.Keys(m), func(a, b dns.Name) int { return strings.Compare(a.String(), b.String()) })
}
