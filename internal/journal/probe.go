package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Probe reports whether the journal in dir is free for Open. It creates nothing. Its
// error wraps ErrLocked if another process has it.
func Probe(dir string) error {
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return nil // closing releases it
	} else if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("journal: lock %s: %w", dir, err)
	}
	return lockedBy(f, dir)
}
