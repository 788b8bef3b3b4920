package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

// bookcase is a Memory of tests.
type bookcase struct {
	records []*memory.Record // oldest first
	err     error            // that Records ends with
	pause   time.Duration    // before each record
}

func (b *bookcase) Find(_ context.Context, id string) ([]*memory.Record, error) {
	var out []*memory.Record
	for _, r := range slices.Backward(b.records) {
		if r.QueueID == id || r.MessageID == id {
			out = append(out, r)
		}
	}
	return out, nil
}

func (b *bookcase) Records(ctx context.Context, since, until time.Time, yield func(*memory.Record) error) error {
	for _, r := range b.records {
		if !since.IsZero() && r.At.Before(since) || !until.IsZero() && !r.At.Before(until) {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(b.pause):
		}
		if err := yield(r); err != nil {
			return err
		}
	}
	return b.err
}

func (b *bookcase) Count(_ context.Context, since, until time.Time) (n int64, err error) {
	err = b.Records(context.Background(), since, until, func(*memory.Record) error { n++; return nil })
	return n, err
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// shelve makes n records, a second apart.
func shelve(n int) []*memory.Record {
	out := make([]*memory.Record, n)
	for i := range out {
		out[i] = &memory.Record{
			At: noon.Add(time.Duration(i) * time.Second), QueueID: fmt.Sprintf("Q%d", i), MessageID: "m@example.com",
			Helo: strings.Repeat("h", 200), Outcomes: []memory.Outcome{{}},
		}
	}
	return out
}

// serve runs a server on a socket of its own.
func serve(t *testing.T, s *Server) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket file stays")
		}
	})
	return path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path, "1.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestMemoryOverTheSocket(t *testing.T) {
	const many = 5000
	c := dial(t, serve(t, NewServer(Config{Version: "1.0", Memory: &bookcase{records: shelve(many)}})))
	if c.Daemon() != "1.0" {
		t.Errorf("the daemon is %q", c.Daemon())
	}
	found, err := c.Find(t.Context(), "Q17")
	if err != nil || len(found) != 1 || !found[0].At.Equal(noon.Add(17*time.Second)) {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err = c.Find(t.Context(), "m@example.com"); err != nil || len(found) != many || found[0].QueueID != "Q4999" {
		t.Errorf("found %d, %v", len(found), err)
	}
	if found, err = c.Find(t.Context(), "no&such=one"); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
	n, last := 0, time.Time{}
	err = c.Records(t.Context(), time.Time{}, time.Time{}, func(r *memory.Record) error {
		if n++; r.At.Before(last) {
			t.Fatal("not in order")
		}
		last = r.At
		return nil
	})
	if err != nil || n != many {
		t.Errorf("%d records, %v", n, err)
	}
	since, until := noon.Add(10*time.Second), noon.Add(20*time.Second)
	if count, err := c.Count(t.Context(), since, until); err != nil || count != 10 {
		t.Errorf("counted %d, %v", count, err)
	}
}

func TestRecordsEndWithTheReader(t *testing.T) {
	c := dial(t, serve(t, NewServer(Config{Memory: &bookcase{records: shelve(5000)}})))
	enough := errors.New("enough")
	n := 0
	err := c.Records(t.Context(), time.Time{}, time.Time{}, func(*memory.Record) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if err != enough || n != 3 {
		t.Errorf("%d records, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = c.Records(ctx, time.Time{}, time.Time{}, func(*memory.Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestRecordsEndWithAnError(t *testing.T) {
	c := dial(t, serve(t, NewServer(Config{Memory: &bookcase{records: shelve(3), err: errors.New("the disk is gone")}})))
	n := 0
	err := c.Records(t.Context(), time.Time{}, time.Time{}, func(*memory.Record) error { n++; return nil })
	if e := (*Error)(nil); n != 3 || !errors.As(err, &e) || e.Kind != KindTrouble || e.Text != "the disk is gone" {
		t.Errorf("%d records, %v", n, err)
	}
}

// TestSlowServerShowsLife has a server that is slower than the client's patience.
func TestSlowServerShowsLife(t *testing.T) {
	s := NewServer(Config{Memory: &bookcase{records: shelve(2), pause: 600 * time.Millisecond}})
	s.alive = 50 * time.Millisecond
	c := dial(t, serve(t, s))
	c.quiet = 300 * time.Millisecond
	n := 0
	if err := c.Records(t.Context(), time.Time{}, time.Time{}, func(*memory.Record) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d records, %v", n, err)
	}
	s.alive = time.Hour
	err := c.Records(t.Context(), time.Time{}, time.Time{}, func(*memory.Record) error { return nil })
	if !errors.Is(err, ErrCut) {
		t.Errorf("a silent daemon: %v", err)
	}
}

// TestCutStream has a daemon that dies in the middle of its answer.
func TestCutStream(t *testing.T) {
	whole := []byte{}
	for _, r := range shelve(3) {
		payload, _ := r.AppendBinary(nil)
		whole = appendFrame(whole, frameRecord, payload)
	}
	whole = append(whole, endFrame(3)...)
	for n := range len(whole) + 1 {
		err := readStream(strings.NewReader(string(whole[:n])), func(*memory.Record) error { return nil })
		if n == len(whole) && err != nil || n < len(whole) && !errors.Is(err, ErrCut) {
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
	short := append(whole[:0:0], whole[:len(whole)-1]...)
	if err := readStream(strings.NewReader(string(append(short, 9))), func(*memory.Record) error { return nil }); !errors.Is(err, ErrCut) {
		t.Errorf("with records missing: %v", err)
	}
}

type question struct {
	Domain string `json:"domain"`
}

func TestCalls(t *testing.T) {
	c := dial(t, serve(t, NewServer(Config{Calls: map[string]Handler{
		"reports.list": Handle(func(_ context.Context, q question) ([]string, error) {
			if q.Domain == "" {
				return nil, Errorf(KindNotFound, "no such domain")
			}
			return []string{q.Domain, "b"}, nil
		}),
	}})))
	got, err := Call[question, []string](t.Context(), c, "reports.list", question{Domain: "a"})
	if err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v, %v", got, err)
	}
	for name, want := range map[string]Kind{"reports.list": KindNotFound, "reports.burn": KindNotFound} {
		_, err := Call[question, []string](t.Context(), c, name, question{})
		if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = Call[map[string]int, []string](t.Context(), c, "reports.list", map[string]int{"domian": 1})
	if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != KindRequest || !strings.Contains(e.Text, "domian") {
		t.Errorf("a misspelt field: %v", err)
	}
	if _, err := c.Find(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "remembers nothing") {
		t.Errorf("no memory: %v", err)
	}
}

func TestTooManyClients(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	c := dial(t, serve(t, NewServer(Config{Clients: 1, Calls: map[string]Handler{
		"wait": Handle(func(context.Context, struct{}) (bool, error) { close(entered); <-leave; return true, nil }),
	}})))
	done := make(chan error, 1)
	go func() {
		_, err := Call[struct{}, bool](context.Background(), c, "wait", struct{}{})
		done <- err
	}()
	<-entered
	_, err := c.Count(t.Context(), noon, noon)
	if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != KindBusy {
		t.Errorf("one too many: %v", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOtherProtocol(t *testing.T) {
	path := serve(t, NewServer(Config{Version: "1.0"}))
	c := dial(t, path)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://dmarcd/hello", nil)
	req.Header.Set(fieldProtocol, "99")
	req.Header.Set(fieldVersion, "9.9")
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	err = c.check(res)
	if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), `"1.0"`) || !strings.Contains(err.Error(), `"9.9"`) {
		t.Errorf("refused with %v", err)
	}

	other := filepath.Join(t.TempDir(), SocketName)
	l, err := Listen(other)
	if err != nil {
		t.Fatal(err)
	}
	old := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = old.Serve(l) }()
	defer old.Close()
	if _, err := Dial(t.Context(), other, "1.1"); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), `"1.1"`) {
		t.Errorf("a daemon without protocol: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	if _, err := Dial(t.Context(), path, ""); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("no socket: %v", err)
	}
	abandon(t, path)
	if _, err := Dial(t.Context(), path, ""); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("a stale socket: %v", err)
	}
	silent, err := net.Listen("unix", path+"2")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, path+"2", ""); err == nil || errors.Is(err, ErrNoDaemon) || errors.Is(err, ErrNotAllowed) {
		t.Errorf("a daemon that does not answer: %v", err)
	}
}

// abandon leaves a socket file without a listener.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNotAllowed asks as somebody else, who is told which group may.
func TestNotAllowed(t *testing.T) {
	if path := os.Getenv("DMARCD_TEST_SOCKET"); path != "" {
		_, err := Dial(t.Context(), path, "")
		if !errors.Is(err, ErrNotAllowed) || !strings.Contains(err.Error(), "the group root") {
			t.Errorf("asked by another user: %v", err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "test")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(dir, "hidden")
	if err := errors.Join(os.WriteFile(program, binary, 0o600), os.Chmod(program, 0o755), os.Chmod(dir, 0o755), os.Mkdir(hidden, 0o750)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, SocketName), filepath.Join(hidden, SocketName)} {
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		const nobody = 65534
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestNotAllowed$")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "DMARCD_TEST_SOCKET="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	abandon(t, path)
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another dmarcd") {
		t.Errorf("twice: %v", err)
	}
	if _, err := Listen(filepath.Join("/tmp", strings.Repeat("x", maxPath))); err == nil || !strings.Contains(err.Error(), "shorter state_dir") {
		t.Errorf("a long path: %v", err)
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(link); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a symbolic link: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("a file of somebody else's is gone: %q, %v", b, err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "left alone") {
		t.Errorf("a file: %v", err)
	}
}
