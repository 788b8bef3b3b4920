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

// unread tells of a file or folder that the value names and that cannot be read.
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

// aPattern is a single domain pattern.
func aPattern() kind[pattern] {
	return kind[pattern]{
		read: func(d *decoder, n *yaml.Node, v *pattern) {
			if s, ok := d.scalar(n, expectedPattern); ok {
				if p, ok := d.pattern(n, s); ok {
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
				addPattern(&l, p)
			}
			return l
		},
		func(l policy.DomainList) pattern {
			p, _ := parsePattern(strings.Join(l.Patterns(), "")) // one that was read before, or none
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

// peer is one enforced peer.
type peer struct {
	pattern
	require policy.Require
}

// String is the peer on one line: with RequireEither, "bank.example either".
func (p peer) String() string {
	if p.require == policy.RequireEither {
		return p.pattern.String() + " " + string(p.require)
	}
	return p.pattern.String()
}

func (p peer) addTo(l *policy.PeerList) { l.Add(p.name, p.wildcard, p.all, p.require) }

const expectedPeer = "a domain, *.domain or *, with either behind it if one aligned pass is enough"

// peer reads one enforced peer from a line.
func (d *decoder) peer(n *yaml.Node, s string) (peer, bool) {
	word, p := s, peer{require: policy.RequireBoth}
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		word, p.require = s[:i], policy.Require(strings.TrimSpace(s[i:]))
		if p.require != policy.RequireBoth && p.require != policy.RequireEither {
			words := []string{string(policy.RequireBoth), string(policy.RequireEither)}
			d.wrong(n, expectedPeer, s, &meant{hint: withWord(word, nearest(string(p.require), words))})
			return p, false
		}
	}
	var ok bool
	p.pattern, ok = d.pattern(n, word)
	return p, ok
}

// withWord is the spelling to propose, "" where no word is near.
func withWord(domain, word string) string {
	if word == "" {
		return ""
	}
	return clip(domain) + " " + word
}

// peers is a list of enforced peers: one each as a word or line, or {domain, require}.
func peers() kind[policy.PeerList] {
	long := section(
		func(s *scope, _ *peer) { s.missing("domain") },
		key("domain", aPattern(), func(p *peer) *pattern { return &p.pattern }),
		key("require", word(policy.RequireBoth, policy.RequireEither), func(p *peer) *policy.Require { return &p.require }))
	return kind[policy.PeerList]{
		keys: elementKeys(long.keys),
		read: func(d *decoder, n *yaml.Node, v *policy.PeerList) {
			var out policy.PeerList
			d.entries(n, expectedPattern+", or {domain, require}", true,
				func(item *yaml.Node) {
					p := peer{require: policy.RequireBoth}
					clean := d.watch()
					if long.read(d, item, &p); clean() {
						p.addTo(&out)
					}
				},
				func(at *yaml.Node, s string) {
					if p, ok := d.peer(at, s); ok {
						p.addTo(&out)
					}
				})
			*v = out
		},
		show: func(v policy.PeerList) *yaml.Node {
			both, either := v.Patterns()
			n := wordList(both)
			for _, s := range either {
				p, _ := parsePattern(s) // one that was read before
				n.Content = append(n.Content, long.show(peer{p, policy.RequireEither}))
			}
			return layout(n)
		},
	}
}
