package journal

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// openIndex reads the segments in the directory, and finishes work that a crash
// interrupted.
func openIndex(cfg *Config, n *checkpoint) (*segmentIndex, error) {
	s := &segmentIndex{cfg: cfg, alarm: func() {}, loading: n.last.segment, moved: make(chan struct{})}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		number, ext, ok := parseName(e.Name())
		switch {
		case ok:
			seg, err := s.inspect(number, ext)
			if err != nil {
				return nil, err
			}
			s.list = append(s.list, seg)
			s.last = max(s.last, number)
		case strings.HasSuffix(e.Name(), tmpExt):
			s.unlink(e.Name())
		case e.Name() != lockName && e.Name() != idName && e.Name() != versionName && e.Name() != checkpointName:
			cfg.Log.Warn("journal: a file of another program is ignored", "file", filepath.Join(cfg.Dir, e.Name()))
		}
	}
	s.last = max(s.last, s.loading)
	slices.SortFunc(s.list, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(b.ext, a.ext)) // a compacted segment first
	})
	s.sweep()
	if n.unsure && len(s.list) > 0 {
		s.loading = s.list[0].number
	}
	s.lookAhead()
	return s, nil
}

// inspect makes the entry of a file that an earlier process left.
func (s *segmentIndex) inspect(number uint64, ext string) (*segment, error) {
	f, err := os.Open(filepath.Join(s.cfg.Dir, segmentName(number, ext)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	seg := &segment{number: number, ext: ext, first: number, size: info.Size()}
	seg.frames = estimateFrames(f, seg.size)
	if ext == compactedExt {
		if d, err := readCompactedHead(f, number, seg.size); err == nil {
			seg.first = d.first
		} else {
			seg.first = number + 1 // it replaces nothing, not even its own records
		}
	}
	return seg, nil
}

// sweep removes segments that hold nothing, and those that a compacted segment
// replaces: it was complete before it got its name.
func (s *segmentIndex) sweep() {
	covered := func(seg *segment) bool {
		return slices.ContainsFunc(s.list, func(d *segment) bool {
			if d.ext == recordExt { // an unreadable compacted segment beside its records
				return seg.ext == compactedExt && d.number == seg.number && seg.first > seg.number
			}
			return d != seg && d.first <= seg.number && seg.number <= d.number
		})
	}
	s.list = slices.DeleteFunc(slices.Clone(s.list), func(seg *segment) bool {
		gone := seg.size <= segmentHead || covered(seg)
		if gone {
			s.unlink(seg.name())
		}
		return gone
	})
	for _, seg := range s.list {
		seg.first = min(seg.first, seg.number)
	}
}

// unlink removes a file. One that reappears after a power cut is recognized as stale, so
// the directory is not synced.
func (s *segmentIndex) unlink(name string) {
	if err := os.Remove(filepath.Join(s.cfg.Dir, name)); err != nil && !os.IsNotExist(err) {
		s.cfg.Log.Error("journal: a file cannot be removed", "error", err)
	}
}

// lookAhead finds the time of the oldest record.
func (s *segmentIndex) lookAhead() {
	if len(s.list) == 0 {
		return
	}
	f, err := os.Open(filepath.Join(s.cfg.Dir, s.list[0].name()))
	if err != nil {
		return
	}
	defer f.Close()
	s.oldest = frameTime(f, segmentHead)
}

// frameTime is the time of the frame at off; 0 if unknown.
func frameTime(f *os.File, off int64) int64 {
	b := make([]byte, frameHead)
	if _, err := f.ReadAt(b, off); err != nil {
		return 0
	}
	if h := parseHead(b); h.plausible() {
		return h.at
	}
	return 0
}
