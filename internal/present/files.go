package present

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dmarcd/internal/errkind"
)

// ReadInput reads a file, or standard input for "-", of at most so many bytes. What is its name for
// people.
func ReadInput(name string, in io.Reader, what string, most int64) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, errkind.Wrap(errkind.WrongUse, err)
		}
		defer f.Close() //nolint:errcheck // opened for reading only
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, errkind.Wrap(errkind.WrongUse, fmt.Errorf("read the %s: %w", what, err))
	case int64(len(data)) > most:
		return nil, errkind.Wrap(errkind.WrongUse, fmt.Errorf("the %s is larger than %d MiB", what, most>>20))
	}
	return data, nil
}

func EntryCount(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func WriteLines(w io.Writer, lines []string) error {
	b := bufio.NewWriter(w)
	for _, l := range lines {
		b.WriteString(l) //nolint:errcheck // Flush tells
		b.WriteByte('\n')
	}
	if err := b.Flush(); err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	return nil
}

// ReplaceFile writes a new file and renames it over the old one, so that nobody reads half of it. It
// keeps the old permissions.
func ReplaceFile(path string, write func(w io.Writer) error) (err error) {
	mode := os.FileMode(0o644) // the daemon runs as another user
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if old, err := os.Stat(path); err == nil {
		if !old.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file", path)
		}
		mode = old.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()           // the first error tells
			_ = os.Remove(f.Name()) // likewise
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// WriteOut writes a new file, or to standard output.
func WriteOut(out io.Writer, path string, data []byte) error {
	if path == "-" {
		if _, err := out.Write(data); err != nil {
			return errkind.Wrap(errkind.Trouble, err)
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return errkind.Wrap(errkind.WrongUse, fmt.Errorf("%w; give -o another name", err))
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return errkind.Wrap(errkind.Trouble, err)
	}
	return nil
}
