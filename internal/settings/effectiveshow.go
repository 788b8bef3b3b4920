package settings

import (
	"io"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Setting is one key with its value as a line of YAML, and where it comes from.
type Setting struct {
	Key    string // relative to the domain's entry
	Value  string
	Origin Origin
}

// Show writes what the domain follows as ShowRules does, with the origin of each
// key in a comment, and that of each entry where a list has some of a list file.
func (t *EffectiveRules) Show(w io.Writer) error {
	n := t.shown()
	t.each("", n, func(key string, k, v *yaml.Node) {
		if v.Kind == yaml.SequenceNode {
			t.annotate(key, v)
		}
		if v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle == 0 {
			v = k // a block has no line of its own
		}
		v.LineComment = "# " + t.Origin(key).String()
	})
	return writeYAML(w, n)
}

// Settings lists what Show shows, one by one.
func (t *EffectiveRules) Settings() []Setting {
	var out []Setting
	t.each("", t.shown(), func(key string, _, v *yaml.Node) {
		out = append(out, Setting{Key: key, Value: lineOf(v), Origin: t.Origin(key)})
	})
	return out
}

// Differences are the keys of a domain's entry whose values are not those of `default`,
// in the order of Settings. They have no Origin.
func (p *Policy) Differences(domain dns.Name) []Setting {
	rules, ok := p.Domains[domain]
	if !ok {
		return nil
	}
	own, common := &EffectiveRules{Rules: rules}, &EffectiveRules{Rules: p.Default}
	as := map[string]string{}
	common.each("", common.shown(), func(key string, _, v *yaml.Node) { as[key] = lineOf(v) })
	var out []Setting
	own.each("", own.shown(), func(key string, _, v *yaml.Node) {
		if text := lineOf(v); as[key] != text {
			out = append(out, Setting{Key: key, Value: text})
		}
	})
	return out
}

// lineOf is a value as a line of YAML.
func lineOf(v *yaml.Node) string {
	if v.Kind != yaml.ScalarNode {
		return flowText(v)
	}
	return v.Value
}

func (t *EffectiveRules) shown() *yaml.Node { return entrySchema(nil).show(*t.Rules) }

// each calls see for every key below n that has a value and no further keys.
func (t *EffectiveRules) each(prefix string, n *yaml.Node, see func(key string, k, v *yaml.Node)) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := k.Value
		if prefix != "" {
			key = prefix + "." + key
		}
		if v.Kind == yaml.MappingNode && v.Style&yaml.FlowStyle == 0 {
			t.each(key, v, see)
			continue
		}
		see(key, k, v)
	}
}

// annotate marks each entry of a shown list with its own place, if one of them is in a
// list file.
func (t *EffectiveRules) annotate(key string, list *yaml.Node) {
	home, foreign := t.Origin(key).At.File, false
	at := map[string]Place{}
	solo := t.newSolo(key)
	for _, e := range t.Entries(key) {
		foreign = foreign || e.At.File != home
		rules := solo.rules(e)
		for _, item := range follow(solo.schema.show(rules), key).Content {
			text := flowText(item)
			if _, twice := at[text]; !twice {
				at[text] = e.At
			}
		}
	}
	if !foreign {
		return
	}
	list.Style &^= yaml.FlowStyle
	for _, item := range list.Content {
		if place, ok := at[flowText(item)]; ok {
			item.LineComment = "# " + Origin{At: place}.String()
		}
	}
}

// follow returns the value at a dotted key.
func follow(n *yaml.Node, key string) *yaml.Node {
	for step := range strings.SplitSeq(key, ".") {
		n = child(n, step)
	}
	return n
}

// solo reads single entries of a list, so that the effect of each can be seen.
type solo struct {
	d      *decoder
	schema kind[policy.Rules]
	root   *yaml.Node // the rules as written with that list only
	list   *yaml.Node
}

func (t *EffectiveRules) newSolo(key string) *solo {
	s := &solo{d: textDecoder(t.texts, t.Origin(key).At.File), schema: entrySchema(nil), list: &yaml.Node{Kind: yaml.SequenceNode}}
	s.root = s.list
	for _, step := range slices.Backward(strings.Split(key, ".")) {
		s.root = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{plain(step), s.root}}
	}
	return s
}

// rules are the built-in rules with only that entry in the list.
func (s *solo) rules(e Entry) policy.Rules {
	s.list.Content = []*yaml.Node{e.node}
	rules := defaultRules(policy.Enforce)
	into(s.d, s.schema, s.root, &rules)
	return rules
}
