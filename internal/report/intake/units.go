package intake

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Unit is a mail or file, possibly from a mailbox or archive.
type Unit struct {
	File  string // as it was named
	Place int    // within the file, from 1; 0 for the file itself
	// Body is the content or, if over the limit, its beginning.
	Body     []byte
	Bytes    int64
	TooLarge bool
	Mail     bool // it comes from a mailbox
}

// Name is its name for people: PATH, or PATH#n.
func (u *Unit) Name() string {
	if u.Place == 0 {
		return u.File
	}
	return u.File + "#" + strconv.Itoa(u.Place)
}

// Split reads a file of any size and passes each mail or file in it to yield: those of a mailbox
// (mbox) or of a tar archive, compressed by gzip or not, one after the other, any other file
// unchanged. It cuts units to most octets. An error of yield ends it and is returned.
func Split(name string, r io.Reader, most int64, yield func(Unit) error) error {
	s := splitter{file: name, most: most, yield: yield}
	if err := s.split(bufio.NewReaderSize(r, splitBuffer)); err != nil {
		return err
	}
	return s.flush()
}

const splitBuffer = 64 << 10

type splitter struct {
	file  string
	most  int64
	yield func(Unit) error
	held  *Unit // the first, until it is known whether there are others
	n     int
}

// add passes on a unit, the first only once it is known whether it is the only one.
func (s *splitter) add(u Unit) error {
	u.File = s.file
	s.n++
	if s.n == 1 {
		s.held = &u
		return nil
	}
	if s.held != nil {
		first := *s.held
		first.Place, s.held = 1, nil
		if err := s.yield(first); err != nil {
			return err
		}
	}
	u.Place = s.n
	return s.yield(u)
}

func (s *splitter) flush() error {
	if s.held == nil {
		return nil
	}
	return s.yield(*s.held)
}

func (s *splitter) split(in *bufio.Reader) error {
	begin, err := in.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	switch sniff(begin) {
	case mboxContent:
		return s.mbox(in)
	case tarContent:
		return s.tar(in)
	case gzipContent:
		z := newInflater(bufio.NewReader(bytes.NewReader(begin)), false, func(string) {}, nil)
		head := make([]byte, 512)
		if n, _ := io.ReadFull(z, head); sniff(head[:n]) == tarContent {
			return s.tar(newInflater(in, false, func(string) {}, nil))
		}
	}
	return s.whole(in, false)
}

// whole passes on the rest of a reader as one unit.
func (s *splitter) whole(in io.Reader, mail bool) error {
	body, err := io.ReadAll(io.LimitReader(in, s.most+1))
	if err != nil {
		return fmt.Errorf("%s: %w", s.file, err)
	}
	u := Unit{Body: body, Bytes: int64(len(body)), Mail: mail}
	if u.Bytes > s.most {
		rest, err := io.Copy(io.Discard, in)
		if err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
		u.Bytes += rest
		u.Body, u.TooLarge = bytes.Clone(body[:maxHeader]), true
	}
	return s.add(u)
}

// tar passes on the files of an archive. If it is broken, it ends with what was read.
func (s *splitter) tar(in io.Reader) error {
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: a tar archive that is broken: %w", s.file, err)
		case h.Typeflag != tar.TypeReg || isLitter(h.Name):
			continue
		}
		member := bufio.NewReaderSize(t, sniffed)
		if begin, _ := member.Peek(5); string(begin) == "From " {
			err = s.mbox(member)
		} else {
			err = s.whole(member, false)
		}
		if err != nil {
			return err
		}
	}
}

// mbox passes on the mails of a mailbox: each begins with a line "From " after an empty line or at
// the top. It removes the quoting of lines that begin with ">From " (the form mboxrd).
func (s *splitter) mbox(in *bufio.Reader) error {
	var mail []byte
	var bytesOf int64
	empty, open := true, false
	end := func() error {
		if !open {
			return nil
		}
		u := Unit{Body: bytes.Clone(mail), Bytes: bytesOf, Mail: true}
		if bytesOf > s.most {
			u.Body, u.TooLarge = u.Body[:min(len(u.Body), maxHeader)], true
		}
		return s.add(u)
	}
	for begun := true; ; {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s: %w", s.file, err)
		}
		if begun && empty && bytes.HasPrefix(line, []byte("From ")) {
			if err := end(); err != nil {
				return err
			}
			mail, bytesOf, open = mail[:0], 0, true
		} else {
			if begun && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) && line[0] == '>' {
				line = line[1:]
			}
			if bytesOf += int64(len(line)); bytesOf <= s.most {
				mail = append(mail, line...)
			}
		}
		empty = begun && len(bytes.TrimSpace(line)) == 0
		begun = !errors.Is(err, bufio.ErrBufferFull)
		if errors.Is(err, io.EOF) {
			return end()
		}
	}
}

// Files passes on the files of a path: itself, those below a folder, or the mails of a maildir. It
// skips those whose names begin with a dot.
func Files(path string, yield func(path string) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return yield(path)
	}
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && isMaildir(p):
			if err := maildir(p, yield); err != nil {
				return err
			}
			return skipBelow(p, yield)
		case d.IsDir() && p != path && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		return yield(p)
	})
}

// isMaildir recognises a maildir by its folders.
func isMaildir(path string) bool {
	for _, name := range []string{"cur", "new", "tmp"} {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

func maildir(path string, yield func(string) error) error {
	for _, name := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(path, name))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if err := yield(filepath.Join(path, name, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// skipBelow reads the maildirs within a maildir, which begin with a dot, and makes the walk skip the
// rest.
func skipBelow(path string, yield func(string) error) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if sub := filepath.Join(path, e.Name()); e.IsDir() && strings.HasPrefix(e.Name(), ".") && isMaildir(sub) {
			if err := maildir(sub, yield); err != nil {
				return err
			}
		}
	}
	return fs.SkipDir
}
