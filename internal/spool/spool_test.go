package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t *testing.T, c Config) *Spool {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func put(t *testing.T, s *Spool, meta Meta, mail string) {
	t.Helper()
	d := s.Begin(0)
	if _, err := io.WriteString(d, mail); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(meta); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s *Spool) (*Item, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	item, err := s.Take(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mail, err := io.ReadAll(item.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return item, string(mail)
}

// empty fails the test where something can be taken or is on disk.
func empty(t *testing.T, s *Spool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if item, err := s.Take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Take gave %v, %v; want nothing to take", item, err)
	}
	if st := s.Stats(); st.Mails != 0 || st.Bytes != 0 || s.mails != 0 {
		t.Errorf("the spool counts %d mails, %d octets, %d places", st.Mails, st.Bytes, s.mails)
	}
	files, err := os.ReadDir(s.config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		t.Errorf("left in the folder: %s", f.Name())
	}
}

func TestMailComesBackAsItWas(t *testing.T) {
	for _, size := range []int{0, 1, memoryBytes - 1, memoryBytes, memoryBytes + 1, 3 * memoryBytes, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := open(t, Config{})
			mail := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			want := Meta{Feed: "milter", At: time.Unix(1700000000, 5).UTC(), Trust: Authenticated, Author: "example.com",
				Addresses: []string{"dmarc@example.org"}, QueueID: "4XyZ", Place: "x", Size: int64(size)}
			d := s.Begin(0)
			for rest := []byte(mail); len(rest) > 0; rest = rest[min(5000, len(rest)):] {
				if _, err := d.Write(rest[:min(5000, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Commit(want); err != nil {
				t.Fatal(err)
			}
			item, got := take(t, s)
			if got != mail {
				t.Errorf("%d octets came back, want %d", len(got), size)
			}
			if fmt.Sprint(item.Meta) != fmt.Sprint(want) {
				t.Errorf("Meta = %+v\nwant   %+v", item.Meta, want)
			}
			if err := item.Ack(); err != nil {
				t.Error(err)
			}
			empty(t, s)
		})
	}
}

func TestTakeGivesTheOldestFirstAndWaits(t *testing.T) {
	s := open(t, Config{})
	for i := range 3 {
		put(t, s, Meta{Feed: "lmtp"}, fmt.Sprint(i))
	}
	first, _ := take(t, s)
	first.Release()
	var got []string
	for range 3 {
		item, mail := take(t, s)
		got = append(got, mail)
		if err := item.Ack(); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"1", "2", "0"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	came := make(chan string)
	go func() {
		item, mail := take(t, s)
		_ = item.Ack()
		came <- mail
	}()
	put(t, s, Meta{Feed: "lmtp"}, "late")
	if mail := <-came; mail != "late" {
		t.Errorf("the waiting Take got %q", mail)
	}
	empty(t, s)
}

func TestCloseEndsTakes(t *testing.T) {
	s := open(t, Config{})
	ended := make(chan error)
	go func() {
		_, err := s.Take(t.Context())
		ended <- err
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("Take ended with %v", err)
	}
	if err := s.Begin(0).Commit(Meta{Feed: "x"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit after Close gave %v", err)
	}
}

func TestAbortedDraftLeavesNothing(t *testing.T) {
	s := open(t, Config{})
	d := s.Begin(0)
	if _, err := d.Write(make([]byte, 10*memoryBytes)); err != nil {
		t.Fatal(err)
	}
	if s.Stats().Bytes == 0 {
		t.Error("the draft does not count")
	}
	d.Abort()
	d.Abort()
	empty(t, s)
	if n := s.Stats().Refused; n != 0 {
		t.Errorf("an aborted draft counts as %d refused", n)
	}
}

func TestBounds(t *testing.T) {
	t.Run("octets", func(t *testing.T) {
		s := open(t, Config{MaxBytes: 10_000})
		big := s.Begin(0)
		if _, err := big.Write(make([]byte, 9_000)); err != nil {
			t.Fatal(err)
		}
		other := s.Begin(0)
		if _, err := other.Write(make([]byte, 2_000)); !errors.Is(err, ErrFull) {
			t.Errorf("the other draft got %v, want ErrFull", err)
		}
		if err := other.Commit(Meta{Feed: "x"}); !errors.Is(err, ErrFull) {
			t.Errorf("Commit gave %v, want ErrFull", err)
		}
		big.Abort()
		put(t, s, Meta{Feed: "x"}, strings.Repeat("x", 2_000))
		item, _ := take(t, s)
		if err := item.Ack(); err != nil {
			t.Error(err)
		}
		if n := s.Stats().Refused; n != 1 {
			t.Errorf("%d refused, want 1", n)
		}
		empty(t, s)
	})
	t.Run("mails", func(t *testing.T) {
		s := open(t, Config{MaxMails: 2})
		put(t, s, Meta{Feed: "x"}, "1")
		draft := s.Begin(0)
		if err := s.Begin(0).Commit(Meta{Feed: "x"}); !errors.Is(err, ErrFull) {
			t.Errorf("Commit gave %v, want ErrFull", err)
		}
		draft.Abort()
		put(t, s, Meta{Feed: "x"}, "2")
	})
}

func TestTooLargeKeepsTheBeginning(t *testing.T) {
	const limit = 300_000
	header := "Subject: large\r\n\r\n"
	for _, step := range []int{1000, 70_000, 1 << 20} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			s := open(t, Config{})
			mail := []byte(header + strings.Repeat("x", 900_000))
			d := s.Begin(limit)
			for rest := mail; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				if _, err := d.Write(rest[:min(step, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Commit(Meta{Feed: "lmtp"}); err != nil {
				t.Fatal(err)
			}
			item, got := take(t, s)
			if !item.Meta.TooLarge || item.Meta.Size != int64(len(mail)) {
				t.Errorf("Meta = %+v", item.Meta)
			}
			if got != string(mail[:beginningBytes]) {
				t.Errorf("%d octets were kept, want the first %d", len(got), beginningBytes)
			}
			if err := item.Ack(); err != nil {
				t.Error(err)
			}
			empty(t, s)
		})
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	s := open(t, Config{})
	put(t, s, Meta{Feed: "x"}, "first")
	put(t, s, Meta{Feed: "x"}, "second")
	files, err := os.ReadDir(s.config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.config.Dir, files[0].Name())
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[10] ^= 1 // in the JSON
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, mail := take(t, s); mail != "second" {
		t.Errorf("took %q", mail)
	}
	if st := s.Stats(); st.Damaged != 1 || st.Mails != 1 {
		t.Errorf("Stats = %+v", st)
	}
	if _, err := os.Stat(path + damagedSuffix); err != nil {
		t.Error(err)
	}
}

// TestKilledProcess commits in a child that is killed at once after it said so.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv("SPOOL_CHILD"); dir != "" {
		s := open(t, Config{Dir: dir})
		put(t, s, Meta{Feed: "milter", Trust: Failed}, "one")
		put(t, s, Meta{Feed: "lmtp"}, "two")
		take(t, s) // and never acknowledged
		draft := s.Begin(0)
		if _, err := draft.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("committed")
		select {}
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
	child.Env = append(os.Environ(), "SPOOL_CHILD="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	output := make([]byte, len("committed"))
	if _, err := io.ReadFull(out, output); err != nil || !bytes.Equal(output, []byte("committed")) {
		t.Fatalf("the child said %q, %v", output, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	s := open(t, Config{Dir: dir})
	if st := s.Stats(); st.Mails != 2 || st.Feeds["milter"] != 1 || st.Feeds["lmtp"] != 1 || st.Oldest.IsZero() {
		t.Errorf("Stats = %+v", st)
	}
	first, mail := take(t, s)
	if mail != "one" || first.Attempts != 1 || first.Meta.Trust != Failed {
		t.Errorf("first: %q, attempts %d, %+v", mail, first.Attempts, first.Meta)
	}
	second, mail := take(t, s)
	if mail != "two" || second.Attempts != 0 || second.Meta.Trust != NotKnown {
		t.Errorf("second: %q, attempts %d, %+v", mail, second.Attempts, second.Meta)
	}
	for _, item := range []*Item{first, second} {
		if err := item.Ack(); err != nil {
			t.Error(err)
		}
	}
	empty(t, s)
}

func TestManyAtOnce(t *testing.T) {
	s := open(t, Config{})
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				d := s.Begin(0)
				fmt.Fprintf(d, "%d/%d", w, i)
				if i%5 == 4 {
					d.Abort()
					continue
				}
				if err := d.Commit(Meta{Feed: "milter"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	const want = writers * each * 4 / 5
	for range 3 {
		wg.Go(func() {
			for {
				mu.Lock()
				done := len(seen) >= want
				mu.Unlock()
				if done {
					s.Close()
					return
				}
				item, err := s.Take(t.Context())
				if err != nil {
					return
				}
				mail, _ := io.ReadAll(item.Reader())
				mu.Lock()
				if seen[string(mail)] {
					t.Errorf("%q was handed out twice", mail)
				}
				seen[string(mail)] = true
				mu.Unlock()
				if err := item.Ack(); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if len(seen) == want {
					s.Close()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != want {
		t.Errorf("%d mails came through, want %d", len(seen), want)
	}
}

func TestFolderThatIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s := open(t, Config{Dir: dir})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	err := s.Begin(0).Commit(Meta{Feed: "x"})
	if err == nil || !strings.HasPrefix(err.Error(), "spool: ") {
		t.Errorf("Commit without a folder gave %v", err)
	}
	if s.bytes != 0 || s.mails != 0 || s.Stats().Refused != 1 {
		t.Errorf("%d octets, %d mails, %+v", s.bytes, s.mails, s.Stats())
	}
}

func TestFeedIsNoPath(t *testing.T) {
	s := open(t, Config{})
	for _, feed := range []string{"", "../x", "a.b", "A", strings.Repeat("a", 101)} {
		if err := s.Begin(0).Commit(Meta{Feed: feed}); err == nil {
			t.Errorf("feed %q was taken", feed)
		}
	}
}
