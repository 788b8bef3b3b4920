package settings

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// decoder reads one file: it walks the values along the schema and collects faults.
type decoder struct {
	file     string
	path     []step
	values   int // left before the file is too large
	faults   faultList
	warnings faultList
	pending  map[string]bool // keys without effect so far, see notBuilt
	keys     []string        // all keys of this file, to find misplaced ones
	other    otherFile       // keys of the other file, likewise
	folder   string          // where `file:` lists are searched; "" to refuse them
	sources  *sources
	text     []byte      // scratch space for schemaKey
	origins  *provenance // of a policy; nil for other files
	endings  []ending    // the entries that end
}

// step is one part of the path to the value being read: as shown to the operator, and as
// in the table of keys without effect ("" to leave it out).
type step struct{ shown, schema string }

// otherFile is where a key that is unknown here may belong.
type otherFile struct {
	name string
	keys map[string]bool
}

func newDecoder(file, folder string) *decoder {
	return &decoder{
		file:     file,
		folder:   folder,
		sources:  newSources(),
		values:   maxValues,
		faults:   faultList{file: file},
		warnings: faultList{file: file, similar: map[string]int{}},
		pending:  notBuilt(),
	}
}

func (d *decoder) push(shown, schema string) { d.path = append(d.path, step{shown, schema}) }

func (d *decoder) pop() { d.path = d.path[:len(d.path)-1] }

// key is the dotted path to the value being read.
func (d *decoder) key() string {
	var b strings.Builder
	for _, s := range d.path {
		if b.Len() > 0 && !strings.HasPrefix(s.shown, "[") {
			b.WriteByte('.')
		}
		b.WriteString(s.shown)
	}
	return b.String()
}

// schemaKey is the path as notBuilt spells it, good until the next call.
func (d *decoder) schemaKey() []byte {
	d.text = d.text[:0]
	for _, s := range d.path {
		if s.schema == "" {
			continue
		}
		if len(d.text) > 0 {
			d.text = append(d.text, '.')
		}
		d.text = append(d.text, s.schema...)
	}
	return d.text
}

func (d *decoder) at(n *yaml.Node, problem, hint string) Fault {
	return Fault{File: d.file, Line: n.Line, Column: n.Column, Key: d.key(), Problem: problem, Hint: hint}
}

func (d *decoder) fault(n *yaml.Node, format string, args ...any) {
	d.faults.add(d.at(n, fmt.Sprintf(format, args...), ""), "")
}

// faultHint is fault with the spelling that was probably meant.
func (d *decoder) faultHint(n *yaml.Node, hint, format string, args ...any) {
	d.faults.add(d.at(n, fmt.Sprintf(format, args...), hint), "")
}

func (d *decoder) warn(n *yaml.Node, format string, args ...any) {
	d.warnings.add(d.at(n, fmt.Sprintf(format, args...), ""), string(d.schemaKey()))
}

// duplicate reports a repeated key, or anything else that may occur only once.
func (d *decoder) duplicate(n *yaml.Node, what string, first Place) {
	if first.File != d.file {
		d.fault(n, "duplicate %s; the first is at %s", what, first)
		return
	}
	d.fault(n, "duplicate %s; the first is on line %d", what, first.Line)
}

// noMapping reports a value where keys are expected; a key whose value follows without a
// space is text to YAML.
func (d *decoder) noMapping(n *yaml.Node) {
	hint := ""
	if key, value, ok := strings.Cut(n.Value, ":"); ok && n.Kind == yaml.ScalarNode && !strings.ContainsAny(key, " /") && value != "" {
		hint = clip(key + ": " + value)
	}
	d.faultHint(n, hint, "expected a mapping, found %s", describe(n))
}

// watch returns a function that reports whether there was no fault since.
func (d *decoder) watch() (clean func() bool) {
	list, dropped := len(d.faults.list), d.faults.dropped
	return func() bool { return len(d.faults.list) == list && d.faults.dropped == dropped }
}

// into reads n as a k. Errors become faults of d, and *v must then not be used. All
// reading goes through here, so that no file costs more than maxValues, even with
// aliases.
func into[V any](d *decoder, k kind[V], n *yaml.Node, v *V) {
	if !d.spend(n) {
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.fault(n, "the tag %s has no place here; write the value alone", printable(clip(n.Tag)))
		return
	}
	k.read(d, n, v)
}

// spend takes one value off the budget and reports whether it was there.
func (d *decoder) spend(n *yaml.Node) bool {
	d.values--
	if d.values == -1 {
		d.fault(n, "the file holds more than %d values, with those that aliases and lists repeat", maxValues)
	}
	return d.values >= 0
}

// isNull reports whether a value is missing.
func isNull(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle
	return n.Kind == yaml.ScalarNode && n.Style&quoted == 0 && n.ShortTag() == "!!null"
}

// describe names what the file has, for "expected …, found …".
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return fmt.Sprintf("%q", clip(n.Value))
}

// scalar returns the text of a single value, however quoted; a value that is neither word
// nor number is a fault.
func (d *decoder) scalar(n *yaml.Node, expected string) (string, bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.fault(n, "expected %s, found %s", expected, describe(n))
		return "", false
	}
	return n.Value, true
}
