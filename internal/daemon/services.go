package daemon

import (
	"log/slog"
	"os"
	"sync"
	"time"

	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// services is the map of email services in force: the built-in one, overlaid by the file of
// analysis.source_map, which is read again when it changes. It is safe for concurrent use.
type services struct {
	settings func() *settings.Settings
	log      *slog.Logger

	mu      sync.Mutex
	builtin *source.Map
	current *source.Map
	file    string // that current was made with; "" for none
	changed time.Time
	octets  int64
}

func newServices(settings func() *settings.Settings, log *slog.Logger) *services {
	return &services{settings: settings, log: log}
}

// get returns the map. An unreadable file is reported once, and the map stays unchanged.
func (s *services) get() *source.Map {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.builtin == nil {
		m, err := source.Builtin()
		if err != nil { // a test holds that it can be read
			s.log.Error("the built-in map of email services cannot be read", "error", err.Error())
			m = &source.Map{}
		}
		s.builtin, s.current = m, m
	}
	config := s.settings()
	if config.Analysis.SourceMap == "" {
		s.current, s.file = s.builtin, ""
		return s.current
	}
	path := config.Path(config.Analysis.SourceMap)
	info, err := os.Stat(path)
	if err != nil && s.file == path && s.changed.IsZero() {
		return s.current // told before
	}
	if err == nil && s.file == path && info.ModTime().Equal(s.changed) && info.Size() == s.octets {
		return s.current
	}
	s.file, s.changed, s.octets = path, time.Time{}, 0
	if err == nil {
		s.changed, s.octets = info.ModTime(), info.Size()
		err = s.read(path)
	}
	if err != nil {
		s.log.Warn("the map of analysis.source_map cannot be used; the one before stays in force", "file", path, "error", text.Error(err))
	}
	return s.current
}

// read overlays the file on the built-in map.
func (s *services) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, done, err := s.builtin.Overlay(f)
	if err != nil {
		return err
	}
	s.current = m
	s.log.Info("the map of email services was read", "file", path, "services", m.Len(), "rows", done.Rows, "left_out", done.Left, "known", done.Known)
	for _, note := range done.Notes {
		s.log.Warn("a row of analysis.source_map was left out", "file", path, "why", text.Line(note, 200))
	}
	return nil
}
