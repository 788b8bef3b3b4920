package settings

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/policy"
)

// filePrefix marks an entry of a list that names a file with more entries, one a line.
const filePrefix = "file:"

// words calls take for each word of a list and, where files is set, for each
// line of the files that it names; long, if not nil, gets the entries that are
// sections. Take gets the place to blame.
func (d *decoder) words(n *yaml.Node, expected string, files bool, long func(item *yaml.Node), take func(at *yaml.Node, s string)) {
	entry := kind[struct{}]{read: func(d *decoder, item *yaml.Node, _ *struct{}) {
		if item.Kind == yaml.MappingNode && long != nil {
			long(item)
			return
		}
		s, ok := d.scalar(item, expected)
		if !ok {
			return
		}
		if name, ok := strings.CutPrefix(s, filePrefix); ok && files {
			d.listFile(item, name, take)
			return
		}
		take(item, s)
	}}
	each(d, n, func(item *yaml.Node) { into(d, entry, item, &struct{}{}) })
}

// listFile reads the entries of a `file:` list. Its faults name the list file.
func (d *decoder) listFile(n *yaml.Node, name string, take func(at *yaml.Node, s string)) {
	if d.folder == "" {
		d.fault(n, "files cannot be named here; write the entries out")
		return
	}
	if _, err := oneLine(name, maxPath); err != nil || name == "" {
		d.fault(n, "expected the name of a file after %s, found %q", filePrefix, clip(name))
		return
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.folder, path)
	}
	data, err := d.sources.read(path)
	if err != nil {
		d.unread(n, path, err)
		return
	}
	outer := d.file
	d.file = path
	defer func() { d.file = outer }()
	d.lines(data, n, take)
}

// unread reports a file or folder that the value names and that cannot be read.
func (d *decoder) unread(n *yaml.Node, path string, err error) {
	f := d.at(n, path+": "+err.Error(), "")
	f.Unread = path
	d.faults.add(f, "")
}

// lines reads the text of a list file: one entry a line, with # before a comment.
// N is blamed for a file that is too large.
func (d *decoder) lines(data []byte, n *yaml.Node, take func(at *yaml.Node, s string)) {
	line := 0
	for l := range bytes.Lines(data) {
		line++
		entry, _, _ := strings.Cut(string(l), "#")
		entry = strings.TrimSpace(strings.TrimPrefix(entry, "\ufeff"))
		if entry == "" {
			continue
		}
		if !d.spend(n) {
			return
		}
		at := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: entry, Line: line, Column: 1}
		d.origins.noteItem(d, at)
		take(at, entry)
	}
}

// pattern reads one domain pattern and warns of a public suffix.
func (d *decoder) pattern(n *yaml.Node, expected, s string) (pattern, bool) {
	p, err := parsePattern(s)
	if err != nil {
		d.wrong(n, expected, s, err)
		return p, false
	}
	if !p.all && publicSuffix(p.name) {
		d.warn(n, "%s is a public suffix: everybody's domains are below it", p.name)
	}
	return p, true
}

func addPattern(l *policy.DomainList, p pattern, until policy.Day) {
	if p.all {
		l.AddAll(until)
		return
	}
	l.AddUntil(p.name, p.wildcard, until)
}

// aPattern is a single domain pattern.
func aPattern() kind[pattern] {
	return kind[pattern]{
		read: func(d *decoder, n *yaml.Node, v *pattern) {
			if s, ok := d.scalar(n, expectedPattern); ok {
				if p, ok := d.pattern(n, expectedPattern, s); ok {
					*v = p
				}
			}
		},
		show: func(v pattern) *yaml.Node { return quoted(v.String()) },
	}
}

// onePattern is the list of a single domain pattern.
func onePattern() kind[policy.DomainList] {
	return convert(aPattern(),
		func(p pattern) policy.DomainList {
			var l policy.DomainList
			if p != (pattern{}) {
				addPattern(&l, p, 0)
			}
			return l
		},
		func(l policy.DomainList) pattern {
			p, _ := parsePattern(strings.Join(l.Patterns(), "")) // a pattern that was parsed before, or none
			return p
		})
}

// senders is `all`, or the From domains to verify.
func senders() kind[policy.DomainList] {
	const all = "all"
	some := patterns(true)
	return kind[policy.DomainList]{
		read: func(d *decoder, n *yaml.Node, v *policy.DomainList) {
			if n.Kind != yaml.ScalarNode {
				some.read(d, n, v)
				return
			}
			if n.Value != all {
				d.faultHint(n, "["+clip(n.Value)+"]", "expected all or a list of domains, found %s", describe(n))
				return
			}
			*v = policy.DomainList{All: true}
		},
		show: func(v policy.DomainList) *yaml.Node {
			if slices.Equal(v.Patterns(), []string{"*"}) {
				return plain(all)
			}
			return some.show(v)
		},
	}
}

// patterns is a list of domain patterns.
func patterns(files bool) kind[policy.DomainList] {
	return entryList(entryForm{domains: true, files: files}, addDomain, domainEntries)
}

// endingPatterns is patterns whose entries may end.
func endingPatterns() kind[policy.DomainList] {
	return entryList(entryForm{domains: true, files: true, ends: true}, addDomain, domainEntries)
}

// networks is a list of addresses and networks.
func networks(files bool) kind[policy.NetList] {
	return entryList(entryForm{networks: true, files: files}, addNetwork, networkEntries)
}

// endingNetworks is networks whose entries may end.
func endingNetworks() kind[policy.NetList] {
	return entryList(exceptionForm, addNetwork, networkEntries)
}

// peers is a list of enforced peers.
func peers() kind[policy.PeerList] {
	return entryList(peerForm, addPeer, peerEntries)
}

// Forms of lists that can be in a file of their own.
var (
	senderForm    = entryForm{domains: true, files: true}
	exceptionForm = entryForm{networks: true, files: true, ends: true}
	peerForm      = entryForm{domains: true, files: true, ends: true, requires: true}
)

func addDomain(l *policy.DomainList, e *entry) { addPattern(l, e.pattern, e.until) }

func addNetwork(l *policy.NetList, e *entry) { l.AddUntil(e.network, e.until) }

func addPeer(l *policy.PeerList, e *entry) { l.AddUntil(e.name, e.wildcard, e.all, e.require, e.until) }

func domainEntries(l policy.DomainList) (out []entry) {
	for _, e := range l.PatternsUntil() {
		p, _ := parsePattern(e.Pattern) // a pattern that was parsed before
		out = append(out, entry{pattern: p, until: e.Until})
	}
	return out
}

func networkEntries(l policy.NetList) (out []entry) {
	for _, p := range l.Prefixes() {
		out = append(out, entry{network: p, until: l.Until(p)})
	}
	return out
}

// peerEntries leaves out a peer that the list has with the stricter requirement for as
// long.
func peerEntries(l policy.PeerList) (out []entry) {
	both, either := l.Patterns()
	ends := map[string]policy.Day{}
	for _, e := range both {
		ends[e.Pattern] = e.Until
		p, _ := parsePattern(e.Pattern) // a pattern that was parsed before
		out = append(out, entry{pattern: p, require: policy.RequireBoth, until: e.Until})
	}
	for _, e := range either {
		if end, stricter := ends[e.Pattern]; stricter && (end == 0 || e.Until != 0 && e.Until <= end) {
			continue
		}
		p, _ := parsePattern(e.Pattern) // a pattern that was parsed before
		out = append(out, entry{pattern: p, require: policy.RequireEither, until: e.Until})
	}
	return out
}
