package settings

import (
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Trace is what one recipient domain follows, and where each part of it stands.
// It is made by a reading of its own, so that the load that mail waits for pays
// nothing.
type Trace struct {
	Domain dns.Name
	Rules  *policy.Rules
	Ours   bool  // whether mail for the domain is looked at
	At     Place // the domain's entry, or `default`; zero for the built-in rules

	folder  string // of the policy file; "" without one
	own     bool   // the domain has an entry
	reading bool   // what is read now is that entry
	top     marks
	shared  marks // below `default`
	entry   marks // below the domain's entry
}

// marks are the keys of one part of the file and the entries of its lists.
type marks struct {
	keys  map[string]Place
	lists map[string][]Entry
}

// Entry is one entry of a list as it is written.
type Entry struct {
	Text string
	At   Place
	node *yaml.Node
}

// Origin says where the value of a key comes from.
type Origin struct {
	At        Place // zero for a built-in default
	Inherited bool  // it stands below `default`, which the domain's entry inherits
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

// TracePolicy reads the policy file at path for what the domain follows; "" stands
// for running without files. Its tests are not tried. The error is Faults.
func TracePolicy(path string, domain dns.Name) (*Trace, error) {
	if path == "" {
		t, p := &Trace{Domain: domain}, defaultPolicy()
		t.Rules, t.Ours = p.RulesFor(domain)
		return t, nil
	}
	path = whole(path)
	data, err := readFile(path)
	if err != nil {
		return nil, Faults{{File: path, Problem: err.Error()}}
	}
	return newDecoder(path, filepath.Dir(path)).traced(data, domain)
}

// traced reads the text of a policy file for what the domain follows.
func (d *decoder) traced(data []byte, domain dns.Name) (*Trace, error) {
	t := &Trace{Domain: domain, folder: d.folder}
	d.trace = t
	p, _, err := d.policy(data)
	if err != nil {
		return nil, err
	}
	t.Rules, t.Ours = p.RulesFor(domain)
	t.At = p.PlaceOf(domain)
	_, t.own = p.Domains[domain]
	return t, nil
}

// entered tells which entry of `domains` is read next.
func (t *Trace) entered(domain dns.Name) { t.reading = domain == t.Domain }

// marksAt gives the marks that the path of d belongs to, and the key relative to
// them, without the index of an entry at its end; nil where nobody will ask.
func (t *Trace) marksAt(d *decoder) (m *marks, key string) {
	m, skip := &t.top, 0
	switch d.path[0].shown {
	case "default":
		m, skip = &t.shared, 1
	case "domains":
		if m, skip = &t.entry, 2; !t.reading {
			return nil, ""
		}
	}
	var b strings.Builder
	for i, s := range d.path {
		if i < skip {
			continue
		}
		if strings.HasPrefix(s.shown, "[") {
			if i < len(d.path)-1 {
				return nil, "" // within an entry
			}
			break
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.shown)
	}
	return m, b.String()
}

// note marks a key that has a value.
func (t *Trace) note(d *decoder, k *yaml.Node) {
	m, key := t.marksAt(d)
	if m == nil {
		return
	}
	if m.keys == nil {
		m.keys = map[string]Place{}
	}
	m.keys[key] = Place{File: d.file, Line: k.Line}
}

// noteItem marks an entry of a list. One that names a file stands for the lines
// of it, which are marked themselves.
func (t *Trace) noteItem(d *decoder, n *yaml.Node) {
	m, key := t.marksAt(d)
	if m == nil || n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, filePrefix) {
		return
	}
	if m.lists == nil {
		m.lists = map[string][]Entry{}
	}
	m.lists[key] = append(m.lists[key], Entry{Text: flowText(n), At: Place{File: d.file, Line: n.Line}, node: n})
}

// flowText is a value on one line, as it may stand in a list.
func flowText(n *yaml.Node) string {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return printable(n.Value)
	case yaml.SequenceNode:
		var parts []string
		for _, c := range n.Content {
			parts = append(parts, flowText(c))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	var parts []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		parts = append(parts, flowText(n.Content[i])+": "+flowText(n.Content[i+1]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// marksOf are the marks that decide a key: those of the domain's entry, or of
// `default` where there is no entry or it inherits. Nil for a built-in value.
func (t *Trace) marksOf(key string) (m *marks, inherited bool) {
	if t.own {
		if _, ok := t.entry.keys[key]; ok {
			return &t.entry, false
		}
		if _, inherits := t.entry.keys["inherit"]; !inherits {
			return nil, false
		}
	}
	if _, ok := t.shared.keys[key]; ok {
		return &t.shared, t.own
	}
	return nil, false
}

// Origin says where the value of a key comes from. Keys are relative to the
// domain's entry, such as dmarc.actions.reject; defer_limit and mixed_recipients are
// those at the top, which holds for mode too where the entry has none.
func (t *Trace) Origin(key string) Origin {
	if m, inherited := t.marksOf(key); m != nil {
		return Origin{At: m.keys[key], Inherited: inherited}
	}
	return Origin{At: t.top.keys[key]}
}

// Entries are the entries of a list, with those of its files, in their order.
func (t *Trace) Entries(key string) []Entry {
	if m, _ := t.marksOf(key); m != nil {
		return m.lists[key]
	}
	return nil
}
