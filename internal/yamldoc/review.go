package yamldoc

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// reviewer looks through a document that the parser has taken for what its writer cannot
// have meant.
type reviewer struct {
	data    []byte
	lines   [][]byte // of data; nil until they are needed
	anchors map[string]*yaml.Node
}

func (r *reviewer) review(n *yaml.Node) *Fault {
	if f := r.anchor(n); f != nil {
		return f
	}
	if n.Kind == yaml.ScalarNode && n.Style == 0 {
		if f := r.plain(n); f != nil {
			return f
		}
	}
	for _, c := range n.Content {
		if f := r.review(c); f != nil {
			return f
		}
	}
	return nil
}

// anchor finds a name that two values bear: which of them an alias means is a riddle for
// the reader. One without a value was meant as text.
func (r *reviewer) anchor(n *yaml.Node) *Fault {
	if n.Anchor == "" || n.Kind == yaml.AliasNode {
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		return &Fault{Line: n.Line, Column: n.Column, Problem: fmt.Sprintf("the anchor &%s stands before nothing; text that begins with & needs quotes", clip(n.Anchor))}
	}
	if f, twice := r.anchors[n.Anchor]; twice {
		return &Fault{Line: n.Line, Column: n.Column, Problem: fmt.Sprintf("duplicate anchor &%s; the first is on line %d", clip(n.Anchor), f.Line)}
	}
	r.anchors[n.Anchor] = n
	return nil
}

// plain finds a character in text without quotes that only looks like one of YAML's.
func (r *reviewer) plain(n *yaml.Node) *Fault {
	if isASCII(n.Value) {
		return nil
	}
	for i, c := range n.Value {
		switch name := lookalike(c); {
		case name != "":
			f := r.at(n, c)
			f.Problem = fmt.Sprintf("a %s (%U) stands here; %s, or put text that holds it in quotes", name, c, instead(c))
			return f
		case i == 0 && strings.ContainsRune("“”„‟‘’‚‛«»＂＇", c):
			f := r.at(n, c)
			f.Problem = fmt.Sprintf("%c is no quote of YAML; write \" or '", c)
			return f
		}
	}
	return nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// at is the place of a character of plain text, which may go on over several lines.
func (r *reviewer) at(n *yaml.Node, c rune) *Fault {
	if r.lines == nil {
		r.lines = bytes.Split(r.data, []byte("\n"))
	}
	for line := n.Line; line <= len(r.lines) && line < n.Line+1+strings.Count(n.Value, " "); line++ {
		if i := bytes.IndexRune(r.lines[line-1], c); i >= 0 {
			return &Fault{Line: line, Column: utf8.RuneCount(r.lines[line-1][:i]) + 1}
		}
	}
	return &Fault{Line: n.Line, Column: n.Column}
}

// instead says what to do about a lookalike.
func instead(c rune) string {
	if c == '\u200b' || c == '\ufeff' {
		return "take it out"
	}
	return "write an ordinary one"
}

// lookalike names a blank or a colon that YAML does not take for one; "" for all others.
func lookalike(c rune) string {
	switch c {
	case '\u00a0':
		return "non-breaking space"
	case '\u202f':
		return "narrow non-breaking space"
	case '\u3000':
		return "wide space"
	case '\u200b':
		return "space without width"
	case '\ufeff':
		return "byte order mark"
	case '\uff1a':
		return "wide colon"
	}
	return ""
}
