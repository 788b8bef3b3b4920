package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/report/analysis"
)

// FeedFolder is the name of the watched folder's feed.
const FeedFolder = "folder"

// Subfolders of the watched folder.
const (
	doneFolder   = "done"
	failedFolder = "failed"
)

// Folder watches a folder. It reads each file that is renamed into it, and then moves it to
// done/ or, if a report in it cannot be read, to failed/. It ignores files whose names begin
// with a dot or end in .tmp or .part.
type Folder struct {
	Dir          string
	TrustResults bool
	Most         func() int64 // octets of a mail
	Every        time.Duration
	Path         *Path
	Feed         *Feed
	Now          func() time.Time
}

// Run watches until ctx ends.
func (f *Folder) Run(ctx context.Context) {
	for {
		f.Feed.Ran(f.Look(ctx))
		if wait(ctx, f.Every); ctx.Err() != nil {
			return
		}
	}
}

// Look takes in the present files, and returns when they are stored and moved.
func (f *Folder) Look(ctx context.Context) error {
	for _, name := range []string{doneFolder, failedFolder} {
		if err := os.Mkdir(filepath.Join(f.Dir, name), 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return err
	}
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() && !isUnfinished(e.Name()) {
			files = append(files, e.Name())
		}
	}
	return f.files(ctx, files)
}

// files takes in several files at a time, so that they are stored together.
func (f *Folder) files(ctx context.Context, names []string) error {
	const together = 50
	var mu sync.Mutex
	var first error
	var working sync.WaitGroup
	slots := make(chan struct{}, together)
	for i, name := range names {
		f.Feed.Waits(int64(len(names) - i))
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		working.Go(func() {
			defer func() { <-slots }()
			if err := f.file(ctx, name); err != nil && ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				first = err
			}
		})
	}
	working.Wait()
	if ctx.Err() == nil {
		f.Feed.Waits(0)
	}
	return first
}

func isUnfinished(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part")
}

// file takes in one file. The file stays in place until all of it is stored.
func (f *Folder) file(ctx context.Context, name string) error {
	path := filepath.Join(f.Dir, name)
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading only
	var sum counts
	err = Split(name, in, f.Most(), func(u Unit) error {
		sum.under.Add(1)
		err := f.Path.Put(ctx, Entry{
			Input:  u.input(FeedFolder, f.Now()),
			Origin: Origin{TrustResults: f.TrustResults},
			Stored: true,
			Done:   sum.done,
		})
		if err != nil {
			sum.under.Done()
		}
		return err
	})
	sum.under.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case sum.err != nil:
		return sum.err
	case err != nil:
		sum.bad = true
	}
	f.Feed.Took(sum.taken)
	to := doneFolder
	if sum.bad {
		to = failedFolder
	}
	return move(path, filepath.Join(f.Dir, to, name))
}

// input converts a unit for the reader. Its content identifies it, so that what is read again
// is stored once.
func (u *Unit) input(feed string, at time.Time) Input {
	digest := sha256.Sum256(u.Body)
	return Input{
		Feed: feed, Token: "sha256:" + hex.EncodeToString(digest[:]), Name: u.Name(), At: at,
		Mail: u.Mail, TooLarge: u.TooLarge, Bytes: u.Bytes, Body: u.Body,
	}
}

// counts sums the outcomes of the units of one file.
type counts struct {
	under sync.WaitGroup
	mu    sync.Mutex
	taken int64
	bad   bool  // a report cannot be read
	err   error // of the store
}

func (s *counts) done(o ItemResult) {
	defer s.under.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Err != nil {
		s.err = o.Err
		return
	}
	if !o.Known {
		s.taken++
	}
	s.bad = s.bad || o.Item.Kind == analysis.KindUnreadable || o.Item.Kind == analysis.KindTooLarge
	for i := range o.Item.Reports {
		s.bad = s.bad || o.Item.Reports[i].Status == analysis.StatusRefused
	}
}

// move renames a file, to another name if that one is taken.
func move(from, to string) error {
	const most = 10_000
	for n := range most {
		name := to
		if n > 0 {
			name = fmt.Sprintf("%s.%d", to, n)
		}
		switch err := os.Link(from, name); {
		case err == nil:
			return os.Remove(from)
		case !errors.Is(err, fs.ErrExist):
			return os.Rename(from, name) // no hard links here
		}
	}
	return fmt.Errorf("%s: there are too many files of that name", to)
}
