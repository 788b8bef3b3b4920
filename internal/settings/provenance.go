package settings

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// provenance records the places of a policy's keys: those at the top, below `default` and
// of each domain entry. It is filled while the policy is read and takes four octets a
// key. For a traced domain it has list entries too. A nil provenance records nothing.
type provenance struct {
	codes   map[string]uint8 // of the keys of an entry, and of those at the top
	top     part
	shared  part // below `default`
	entries map[dns.Name]part

	inRules bool      // the key being read is below `default` or an entry
	lines   []keyLine // of the part that is read

	follow      dns.Name // zero to follow none
	sharedLists lists
	ownLists    lists
	noting      lists // nil where the lists are not needed
}

// part is a part of the policy: its place, and the lines of its keys.
type part struct {
	at    Place
	lines []keyLine
}

// keyLine is the code of a key, in its top octet, and a line.
type keyLine uint32

const (
	lineBits = 24
	maxLine  = 1<<lineBits - 1
)

// lists are the entries of lists by their keys.
type lists map[string][]Entry

// Entry is one entry of a list as it is written.
type Entry struct {
	Text string
	At   Place
	node *yaml.Node
}

// topRules are the keys at the top of the file that decide.
var topRules = []string{"mode", policy.RuleMixedRecipients, policy.RuleDeferLimit}

func newProvenance(file string, follow dns.Name) *provenance {
	p := &provenance{codes: map[string]uint8{}, top: part{at: Place{File: file}}, entries: map[dns.Name]part{}, follow: follow}
	for _, k := range slices.Concat(topRules, entrySchema(nil).keys) {
		if _, twice := p.codes[k]; !twice {
			p.codes[k] = uint8(len(p.codes))
		}
	}
	return p
}

// key is the key that d reads, relative to the part; good until d moves.
func (p *provenance) key(d *decoder) []byte {
	key := d.schemaKey()
	if p.inRules {
		key = bytes.TrimPrefix(bytes.TrimPrefix(key, []byte(rulesStep)), []byte("."))
	}
	return key
}

// note keeps the line of a key of the section that d reads.
func (p *provenance) note(d *decoder, k, v *yaml.Node) {
	if p == nil || k.Line > maxLine {
		return
	}
	key := p.key(d)
	switch {
	case len(key) > 0:
		key = append(key, '.')
	case !p.inRules && k.Value == "default":
		p.shared.at = Place{File: d.file, Line: k.Line}
	}
	if isNull(v) {
		return
	}
	code, known := p.codes[string(append(key, k.Value...))]
	if !known {
		return
	}
	line := keyLine(code)<<lineBits | keyLine(k.Line)
	if p.inRules {
		p.lines = append(p.lines, line)
	} else {
		p.top.lines = append(p.top.lines, line)
	}
}

// noteItem keeps an entry of a list. An entry that names a file is replaced by the lines
// of the file.
func (p *provenance) noteItem(d *decoder, n *yaml.Node) {
	if p == nil || p.noting == nil || n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, filePrefix) {
		return
	}
	key, item := strings.CutSuffix(string(p.key(d)), ".[]")
	if !item || strings.Contains(key, "[]") { // within an entry
		return
	}
	p.noting[key] = append(p.noting[key], Entry{Text: flowText(n), At: Place{File: d.file, Line: n.Line}, node: n})
}

// below runs read and returns the lines of the keys that it notes.
func (p *provenance) below(noting lists, read func()) []keyLine {
	p.inRules, p.lines, p.noting = true, p.lines[:0], noting
	read()
	p.inRules, p.noting = false, nil
	return slices.Clone(p.lines)
}

func (p *provenance) belowDefault(read func()) {
	if p == nil {
		read()
		return
	}
	if !p.follow.IsZero() {
		p.sharedLists = lists{}
	}
	p.shared.lines = p.below(p.sharedLists, read)
}

// belowEntry is below for the entry of a domain that begins at the place.
func (p *provenance) belowEntry(at Place, domain dns.Name, read func()) {
	if p == nil {
		read()
		return
	}
	var noting lists
	if domain == p.follow {
		p.ownLists = lists{}
		noting = p.ownLists
	}
	p.entries[domain] = part{at: at, lines: p.below(noting, read)}
}

// line returns the line of a key of the part, 0 if it is not there.
func (p *part) line(code uint8) int {
	for _, l := range p.lines {
		if uint8(l>>lineBits) == code {
			return int(l & maxLine)
		}
	}
	return 0
}

// Origin is where the value of a key comes from.
type Origin struct {
	At        Place // zero for a built-in default
	Inherited bool  // set below `default`, which the domain's entry inherits
}

// String is the origin in a few words, with the file's name alone.
func (o Origin) String() string {
	if o.At.File == "" {
		return "default"
	}
	at := o.At
	at.File = filepath.Base(at.File)
	if o.Inherited {
		return at.String() + ", inherited from default"
	}
	return at.String()
}

// origin returns where the value of a key for a domain comes from: its entry, or
// `default` where it has none or inherits, or the top. known is false if there is no such
// key.
func (p *provenance) origin(domain dns.Name, key string) (o Origin, lists lists, known bool) {
	if p == nil {
		return Origin{}, nil, true
	}
	code, known := p.codes[key]
	if !known {
		return Origin{}, nil, false
	}
	entry, own := p.entries[domain]
	if line := entry.line(code); line > 0 {
		return Origin{At: Place{File: entry.at.File, Line: line}}, p.ownLists, true
	}
	if line := p.shared.line(code); line > 0 && (!own || entry.line(p.codes["inherit"]) > 0) {
		return Origin{At: Place{File: p.shared.at.File, Line: line}, Inherited: own}, p.sharedLists, true
	}
	if line := p.top.line(code); line > 0 {
		return Origin{At: Place{File: p.top.at.File, Line: line}}, nil, true
	}
	return Origin{}, nil, true
}

// PlaceOf returns the place of the rules that RulesFor returns for domain; the zero Place
// for the built-in rules.
func (p *Policy) PlaceOf(domain dns.Name) Place {
	if p.origins == nil {
		return Place{}
	}
	if entry, ok := p.origins.entries[domain]; ok {
		return entry.at
	}
	return p.origins.shared.at
}

// RulePlace returns the place of a key, as in Decision.Rule, that decided for a
// recipient's domain. It is the zero Place for a built-in default, and the place of the
// rules if there is no such key. It never blocks.
func (p *Policy) RulePlace(domain dns.Name, rule string) Place {
	o, _, known := p.origins.origin(domain, rule)
	if !known {
		return p.PlaceOf(domain)
	}
	return o.At
}
