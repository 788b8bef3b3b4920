package settings

import (
	"bufio"
	"io"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/policy"
)

// Show writes the effective settings with every key, as a dmarcd.yaml that loads
// to the same settings.
func (s *Settings) Show(w io.Writer) error {
	return writeYAML(w, daemonSchema().show(*s))
}

// Show writes the effective policy with every key, as a policy.yaml that loads
// to the same policy.
func (p *Policy) Show(w io.Writer) error {
	return writeYAML(w, policySchema().show(p.draft()))
}

// ShowRules writes what one recipient domain follows, with every key, in the form
// of an entry of `domains`.
func ShowRules(w io.Writer, r *policy.Rules) error {
	return writeYAML(w, entrySchema(nil).show(*r))
}

func writeYAML(w io.Writer, n *yaml.Node) error {
	buffered := bufio.NewWriter(w)
	enc := yaml.NewEncoder(buffered)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

// plain shows a word; quotes are put where YAML needs them.
func plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// literal shows a number or a boolean.
func literal(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

// quoted shows free text.
func quoted(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
}

// mapping shows a section.
func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// layout puts a short list of words on one line, and in other lists each entry on a line
// of its own.
func layout(list *yaml.Node) *yaml.Node {
	const few = 5
	short := len(list.Content) <= few
	for _, item := range list.Content {
		if item.Kind != yaml.ScalarNode {
			item.Style |= yaml.FlowStyle
			short = false
		}
	}
	if short {
		list.Style |= yaml.FlowStyle
	}
	return list
}
