package simulate

import (
	"cmp"
	"net/netip"
	"slices"

	"dmarcd/internal/dns"
)

// Result is the result of a replay. Everything is sorted by size, and is reproducible for
// the same records in the same order.
type Result struct {
	Messages int64 `json:"messages"` // replayed
	Changed  int64 `json:"changed"`  // of these would be treated otherwise
	// Watched would be treated alike, but mode monitor would report something else.
	Watched int64 `json:"watched"`
	// Domains has the recipient domains; a message counts for each of its own. From and
	// Sources have each message once.
	Domains Domains `json:"domains"`
	From    Senders `json:"from"`
	Sources Senders `json:"sources"`
	// Unknown is what the replay cannot know about these messages, and Notes is the same
	// in words.
	Unknown Unknown  `json:"unknown"`
	Notes   []string `json:"notes"`
}

// Domains is the changes by recipient domain.
type Domains struct {
	Entries []Domain `json:"entries"`
	Others  int64    `json:"others"` // changes for domains that are not listed
	Exact   bool     `json:"exact"`  // false where there were too many domains to count each
}

// Domain is the changes for one recipient domain. Changed and Watched are exact.
type Domain struct {
	Domain  string   `json:"domain"` // "" for recipients without one
	Changed int64    `json:"changed"`
	Watched int64    `json:"watched"`
	Changes []Change `json:"changes"`
	Others  int64    `json:"others"` // changes that are not listed
}

// Change is messages of one recipient domain that change alike, by one rule.
type Change struct {
	Before   Treatment `json:"before"`
	After    Treatment `json:"after"`
	Cause    Cause     `json:"cause"` // of After
	Count    int64     `json:"count"`
	From     Counts    `json:"from"`
	Sources  Counts    `json:"sources"`
	Examples []Example `json:"examples,omitempty"` // the newest first
}

// Counts are the most frequent of some names.
type Counts struct {
	Entries []Count `json:"entries"`
	Others  int64   `json:"others"` // of names that are not listed or cannot be determined
	Exact   bool    `json:"exact"`  // each entry's Count is exact
}

// Count is how often a name occurs.
type Count struct {
	Name   string `json:"name"`              // "" for From without a single domain, or a client that is not known
	Count  int64  `json:"count"`             // at least
	AtMost int64  `json:"at_most,omitempty"` // where that is another number; 0 where Count is exact
}

// Senders is the changes by From domain, or by network.
type Senders struct {
	Entries []Sender `json:"entries"`
	Others  int64    `json:"others"` // messages of senders that are not listed or cannot be determined
	Exact   bool     `json:"exact"`
}

// Sender is the changes for one From domain or network.
type Sender struct {
	Count
	Changes   []Pair    `json:"changes"`
	Addresses *Counts   `json:"addresses,omitempty"` // of a network
	Examples  []Example `json:"examples,omitempty"`
}

// Pair counts messages that change alike. Those of a sender add up to its Count,
// less further kinds than are kept.
type Pair struct {
	Before Treatment `json:"before"`
	After  Treatment `json:"after"`
	Count  int64     `json:"count"`
}

// Bounds on what a Result lists.
const (
	shownDomains = 1000
	shownSenders = 1000
)

// Result returns what was found by now.
func (r *Replay) Result() *Result {
	out := &Result{
		Messages: r.messages, Changed: r.changed, Watched: r.watched,
		Domains: r.domains.result(),
		From:    r.authors.result(itself),
		Sources: r.sources.result(network),
		Unknown: r.unknowns(),
	}
	out.Notes = r.notes(&out.Unknown)
	return out
}

func itself(s string) string { return s }

// network names a network, "" for none.
func network(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (t *domainCounts) result() Domains {
	out := Domains{Entries: []Domain{}, Others: t.others, Exact: t.others == 0}
	names := make([]dns.Name, 0, len(t.domains))
	for n := range t.domains {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b dns.Name) int {
		x, y := t.domains[a], t.domains[b]
		return cmp.Or(cmp.Compare(y.changed, x.changed), cmp.Compare(y.watched, x.watched), cmp.Compare(a.String(), b.String()))
	})
	for i, n := range names {
		d := t.domains[n]
		if i >= shownDomains {
			out.Others += d.changed + d.watched
			continue
		}
		out.Entries = append(out.Entries, d.result(n))
	}
	return out
}

func (d *ofDomain) result(n dns.Name) Domain {
	out := Domain{Domain: n.String(), Changed: d.changed, Watched: d.watched, Changes: []Change{}, Others: d.plain}
	for _, a := range d.changes {
		out.Changes = append(out.Changes, Change{
			Before: a.was, After: a.is, Cause: a.cause, Count: a.count,
			From: counts(&a.authors, maxKeys, itself), Sources: counts(&a.sources, maxKeys, network), Examples: a.examples.newest(),
		})
	}
	slices.SortStableFunc(out.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Before.String(), b.Before.String()),
			cmp.Compare(a.After.String(), b.After.String()), cmp.Compare(a.Cause.Rule, b.Cause.Rule))
	})
	return out
}

func (c *counted[K, D]) result(name string) Count {
	out := Count{Name: name, Count: c.least()}
	if c.over > 0 {
		out.AtMost = c.count
	}
	return out
}

func counts[K comparable, D any](t *top[K, D], most int, name func(K) string) Counts {
	out := Counts{Entries: []Count{}, Exact: !t.evicted}
	shown, others := t.sorted(most, name)
	for _, c := range shown {
		out.Entries = append(out.Entries, c.result(name(c.key)))
	}
	out.Others = others
	return out
}

func (o *overview[K]) result(name func(K) string) Senders {
	out := Senders{Entries: []Sender{}, Exact: !o.keys.evicted}
	shown, others := o.keys.sorted(shownSenders, name)
	out.Others = others
	for _, c := range shown {
		k := &c.detail
		s := Sender{Count: c.result(name(c.key)), Changes: []Pair{}, Examples: k.examples.newest()}
		for _, p := range k.pairs {
			s.Changes = append(s.Changes, Pair{Before: p.was, After: p.is, Count: p.count})
		}
		slices.SortStableFunc(s.Changes, func(a, b Pair) int { return cmp.Compare(b.Count, a.Count) })
		if k.addrs != nil {
			list := counts(k.addrs, overviewAddrs, address)
			s.Addresses = &list
		}
		out.Entries = append(out.Entries, s)
	}
	return out
}
