package intake

import (
	"maps"
	"sync"
	"time"

	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// Stats counts what passed along a path since its creation.
type Stats struct {
	Items    map[analysis.Kind]uint64   // stored, by kind
	Reports  map[analysis.Status]uint64 // by what became of them
	Trust    map[analysis.Trust]uint64  // those that were stored, by what is known of who sent them
	Records  uint64                     // stored
	Failures uint64                     // batches that the store did not take
	Error    string                     // of the last of them; "" once one was taken
}

type stats struct {
	mu sync.Mutex
	Stats
	since time.Time // the first of the failures in Error; zero without
}

// stuck returns how long the store has accepted nothing although it should have.
func (p *Path) stuck() time.Duration {
	s := &p.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		return 0
	}
	return time.Since(s.since)
}

// Stats returns the counts so far.
func (p *Path) Stats() Stats {
	s := &p.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.Stats
	out.Items, out.Reports, out.Trust = maps.Clone(s.Items), maps.Clone(s.Reports), maps.Clone(s.Trust)
	return out
}

func (s *stats) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Failures++
	if s.since.IsZero() {
		s.since = time.Now()
	}
	s.Error = text.Error(err)
}

func (s *stats) stored(o *ItemResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Items == nil {
		s.Items, s.Reports, s.Trust = map[analysis.Kind]uint64{}, map[analysis.Status]uint64{}, map[analysis.Trust]uint64{}
	}
	s.Error, s.since = "", time.Time{}
	if o.Known {
		return
	}
	s.Items[o.Item.Kind]++
	for _, one := range o.Settled {
		s.Reports[one.Status]++
		if one.Status == analysis.StatusStored || one.Status == analysis.StatusReplaced {
			s.Records += uint64(len(o.Item.Reports[one.Report].Rows))
			s.Trust[o.Item.Reports[one.Report].Trust]++
		}
	}
}
