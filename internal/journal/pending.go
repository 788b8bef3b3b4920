package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"dmarcd/internal/memory"
)

// Pending calls f with each record that is not loaded, oldest first, until f returns
// false. It leaves out records appended meanwhile and compacted ones, and may include
// some loaded meanwhile. Until the store is first reached after Open, some may already be
// in it. It reads about Config.MaxBytes from disk at most; its error is that of ctx or of
// reading.
func (j *Journal) Pending(ctx context.Context, f func(*memory.Record) bool) error {
	if err := j.queue.flush(ctx); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	list, cursor := j.index.snapshot()
	var s scanner
	for _, seg := range list {
		if seg.ext != recordExt || seg.number < cursor.Segment {
			continue
		}
		var from int64
		if seg.number == cursor.Segment {
			from = cursor.Offset
		}
		more, err := j.pendingIn(ctx, &s, seg, from, f)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// pendingIn is Pending for one segment, from offset from.
func (j *Journal) pendingIn(ctx context.Context, s *scanner, seg segment, from int64, f func(*memory.Record) bool) (more bool, err error) {
	file, err := os.Open(filepath.Join(j.cfg.Dir, seg.name()))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // loaded meanwhile
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	seed, err := readHead(file, seg.number)
	if errors.Is(err, errHead) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	s.reset(file, seed, segmentHead, seg.size, 0, seg.total())
	for ctx.Err() == nil {
		fr, ok := s.scan()
		if !ok {
			return true, nil
		}
		if fr.start < from {
			continue
		}
		if r, err := memory.DecodeRecord(fr.payload); fr.kind == kindRecord && err == nil && !f(r) {
			return false, nil
		}
	}
	return false, ctx.Err()
}
