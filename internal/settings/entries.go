package settings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/policy"
)

// entry is one entry of a list: a domain pattern or a network, what an enforced peer must
// pass, and its last valid day.
type entry struct {
	pattern
	network netip.Prefix   // zero for a domain
	require policy.Require // "" in lists that require nothing
	until   policy.Day     // 0 for no end
}

// named is what the entry names.
func (e *entry) named() string {
	if e.network.IsValid() {
		return showPrefix(e.network)
	}
	return e.pattern.String()
}

// String is the entry on one line, such as "bank.example either until 2027-01-31".
func (e *entry) String() string {
	s := e.named()
	if e.require == policy.RequireEither {
		s += " " + string(e.require)
	}
	if e.until != 0 {
		s += " " + untilWord + " " + e.until.String()
	}
	return s
}

// untilWord precedes the end of an entry on a line, and is its key in a mapping.
const untilWord = "until"

// entryForm says what a list may contain.
type entryForm struct {
	domains, networks bool // at least one of them
	files             bool // entries that name files
	ends              bool // entries may end
	requires          bool // entries may require one pass only
}

// expected describes what an entry may be.
func (f *entryForm) expected() string {
	switch {
	case f.domains && f.networks:
		return "a domain, *.domain, an address or a network"
	case f.networks:
		return expectedNetwork
	case f.requires:
		return expectedPeer
	}
	return expectedPattern
}

const expectedPeer = "a domain, *.domain or *, with either behind it if one aligned pass is enough"

// mapping is an entry that is written as a mapping; it has no keys where only words are
// allowed.
func (f *entryForm) mapping() kind[entry] {
	var fields []field[entry]
	if f.domains {
		fields = append(fields, key("domain", aPattern(), func(e *entry) *pattern { return &e.pattern }).
			unless(func(e *entry) bool { return e.network.IsValid() }))
	}
	if f.networks {
		fields = append(fields, key("ip", prefix(), func(e *entry) *netip.Prefix { return &e.network }).
			unless(func(e *entry) bool { return !e.network.IsValid() }))
	}
	if f.requires {
		fields = append(fields, key("require", word(policy.RequireBoth, policy.RequireEither), func(e *entry) *policy.Require { return &e.require }).
			unless(func(e *entry) bool { return e.require != policy.RequireEither }))
	}
	if f.ends {
		fields = append(fields, key(untilWord, aDay(), func(e *entry) *policy.Day { return &e.until }).
			unless(func(e *entry) bool { return e.until == 0 }))
	}
	return section(func(s *scope, _ *entry) { f.check(s) }, fields...)
}

// check requires that the entry names exactly one thing.
func (f *entryForm) check(s *scope) {
	switch {
	case !f.networks:
		s.missing("domain")
	case !f.domains:
		s.missing("ip")
	case s.has("domain") == s.has("ip"):
		s.d.fault(s.node, "expected one of domain and ip")
	}
}

// aDay is the date of an end.
func aDay() kind[policy.Day] {
	return scalarOf(expectedDay, parseEnd, func(v policy.Day) *yaml.Node { return literal(v.String()) })
}

const expectedDay = "a date such as 2027-01-31"

// parseEnd reads the last day on which an entry is valid.
func parseEnd(s string) (policy.Day, error) {
	day, err := policy.ParseDay(s)
	if err != nil || day <= 0 {
		return 0, &meant{}
	}
	return day, nil
}

// line reads an entry from a line.
func (f *entryForm) line(d *decoder, n *yaml.Node, s string) (e entry, ok bool) {
	words := strings.Fields(s)
	if i := slices.Index(words, untilWord); f.ends && i > 0 {
		end := strings.Join(words[i+1:], " ")
		if end == "" {
			d.fault(n, "expected %s behind %s, found nothing", expectedDay, untilWord)
			return e, false
		}
		var err error
		if e.until, err = parseEnd(end); err != nil {
			d.wrong(n, expectedDay+" behind "+untilWord, end, err)
			return e, false
		}
		words = words[:i]
		s = strings.Join(words, " ")
	}
	if f.requires {
		e.require = policy.RequireBoth
		if len(words) > 1 {
			e.require = policy.Require(strings.Join(words[1:], " "))
			if kinds := []string{string(policy.RequireBoth), string(policy.RequireEither)}; !slices.Contains(kinds, string(e.require)) {
				d.wrong(n, f.expected(), s, &meant{hint: withWord(words[0], nearest(string(e.require), kinds))})
				return e, false
			}
			s = words[0]
		}
	}
	if len(words) > 1 && !f.requires && !slices.Contains(words, "-") {
		d.wrong(n, f.expected(), s, &meant{reason: "entries on one line have commas between them"})
		return e, false
	}
	if f.networks {
		if _, err := parsePrefix(s); err == nil || !f.domains {
			e.network, ok = d.network(n, s)
			return e, ok
		}
	}
	e.pattern, ok = d.pattern(n, expectedPattern, s)
	return e, ok
}

// withWord is the spelling to propose, "" where no word is near.
func withWord(domain, word string) string {
	if word == "" {
		return ""
	}
	return clip(domain) + " " + word
}

// show is the entry as a word, or as a mapping where it has more.
func (f *entryForm) show(e *entry) *yaml.Node {
	if e.until == 0 && e.require != policy.RequireEither {
		return plain(e.named())
	}
	return f.mapping().show(*e)
}

// entryList is a list of entries from which an L is made. Entries may be written as words
// and, where they can say more, as mappings.
func entryList[L any](f entryForm, add func(l *L, e *entry), all func(l L) []entry) kind[L] {
	long := f.mapping()
	k := kind[L]{
		show: func(l L) *yaml.Node {
			n := &yaml.Node{Kind: yaml.SequenceNode}
			for _, e := range all(l) {
				n.Content = append(n.Content, f.show(&e))
			}
			return layout(n)
		},
	}
	expected := f.expected()
	var mapped func(d *decoder, item *yaml.Node, l *L)
	if f.ends || f.requires {
		k.keys = elementKeys(long.keys)
		expected += ", or a mapping with the keys " + strings.Join(long.keys, ", ")
		mapped = func(d *decoder, item *yaml.Node, l *L) {
			var e entry
			if f.requires {
				e.require = policy.RequireBoth
			}
			clean := d.watch()
			if long.read(d, item, &e); clean() {
				d.noteEnd(item, &e)
				add(l, &e)
			}
		}
	}
	k.read = func(d *decoder, n *yaml.Node, v *L) {
		var out L
		var asMapping func(item *yaml.Node)
		if mapped != nil {
			asMapping = func(item *yaml.Node) { mapped(d, item, &out) }
		}
		d.words(n, expected, f.files, asMapping, func(at *yaml.Node, s string) {
			if e, ok := f.line(d, at, s); ok {
				d.noteEnd(at, &e)
				add(&out, &e)
			}
		})
		*v = out
	}
	return k
}

// ending is an entry that ends, with its place.
type ending struct {
	Fault
	until policy.Day
}

// noteEnd keeps an entry that ends, for Policy.Ended.
func (d *decoder) noteEnd(at *yaml.Node, e *entry) {
	if e.until != 0 {
		problem := fmt.Sprintf("%s ended on %s and no longer counts; take it out or give it a later end", e.named(), e.until)
		d.endings = append(d.endings, ending{d.at(at, problem, ""), e.until})
	}
}
