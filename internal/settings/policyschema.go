package settings

import (
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// policyDraft is a policy.yaml while it is read.
type policyDraft struct {
	Policy
	rules *policy.Rules // of `default`; nil until it was read
	pool  *pool         // the rules of all entries; nil until there is one

	entriesAt map[dns.Name]Place // the place of each entry
}

// standard is the rules of `default` as far as they have been read, else the built-in
// ones.
func (p *policyDraft) standard() policy.Rules {
	if p.rules != nil {
		return *p.rules
	}
	return defaultRules(p.Mode)
}

// draft is the policy in the form that the schema shows.
func (p *Policy) draft() policyDraft { return policyDraft{Policy: *p, rules: p.Default} }

// rulesStep means both `default` and the entries of `domains` in notBuilt.
const rulesStep = "rules"

// policySchema is every key of policy.yaml. `mode` comes before `default`, and that
// before `domains`, because each starts from the values of the one before.
func policySchema() kind[policyDraft] {
	return section(readDomainsDir,
		key("mode", word(policy.Enforce, policy.Monitor), func(p *policyDraft) *policy.Mode { return &p.Mode }),
		key("mixed_recipients", word(OnConflict, Separate, Mildest, Strictest), func(p *policyDraft) *MixedRecipients { return &p.MixedRecipients }),
		domainsDirField(),
		key("managed", patterns(false), func(p *policyDraft) *policy.DomainList { return &p.Managed }),
		key("defer_limit", duration(time.Second, 30*day), func(p *policyDraft) *time.Duration { return &p.DeferLimit }),
		defaultField(),
		domainsField(),
		key("tests", list(testEntry()), func(p *policyDraft) *[]Test { return &p.Tests }),
	)
}

// domainsDirField is `domains_dir`. What is shown has its entries below `domains`.
func domainsDirField() field[policyDraft] {
	f := key("domains_dir", path(), func(p *policyDraft) *string { return &p.DomainsDir })
	f.show = func(p *policyDraft) *yaml.Node {
		n := quoted("")
		if p.DomainsDir != "" {
			n.LineComment = "# the entries of " + printable(p.DomainsDir) + " stand below"
		}
		return n
	}
	return f
}

// defaultField is `default`, the rules of every managed domain without an entry.
func defaultField() field[policyDraft] {
	rules := section(checkRules, rulesFields()...)
	return field[policyDraft]{
		name: "default",
		keys: below("default", rules.keys),
		read: func(d *decoder, n *yaml.Node, p *policyDraft) {
			r := defaultRules(p.Mode)
			if !isNull(n) {
				d.path[len(d.path)-1].schema = rulesStep
				d.origins.belowDefault(func() { into(d, rules, n, &r) })
			}
			p.rules = &r
		},
		show: func(p *policyDraft) *yaml.Node { return rules.show(p.standard()) },
	}
}

// domainsField is `domains`. An entry replaces the default wholly: it starts from
// the built-in rules, unless it inherits.
func domainsField() field[policyDraft] {
	return field[policyDraft]{
		name: "domains",
		keys: below("domains", below("*", entrySchema(nil).keys)),
		read: func(d *decoder, n *yaml.Node, p *policyDraft) {
			if isNull(n) {
				return
			}
			if n.Kind == yaml.AliasNode {
				n = n.Alias
			}
			d.path[len(d.path)-1].schema = rulesStep
			p.readEntries(d, n)
		},
		show: showDomains,
	}
}

// readEntries reads a mapping of domain entries.
func (p *policyDraft) readEntries(d *decoder, n *yaml.Node) {
	standard := p.standard()
	one, builtin := entrySchema(&standard), defaultRules(p.Mode)
	if p.pool == nil {
		p.pool = newPool()
		p.entriesAt = make(map[dns.Name]Place, len(n.Content)/2)
	}
	var rules policy.Rules // of one entry after another; the pool copies new ones
	d.pairs(n, func(k, v *yaml.Node) {
		name, ok := d.entryName(k)
		if !ok {
			return
		}
		if first, twice := p.entriesAt[name]; twice {
			d.duplicate(k, "domain "+name.String(), first)
			return
		}
		at := Place{File: d.file, Line: k.Line}
		p.entriesAt[name] = at
		rules = builtin
		d.origins.belowEntry(at, name, func() {
			if !isNull(v) {
				into(d, one, v, &rules)
			}
		})
		p.Domains[name] = p.pool.intern(&rules)
		d.warnLosses(k, v, &rules, &standard)
	})
}

// readDomainsDir reads the entries of domains_dir.
func readDomainsDir(s *scope, p *policyDraft) {
	if p.DomainsDir == "" || !s.sound("domains_dir") {
		return
	}
	if s.d.folder == "" {
		s.fault("domains_dir", "no folder can be named here; write the entries out")
		return
	}
	folder := filepath.Join(s.d.folder, p.DomainsDir)
	if filepath.IsAbs(p.DomainsDir) {
		folder = filepath.Clean(p.DomainsDir)
	}
	files, err := s.d.sources.yamlFiles(folder)
	if err != nil {
		s.d.push("domains_dir", "")
		s.d.unread(s.place("domains_dir"), folder, err)
		s.d.pop()
		return
	}
	room := maxFileBytes
	for _, path := range files {
		if room -= s.d.domainsFile(path, p); room < 0 {
			s.fault("domains_dir", "the files in %s together are larger than %d MiB", folder, maxFileBytes>>20)
			return
		}
	}
}

// domainsFile reads one file of domains_dir and returns its size. Its faults, and the
// lists that it names, are relative to it.
func (d *decoder) domainsFile(path string, p *policyDraft) int {
	outer := *d
	defer func() { d.file, d.folder, d.other = outer.file, outer.folder, outer.other }()
	d.file, d.folder, d.other = path, filepath.Dir(path), otherFile{policyFile, topKeys(d.keys)}
	data, err := d.sources.read(path)
	if err != nil {
		d.faults.add(Fault{File: path, Problem: err.Error()}, "")
		return 0
	}
	if root, ok := d.parse(data); ok && root != nil {
		into(d, section(nil, domainsField()), root, p)
	}
	return len(data)
}

// entryName reads the key of an entry: one domain.
func (d *decoder) entryName(k *yaml.Node) (dns.Name, bool) {
	p, err := parsePattern(k.Value)
	switch {
	case err != nil:
		d.wrong(k, "a domain", k.Value, err)
	case p.all:
		d.faultHint(k, "default", "an entry is for one domain; what holds for all others stands under default")
	case p.wildcard:
		d.fault(k, "an entry is for one domain; give each its own, or list %s under managed", p)
	default:
		if publicSuffix(p.name) {
			d.warn(k, "%s is a public suffix, and the entry is for that name alone", p.name)
		}
		return p.name, true
	}
	return dns.Name{}, false
}

// warnLosses warns of the parts of the default that an entry, v, loses by replacing it. A
// key that it sets itself is not lost.
func (d *decoder) warnLosses(k, v *yaml.Node, r, standard *policy.Rules) {
	dmarc := child(v, "dmarc")
	var lost []string
	if r.DMARC.Exceptions.Empty() && !standard.DMARC.Exceptions.Empty() && child(dmarc, "exceptions") == nil {
		lost = append(lost, "exceptions")
	}
	if r.DMARC.EnforcedPeers.Empty() && !standard.DMARC.EnforcedPeers.Empty() && child(dmarc, "enforced_peers") == nil {
		lost = append(lost, "enforced peers")
	}
	if len(lost) > 0 && r.DMARC.Enabled {
		d.warn(k, "the entry replaces the default wholly and so loses its %s; repeat them here or say inherit: default", strings.Join(lost, " and "))
	}
}

// entrySchema is one entry of `domains`. With `inherit: default` it starts from
// standard.
func entrySchema(standard *policy.Rules) kind[policy.Rules] {
	const inheritDefault = "default"
	inherit := word(inheritDefault)
	fields := []field[policy.Rules]{
		{
			name: "inherit",
			keys: []string{"inherit"},
			read: func(d *decoder, n *yaml.Node, r *policy.Rules) {
				if isNull(n) {
					return
				}
				var from string
				if into(d, inherit, n, &from); from == inheritDefault {
					*r = *standard
				}
			},
		},
		key("mode", word(policy.Enforce, policy.Monitor), func(r *policy.Rules) *policy.Mode { return &r.Mode }),
	}
	return section(checkRules, append(fields, rulesFields()...)...)
}

// showDomains writes every entry in full, but omits a mode equal to that at the top.
func showDomains(p *policyDraft) *yaml.Node {
	one, n := entrySchema(nil), mapping()
	shown := map[*policy.Rules]*yaml.Node{}
	for _, name := range sortedNames(p.Domains) {
		r := p.Domains[name]
		v := shown[r]
		if v == nil {
			v = one.show(*r)
			if r.Mode == p.Mode {
				v.Content = v.Content[2:] // mode comes first
			}
			shown[r] = v
		}
		n.Content = append(n.Content, plain(name.String()), v)
	}
	return n
}

// finish makes the policy from the draft: one pointer for equal rules, and derived
// values.
func (p *policyDraft) finish() *Policy {
	out := p.Policy
	standard := p.standard()
	out.Default = &standard
	if p.pool != nil {
		out.Default = p.pool.intern(&standard)
	}
	out.index()
	return &out
}
