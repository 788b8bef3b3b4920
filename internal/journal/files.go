package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"dmarcd/internal/memory"
)

// file is a segment open for writing.
type file interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

const (
	lockName    = "lock"
	idName      = "id"
	versionName = "version"
)

// makeDir makes the directory, and syncs it so that it survives a power cut.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// lockDir takes the lock of the directory, which is held until the file is closed
// or the process ends. Its error wraps ErrLocked if another process has it.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		pid := strconv.Itoa(os.Getpid()) + "\n"
		if f.Truncate(0) == nil {
			f.WriteAt([]byte(pid), 0) // for people; a full disk does not matter
		}
		return f, nil
	}
	defer f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("journal: lock %s: %w", dir, err)
	}
	return nil, lockedBy(f, dir)
}

// lockedBy is the error that names the holder of the lock.
func lockedBy(f *os.File, dir string) error {
	owner := "another process"
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		owner = "process " + strconv.Itoa(pid)
	}
	return fmt.Errorf("%w: %s has %s; stop it, or give this dmarcd a journal directory of its own", ErrLocked, owner, dir)
}

// newID makes the name of a journal.
func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// readID reads the journal's id. A new journal gets one.
func readID(dir string) (string, error) {
	path := filepath.Join(dir, idName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := newID()
		return id, writeID(dir, id)
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(b))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return "", fmt.Errorf("%s does not hold 32 hexadecimal digits; restore it, or remove it to count what the journal holds as new", path)
	}
	return id, nil
}

func writeID(dir, id string) error {
	return writeFile(filepath.Join(dir, idName), func(w io.Writer) error {
		_, err := io.WriteString(w, id+"\n")
		return err
	})
}

// checkVersion refuses a journal that holds records of a newer dmarcd, which this one
// could only discard, and notes our version in it from now on.
func checkVersion(dir string) error {
	path := filepath.Join(dir, versionName)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	has := 0
	if err == nil {
		if has, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
			return fmt.Errorf("%s does not hold a number; write 1 into it if no newer dmarcd ran here", path)
		}
	}
	switch {
	case has > memory.Version:
		return fmt.Errorf("%w: %s may hold records of version %d, this dmarcd reads %d; let the newer one load them, or move the folder away", ErrNewer, dir, has, memory.Version)
	case has == memory.Version:
		return nil
	}
	return writeFile(path, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, memory.Version)
		return err
	})
}

// errUnsynced says that a file was written, but that a power cut may restore the previous
// one.
var errUnsynced = errors.New("the directory cannot be synced")

// writeFile makes or replaces a file: after a crash it is there as a whole, or as
// it was before. It has its name already when the error is errUnsynced.
func writeFile(path string, fill func(io.Writer) error) error {
	tmp := path + tmpExt
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp) // the next Open removes a leftover
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%w: %w", errUnsynced, err)
	}
	return nil
}

// syncDir makes what was created, renamed or removed in a directory permanent.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
