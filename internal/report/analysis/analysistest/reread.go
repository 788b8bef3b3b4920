package analysistest

import (
	"context"
	"slices"

	"dmarcd/internal/report/analysis"
)

// KnownReports is analysis.Ingester's.
func (s *Store) KnownReports(_ context.Context, keys [][32]byte) (map[[32]byte][]analysis.Known, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[[32]byte][]analysis.Known{}
	for _, key := range keys {
		out[key] = s.occupants(key)
	}
	return out, nil
}

// occupants are the reports that occupy a key.
func (s *Store) occupants(key [32]byte) []analysis.Known {
	var known []analysis.Known
	for i := range s.reports {
		k := &s.reports[i]
		if (k.Status == analysis.StatusStored || k.Status == analysis.StatusEmpty) && k.Key() == key {
			known = append(known, analysis.Known{ID: k.id, Trust: k.Trust, Auth: k.AuthDomain, Digest: k.Digest, Status: k.Status})
		}
	}
	return known
}

// Stale is analysis.Reports'.
func (s *Store) Stale(_ context.Context, version int, after int64, limit int) ([]analysis.Stale, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []analysis.Stale
	for i := range s.reports {
		if r := &s.reports[i]; r.id > after && r.Raw != nil && (r.version < version || r.Status == analysis.StatusAside) {
			out = append(out, analysis.Stale{ID: r.id, Reader: r.version, Status: r.Status, Policy: r.Policy.Domain})
		}
	}
	for i := range s.items {
		if it := &s.items[i]; it.id > after && it.Raw != nil && it.version < version {
			out = append(out, analysis.Stale{ID: it.id, Item: true, Reader: it.version})
		}
	}
	slices.SortFunc(out, func(a, b analysis.Stale) int { return int(a.ID - b.ID) })
	return out[:min(len(out), limit)], nil
}

// Reread is analysis.Reports'.
func (s *Store) Reread(_ context.Context, id int64, version int, report *analysis.Report) (analysis.Classified, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.reports, func(r stored) bool { return r.id == id })
	if i < 0 {
		return analysis.Classified{}, analysis.ErrNotFound
	}
	old := s.reports[i]
	settled := analysis.Classified{ID: id, Status: old.Status, Of: old.of}
	switch old.Status {
	case analysis.StatusStored, analysis.StatusEmpty, analysis.StatusRefused, analysis.StatusAside:
		s.reports[i].Status = analysis.StatusDuplicate // it does not occupy a key itself
		settled.Status, settled.Of = s.settle(report)
	}
	next := stored{Report: *report, id: id, item: old.item, of: settled.Of, received: old.received, version: version}
	if settled.Status != analysis.StatusReplaced {
		next.Status = settled.Status
	}
	s.reports[i] = next
	return settled, nil
}

// RereadItem is analysis.Reports'.
func (s *Store) RereadItem(_ context.Context, id int64, version int, again *analysis.Item) ([]analysis.Classified, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.items, func(it item) bool { return it.id == id })
	if i < 0 {
		return nil, analysis.ErrNotFound
	}
	s.reports = slices.DeleteFunc(s.reports, func(r stored) bool { return r.item == id && r.Status == analysis.StatusRefused })
	before := map[[32]byte]bool{}
	for j := range s.reports {
		before[s.reports[j].Key()] = before[s.reports[j].Key()] || s.reports[j].item == id
	}
	old := &s.items[i]
	old.Kind, old.Why, old.Notes, old.From, old.Subject, old.version = again.Kind, again.Why, again.Notes, again.From, again.Subject, version
	if again.Raw == nil {
		old.Raw = nil
	}
	var out []analysis.Classified
	for j := range again.Reports {
		if !before[again.Reports[j].Key()] {
			settled := s.add(again.Reports[j], id, old.TakenAt, version)
			settled.Report = j
			out = append(out, settled)
		}
	}
	return out, nil
}
