package settings

import (
	"bytes"
	"slices"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// keyPlaces says on which line of the policy file each key of `default` and of the
// domain entries stands. It is noted while the file is read, so that who asks later
// needs no file, and takes four octets a key.
type keyPlaces struct {
	file    string
	known   map[string]uint8 // the keys of an entry, and those at the top
	lines   []keyLine        // those at the top first
	top     int              // how many these are
	shared  stretch          // below `default`
	entries map[dns.Name]stretch
}

// keyLine is a key, in its top octet, and a line.
type keyLine uint32

const (
	lineBits = 24
	maxLine  = 1<<lineBits - 1
)

// stretch is a part of the lines: those of one part of the file.
type stretch struct{ from, to uint32 }

// rootKeys are the keys at the top that decide.
var rootKeys = []string{"mode", policy.RuleMixedRecipients, policy.RuleDeferLimit}

func newKeyPlaces(file string) *keyPlaces {
	p := &keyPlaces{file: file, known: map[string]uint8{}, entries: map[dns.Name]stretch{}}
	for _, k := range slices.Concat(rootKeys, entrySchema(nil).keys) {
		if _, twice := p.known[k]; !twice {
			p.known[k] = uint8(len(p.known))
		}
	}
	return p
}

// note keeps the line of a key of the section that d reads.
func (p *keyPlaces) note(d *decoder, k, v *yaml.Node) {
	if isNull(v) {
		return
	}
	section := d.schemaKey()
	key, ours := bytes.CutPrefix(section, []byte(rulesStep))
	if !ours && len(section) > 0 {
		return
	}
	if key, _ = bytes.CutPrefix(key, []byte(".")); len(key) > 0 {
		key = append(key, '.')
	}
	i, known := p.known[string(append(key, k.Value...))]
	if !known || k.Line > maxLine {
		return
	}
	p.lines = append(p.lines, keyLine(i)<<lineBits|keyLine(k.Line))
	if len(section) == 0 {
		p.top++
	}
}

// below gives what is noted while read runs. On a nil p it only runs.
func (p *keyPlaces) below(read func()) stretch {
	if p == nil {
		read()
		return stretch{}
	}
	from := len(p.lines)
	read()
	return stretch{uint32(from), uint32(len(p.lines))}
}

func (p *keyPlaces) belowDefault(read func()) {
	if s := p.below(read); p != nil {
		p.shared = s
	}
}

func (p *keyPlaces) belowEntry(domain dns.Name, read func()) {
	if s := p.below(read); p != nil {
		p.entries[domain] = s
	}
}

// find gives the line of a key in a part of the file, 0 if it is not there.
func (p *keyPlaces) find(s stretch, key uint8) int {
	for _, l := range p.lines[s.from:s.to] {
		if uint8(l>>lineBits) == key {
			return int(l & maxLine)
		}
	}
	return 0
}

// line gives the line of the key that holds for a domain, 0 for a built-in default;
// own tells that the domain has an entry.
func (p *keyPlaces) line(domain dns.Name, own bool, key uint8) int {
	if own {
		entry := p.entries[domain]
		if line := p.find(entry, key); line > 0 {
			return line
		}
		own = p.find(entry, p.known["inherit"]) == 0
	}
	if !own {
		if line := p.find(p.shared, key); line > 0 {
			return line
		}
	}
	return p.find(stretch{0, uint32(p.top)}, key)
}

// RulePlace says where a key stands that decided for a recipient's domain, such as
// Decision.Rule has it: in the domain's entry, below `default` where that holds or
// is inherited, or at the top. It is the zero Place for a built-in default, and the
// place of the rules for what is no key. It waits for nothing.
func (p *Policy) RulePlace(domain dns.Name, rule string) Place {
	if p.places == nil {
		return Place{}
	}
	key, known := p.places.known[rule]
	if !known {
		return p.PlaceOf(domain)
	}
	_, own := p.Domains[domain]
	if line := p.places.line(domain, own, key); line > 0 {
		return Place{File: p.places.file, Line: line}
	}
	return Place{}
}
