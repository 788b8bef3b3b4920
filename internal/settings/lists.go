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

// entries calls take for each word of a list and, where files is set, for each
// line of the files that it names; long, if not nil, gets the entries that are
// sections. Take gets the place to blame.
func (d *decoder) entries(n *yaml.Node, expected string, files bool, long func(item *yaml.Node), take func(at *yaml.Node, s string)) {
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
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.folder, path)
	}
	data, ok := d.lists[path]
	if !ok {
		var err error
		if data, err = readFile(path); err != nil {
			d.fault(n, "%s: %v", path, err)
			return
		}
		d.lists[path] = data
	}
	outer := d.file
	d.file = path
	defer func() { d.file = outer }()
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
		take(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: entry, Line: line, Column: 1}, entry)
	}
}

// pattern reads one domain pattern and warns of a public suffix.
func (d *decoder) pattern(n *yaml.Node, s string) (pattern, bool) {
	p, err := parsePattern(s)
	if err != nil {
		d.wrong(n, expectedPattern, s, err)
		return p, false
	}
	if !p.all && publicSuffix(p.name) {
		d.warn(n, "%s is a public suffix: everybody's domains are below it", p.name)
	}
	return p, true
}

func addPattern(l *policy.DomainList, p pattern) {
	if p.all {
		l.All = true
		return
	}
	l.Add(p.name, p.wildcard)
}

// listOf is the list of one pattern as Patterns spells it.
func listOf(s string) policy.DomainList {
	var l policy.DomainList
	if p, err := parsePattern(s); err == nil {
		addPattern(&l, p)
	}
	return l
}

// patterns is a list of domain patterns.
func patterns(files bool) kind[policy.DomainList] {
	return kind[policy.DomainList]{
		read: func(d *decoder, n *yaml.Node, v *policy.DomainList) {
			var out policy.DomainList
			d.entries(n, expectedPattern, files, nil, func(at *yaml.Node, s string) {
				if p, ok := d.pattern(at, s); ok {
					addPattern(&out, p)
				}
			})
			*v = out
		},
		show: func(v policy.DomainList) *yaml.Node { return wordList(v.Patterns()) },
	}
}

// onePattern is a single domain pattern.
func onePattern() kind[policy.DomainList] {
	return kind[policy.DomainList]{
		read: func(d *decoder, n *yaml.Node, v *policy.DomainList) {
			var out policy.DomainList
			if s, ok := d.scalar(n, expectedPattern); ok {
				if p, ok := d.pattern(n, s); ok {
					addPattern(&out, p)
				}
			}
			*v = out
		},
		show: func(v policy.DomainList) *yaml.Node { return quoted(strings.Join(v.Patterns(), "")) },
	}
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

// networks is a list of addresses and networks.
func networks(files bool) kind[policy.NetList] {
	return kind[policy.NetList]{
		read: func(d *decoder, n *yaml.Node, v *policy.NetList) {
			var out policy.NetList
			d.entries(n, expectedNetwork, files, nil, func(at *yaml.Node, s string) {
				if p, ok := d.network(at, s); ok {
					out.Add(p)
				}
			})
			*v = out
		},
		show: showNetworks,
	}
}

func showNetworks(v policy.NetList) *yaml.Node {
	var words []string
	for _, p := range v.Prefixes() {
		words = append(words, showPrefix(p))
	}
	return wordList(words)
}

// peers is a list of enforced peers: patterns, or {domain, require}.
func peers() kind[policy.PeerList] {
	type peer struct {
		domain  policy.DomainList
		require policy.Require
	}
	long := section(
		func(s *scope, _ *peer) { s.missing("domain") },
		key("domain", onePattern(), func(p *peer) *policy.DomainList { return &p.domain }),
		key("require", word(policy.RequireBoth, policy.RequireEither), func(p *peer) *policy.Require { return &p.require }))
	return kind[policy.PeerList]{
		keys: elementKeys(long.keys),
		read: func(d *decoder, n *yaml.Node, v *policy.PeerList) {
			var out policy.PeerList
			add := func(s string, r policy.Require) {
				if p, err := parsePattern(s); err == nil {
					out.Add(p.name, p.wildcard, p.all, r)
				}
			}
			d.entries(n, expectedPattern+", or {domain, require}", true,
				func(item *yaml.Node) {
					p := peer{require: policy.RequireBoth}
					long.read(d, item, &p)
					for _, s := range p.domain.Patterns() {
						add(s, p.require)
					}
				},
				func(at *yaml.Node, s string) {
					if _, ok := d.pattern(at, s); ok {
						add(s, policy.RequireBoth)
					}
				})
			*v = out
		},
		show: func(v policy.PeerList) *yaml.Node {
			both, either := v.Patterns()
			n := wordList(both)
			for _, s := range either {
				n.Content = append(n.Content, long.show(peer{listOf(s), policy.RequireEither}))
			}
			return layout(n)
		},
	}
}
