package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"dmarcd/internal/text"
)

const (
	// maxFileBytes leaves room for 10,000 domain entries with every key
	// written out.
	maxFileBytes = 64 << 20
	// maxValues bounds the values of one file, with those reached by
	// aliases, and so memory and time.
	maxValues = 4 << 20
)

// readFile reads a whole file of bounded size. Its error says what to do next. It never
// blocks, as opening a pipe would: reloads run in the daemon.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, openTrouble(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	tooLarge := fmt.Errorf("the file is larger than %d MiB", maxFileBytes>>20)
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, openTrouble(err)
	case info.IsDir():
		return nil, errors.New("this is a folder; name a file in it")
	case !info.Mode().IsRegular():
		return nil, errors.New("this is not a regular file; put the text into one and name that")
	case info.Size() > maxFileBytes:
		return nil, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1)) // it may grow meanwhile
	if err != nil {
		return nil, openTrouble(err)
	}
	if len(data) > maxFileBytes {
		return nil, tooLarge
	}
	return data, nil
}

// openTrouble words an error of the file system without the path, which the
// fault names already.
func openTrouble(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file; create it or name another")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied; let the user with id %d, as whom dmarcd runs, read it", os.Getuid())
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// clip cuts a text of the file for a message.
func clip(s string) string { return text.Cut(s, 80) }
