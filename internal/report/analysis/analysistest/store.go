// Package analysistest has a store of received reports in memory, for tests: it counts
// what is asked for anew each time, row by row, without rollups. What a real store
// answers must be the same.
package analysistest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// Store is an analysis.Store. It may be used by several goroutines.
type Store struct {
	Now func() time.Time // nil for time.Now

	mu         sync.Mutex
	last       int64 // id
	items      []item
	reports    []stored
	identities map[netip.Addr][]analysis.Identity // by From
	feeds      map[string]analysis.FeedState
	pairs      []analysis.Pair
	labels     []analysis.LabelSet
	snapshots  []analysis.Snapshot
	expected   map[dns.Name]string
}

var _ analysis.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store {
	return &Store{identities: map[netip.Addr][]analysis.Identity{}, feeds: map[string]analysis.FeedState{}, expected: map[dns.Name]string{}}
}

// item is an Item without its reports.
type item struct {
	analysis.Item
	id      int64
	version int
}

// stored is a report with what became of it.
type stored struct {
	analysis.Report
	id, item, of int64
	version      int
	received     time.Time
}

// Ingest is analysis.Ingester's.
func (s *Store) Ingest(_ context.Context, b *analysis.Batch) ([]analysis.Classified, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []analysis.Classified
	for i := range b.Items {
		it := b.Items[i]
		if known := s.known(it.Feed, it.Token); known != 0 {
			out = append(out, s.again(i, known)...)
			continue
		}
		id := s.next()
		s.items = append(s.items, item{Item: it, id: id, version: b.Reader})
		for j := range it.Reports {
			settled := s.add(it.Reports[j], id, it.TakenAt, b.Reader)
			settled.Item, settled.Report = i, j
			out = append(out, settled)
		}
	}
	for _, f := range b.Feeds {
		s.feeds[f.Host+" "+f.Name] = f
	}
	return out, nil
}

func (s *Store) next() int64 {
	s.last++
	return s.last
}

// known is the item of that token; 0 for none.
func (s *Store) known(feed, token string) int64 {
	for _, it := range s.items {
		if token != "" && it.Feed == feed && it.Token == token {
			return it.id
		}
	}
	return 0
}

// again gives what became of an item that was stored before.
func (s *Store) again(place int, id int64) []analysis.Classified {
	var out []analysis.Classified
	for _, r := range s.reports {
		if r.item == id {
			out = append(out, analysis.Classified{Item: place, Report: len(out), ID: r.id, Status: r.Status, Of: r.of, Known: true})
		}
	}
	return out
}

// add stores a report.
func (s *Store) add(r analysis.Report, item int64, received time.Time, reader int) analysis.Classified {
	status, of := s.settle(&r)
	if status != analysis.StatusReplaced {
		r.Status = status
	}
	one := stored{Report: r, id: s.next(), item: item, of: of, received: received, version: reader}
	s.reports = append(s.reports, one)
	return analysis.Classified{ID: one.id, Status: status, Of: of}
}

// settle decides on a report, and takes the one whose place it takes out of what counts.
func (s *Store) settle(r *analysis.Report) (status analysis.Status, of int64) {
	status, of = analysis.Classify(r, s.occupants(r.Key()))
	if status == analysis.StatusReplaced {
		for i := range s.reports {
			if s.reports[i].id == of {
				s.reports[i].Status = analysis.StatusReplaced
			}
		}
	}
	return status, of
}

// HasTokens is analysis.Ingester's.
func (s *Store) HasTokens(_ context.Context, feed string, tokens []string) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]bool{}
	for _, token := range tokens {
		if s.known(feed, token) != 0 {
			out[token] = true
		}
	}
	return out, nil
}

// Feed is analysis.Ingester's.
func (s *Store) Feed(_ context.Context, host, name string) (analysis.FeedState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.feeds[host+" "+name]; ok {
		return f, nil
	}
	return analysis.FeedState{Host: host, Name: name}, nil
}

// SaveFeed is analysis.Ingester's.
func (s *Store) SaveFeed(_ context.Context, f analysis.FeedState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds[f.Host+" "+f.Name] = f
	return nil
}

// Feeds is analysis.Ingester's.
func (s *Store) Feeds(context.Context) ([]analysis.FeedState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []analysis.FeedState
	for _, f := range s.feeds {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b analysis.FeedState) int { return compare(a.Name+" "+a.Host, b.Name+" "+b.Host) })
	return out, nil
}

// Unidentified is analysis.Sources'.
func (s *Store) Unidentified(_ context.Context, now time.Time, limit int) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []netip.Addr
	for i := len(s.reports) - 1; i >= 0; i-- {
		for _, row := range s.reports[i].Rows {
			known := s.identities[row.Source]
			if len(known) > 0 && known[len(known)-1].Again.After(now) || slices.Contains(out, row.Source) {
				continue
			}
			if out = append(out, row.Source); len(out) == limit {
				return out, nil
			}
		}
	}
	return out, nil
}

// Identify is analysis.Sources'.
func (s *Store) Identify(_ context.Context, found []analysis.Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range found {
		known := s.identities[f.Source]
		if n := len(known); n > 0 && (f.Unsure || known[n-1].Host == f.Host && known[n-1].Service == f.Service) {
			known[n-1].Again = f.Again
			continue
		}
		s.identities[f.Source] = append(known, f)
	}
	return nil
}

// identity is what a source was called on a day.
func (s *Store) identity(source netip.Addr, day memory.Day) analysis.Identity {
	known := s.identities[source]
	for i := len(known) - 1; i >= 0; i-- {
		if i == 0 || known[i].From <= day {
			return known[i]
		}
	}
	return analysis.Identity{Service: analysis.ServiceUnknown}
}

// SetPair is analysis.Admin's.
func (s *Store) SetPair(_ context.Context, p analysis.Pair) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pairs = slices.DeleteFunc(s.pairs, func(o analysis.Pair) bool { return o.Auth == p.Auth && o.Email == p.Email })
	s.pairs = append(s.pairs, p)
	return nil
}

// Pairs is analysis.Admin's.
func (s *Store) Pairs(context.Context) ([]analysis.Pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pairs), nil
}

// SetLabel is analysis.Admin's.
func (s *Store) SetLabel(_ context.Context, l analysis.LabelSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.labels = slices.DeleteFunc(s.labels, func(o analysis.LabelSet) bool {
		return o.Domain == l.Domain && o.Service == l.Service && o.Host == l.Host && o.Network == l.Network
	})
	if l.Label != analysis.LabelNone {
		s.labels = append(s.labels, l)
	}
	return nil
}

// Labels is analysis.Admin's.
func (s *Store) Labels(_ context.Context, managed []dns.Name) ([]analysis.LabelSet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.labels), func(l analysis.LabelSet) bool { return managed != nil && !slices.Contains(managed, l.Domain) }), nil
}

// label is that of a source of a domain: an exception before the service's.
func (s *Store) label(domain dns.Name, service, host string, source netip.Addr) analysis.Label {
	best, rank := analysis.LabelNone, 0
	for _, l := range s.labels {
		if l.Domain != domain {
			continue
		}
		switch {
		case l.Network.IsValid() && l.Network.Contains(source.Unmap()) && rank <= 200+l.Network.Bits():
			best, rank = l.Label, 200+l.Network.Bits()
		case l.Host != "" && l.Host == host && rank <= 100:
			best, rank = l.Label, 100
		case l.Service != "" && l.Service == service && rank <= 1:
			best, rank = l.Label, 1
		}
	}
	return best
}

// SaveSnapshot is analysis.Records'.
func (s *Store) SaveSnapshot(_ context.Context, n analysis.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.snapshots) - 1; i >= 0; i-- {
		if o := &s.snapshots[i]; o.Domain == n.Domain && o.Kind == n.Kind && o.Name == n.Name {
			if o.Value == n.Value && o.Word == n.Word {
				o.Last = n.Last
				return nil
			}
			break
		}
	}
	s.snapshots = append(s.snapshots, n)
	return nil
}

// Snapshots is analysis.Records'.
func (s *Store) Snapshots(_ context.Context, managed []dns.Name) ([]analysis.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := map[string]analysis.Snapshot{}
	for _, n := range s.snapshots {
		if managed == nil || slices.Contains(managed, n.Domain) {
			latest[fmt.Sprint(n.Domain, n.Kind, n.Name)] = n
		}
	}
	var out []analysis.Snapshot
	for _, n := range latest {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b analysis.Snapshot) int {
		return compare(fmt.Sprint(a.Domain, a.Kind, a.Name), fmt.Sprint(b.Domain, b.Kind, b.Name))
	})
	return out, nil
}

// History is analysis.Records'.
func (s *Store) History(_ context.Context, domain dns.Name, kind analysis.SnapshotKind, limit int) ([]analysis.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []analysis.Snapshot
	for i := len(s.snapshots) - 1; i >= 0 && len(out) < limit; i-- {
		if n := s.snapshots[i]; n.Domain == domain && n.Kind == kind {
			out = append(out, n)
		}
	}
	return out, nil
}

// SetExpected is analysis.Records'.
func (s *Store) SetExpected(_ context.Context, domain dns.Name, record string, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected[domain] = record
	return nil
}

// Expected is analysis.Records'.
func (s *Store) Expected(_ context.Context, domain dns.Name) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expected[domain], nil
}

// Selectors is analysis.Records'.
func (s *Store) Selectors(_ context.Context, domain dns.Name, since memory.Day, limit int) ([]analysis.Selector, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := map[analysis.Selector]int64{}
	for i := range s.reports {
		r := &s.reports[i]
		if r.Status != analysis.StatusStored || !r.Trust.Counts() || r.Day() < since {
			continue
		}
		for _, row := range r.Rows {
			for _, d := range row.Auth.DKIM {
				if name, err := dns.Parse(d.Domain); err == nil && d.Selector != "" && (name == domain || name.IsBelow(domain)) {
					sums[analysis.Selector{Domain: name, Selector: d.Selector}] += row.Count
				}
			}
		}
	}
	var out []analysis.Selector
	for one, n := range sums {
		one.Messages = n
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b analysis.Selector) int {
		if a.Messages != b.Messages {
			return int(b.Messages - a.Messages)
		}
		return compare(a.Selector+a.Domain.String(), b.Selector+b.Domain.String())
	})
	return out[:min(len(out), limit)], nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
