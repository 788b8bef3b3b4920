package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/memory"
)

var crashes = flag.Int("crashes", 20, "how often each crash test kills its process")

// The test binary is also the process that is killed: see helper.
const helperKey = "JOURNAL_TEST_HELPER"

func TestMain(m *testing.M) {
	if args := os.Getenv(helperKey); args != "" {
		helper(args)
		return
	}
	os.Exit(m.Run())
}

// plan is what a helper process does.
type plan struct {
	Dir      string
	First    int // the first record's number
	Seed     uint64
	MaxBytes int64
	Trouble  bool // the store fails, hangs, fails after committing, kills the process
	Down     bool // the store is not there
	Drops    bool // the bound is so small that counts are dropped too
}

// config is how helper and test open the journal.
func (p *plan) config() Config {
	return Config{
		Dir: filepath.Join(p.Dir, "journal"), SegmentBytes: 16 << 10, MaxBytes: p.MaxBytes, SyncEvery: 5 * time.Millisecond,
		BatchRecords: 50, Linger: time.Millisecond, LoadTimeout: 20 * time.Millisecond, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond,
	}
}

// helper appends records without end and prints the number of each that was
// answered for.
func helper(args string) {
	var p plan
	if err := json.Unmarshal([]byte(args), &p); err != nil {
		panic(err)
	}
	cfg := p.config()
	sink, err := openDiskStore(filepath.Join(p.Dir, "store"), rand.New(rand.NewPCG(p.Seed, 1)), p.Trouble)
	if err != nil {
		panic(err)
	}
	cfg.Sink = sink
	if p.Down {
		cfg.Sink = downStore{}
	}
	j, err := Open(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var next atomic.Int64
	var out sync.Mutex
	for range 20 {
		go func() {
			for {
				n := p.First + int(next.Add(1)) - 1
				r := newRecord(n)
				r.Helo = strings.Repeat("detail", 70) // so that a count is much smaller
				b, err := r.AppendBinary(nil)
				if err != nil {
					panic(err)
				}
				if j.Append(b) != nil {
					time.Sleep(time.Millisecond) // a full journal answers at once
					continue
				}
				out.Lock()
				fmt.Println(n) // one write
				out.Unlock()
			}
		}()
	}
	select {}
}

// downStore is a store that cannot be reached.
type downStore struct{}

func (downStore) Position(context.Context, string) (memory.Position, error) {
	return memory.Position{}, errors.New("down")
}
func (downStore) Load(context.Context, memory.Batch) error { return errors.New("down") }

// diskStore is a store that outlives its process: one line for each batch. A line
// that is not whole was not committed.
type diskStore struct {
	f       *os.File
	at      map[string]memory.Position
	random  *rand.Rand
	trouble bool
}

type storeLine struct {
	Journal  string
	From, To memory.Position
	IDs      []string         // of records
	Rows     map[string]int64 // counts
	Lost     uint64
}

func openDiskStore(path string, random *rand.Rand, trouble bool) (*diskStore, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &diskStore{f: f, at: map[string]memory.Position{}, random: random, trouble: trouble}
	end, err := s.lines(func(l storeLine) { s.at[l.Journal] = l.To })
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	return s, err
}

// lines calls f for each whole line, and returns where they end.
func (s *diskStore) lines(f func(storeLine)) (end int64, err error) {
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	r := bufio.NewReader(s.f)
	for {
		b, err := r.ReadBytes('\n')
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		end += int64(len(b))
		var l storeLine
		if err := json.Unmarshal(b, &l); err != nil {
			return 0, err
		}
		f(l)
	}
}

// where returns the batches that contain a record or row.
func (s *diskStore) where(what string) string {
	var out strings.Builder
	s.lines(func(l storeLine) {
		if slices.Contains(l.IDs, what) || l.Rows[what] > 0 {
			fmt.Fprintf(&out, "from %v to %v (%d records, %d rows, %d lost); ", l.From, l.To, len(l.IDs), len(l.Rows), l.Lost)
		}
	})
	return out.String()
}

func (s *diskStore) Position(_ context.Context, journal string) (memory.Position, error) {
	if s.trouble && s.random.IntN(10) == 0 {
		return memory.Position{}, errors.New("trouble")
	}
	return s.at[journal], nil
}

func (s *diskStore) Load(ctx context.Context, b memory.Batch) error {
	dice := 99
	if s.trouble {
		dice = s.random.IntN(40)
	}
	switch dice {
	case 0:
		return errors.New("trouble before")
	case 1:
		<-ctx.Done()
		return ctx.Err()
	}
	if s.at[b.Journal] != b.From {
		panic(fmt.Sprintf("batch from %v, the store is at %v", b.From, s.at[b.Journal]))
	}
	l := storeLine{Journal: b.Journal, From: b.From, To: b.To, Rows: map[string]int64{}, Lost: b.Lost}
	for i := range b.Records {
		l.IDs = append(l.IDs, b.Records[i].QueueID)
	}
	for _, t := range b.Aggregates {
		l.Rows[strconv.Quote(t.Row)] += t.Count
	}
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := s.f.Write(append(line, '\n')); err != nil {
		return err
	}
	s.at[b.Journal] = b.To
	switch dice {
	case 2:
		return errors.New("trouble after")
	case 3:
		<-ctx.Done()
		return ctx.Err()
	case 4:
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

// kill runs a helper, kills it at some instant, and returns the numbers that it
// answered for.
func kill(t *testing.T, p plan, after int) (acked []int) {
	t.Helper()
	args, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperKey+"="+string(args))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("helper: %q", lines.Text())
			break
		}
		acked = append(acked, n)
		if len(acked) == after {
			cmd.Process.Kill()
		}
	}
	if cmd.Wait(); stderr.Len() > 0 {
		t.Fatalf("helper: %s", stderr.String())
	}
	return acked
}

// audit loads what is left, and checks that all that was answered for is in the
// store, and nothing twice.
func audit(t *testing.T, p plan, acked []int) {
	t.Helper()
	sink, err := openDiskStore(filepath.Join(p.Dir, "store"), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.f.Close()
	j := open(t, p.config().Dir, sink, func(c *Config) { c.SegmentBytes, c.MaxBytes = 16<<10, p.MaxBytes })
	syncNow(t, j)
	closeNow(t, j)
	times := map[string]int64{}
	counted, lost := 0, uint64(0)
	if _, err := sink.lines(func(l storeLine) {
		lost += l.Lost
		for _, id := range l.IDs {
			times[id]++
		}
		for row, n := range l.Rows {
			times[row] += n
			counted++
		}
	}); err != nil {
		t.Fatal(err)
	}
	shown := 0
	for what, n := range times {
		if n == 1 {
			continue
		}
		if shown++; shown <= 3 {
			t.Errorf("%s is in the store %d times: %s", what, n, sink.where(what))
		}
	}
	missing := uint64(0)
	for _, n := range acked {
		if times[strconv.Itoa(n)]+times[strconv.Quote(rowOf(n))] != 1 {
			missing++
		}
	}
	t.Logf("%d answered for, %d in the store, of them %d as counts; %d lost", len(acked), len(times), counted, lost)
	if missing > lost || lost > 0 && !p.Drops {
		t.Errorf("%d records answered for are not in the store exactly once, %d are counted as lost", missing, lost)
	}
	if p.MaxBytes > 0 && counted == 0 {
		t.Error("no digest was loaded")
	}
}

// crash kills helpers again and again, and then looks at what there is.
func crash(t *testing.T, p plan, vary func(*plan, *rand.Rand)) {
	if testing.Short() {
		t.Skip("skipped by -short")
	}
	t.Parallel()
	p.Dir = t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	most := 1500
	if p.Drops {
		most = 500 // it is slow without room
	}
	var acked []int
	for range *crashes {
		p.Seed = random.Uint64()
		if vary != nil {
			vary(&p, random)
		}
		got := kill(t, p, 1+random.IntN(most))
		acked = append(acked, got...)
		p.First += 10_000_000 // more are begun than answered for
	}
	audit(t, p, acked)
}

func TestKilledWithoutStore(t *testing.T) {
	crash(t, plan{Down: true}, nil)
}

func TestKilledWhileLoading(t *testing.T) {
	crash(t, plan{}, nil)
}

func TestKilledWithTroubledStore(t *testing.T) {
	crash(t, plan{Trouble: true}, func(p *plan, r *rand.Rand) { p.Down = r.IntN(4) == 0 })
}

// The bound is small, so that records are being turned into counts while the
// process is killed and the store comes and goes.
func TestKilledWhileCompacting(t *testing.T) {
	crash(t, plan{Trouble: true, MaxBytes: int64(*crashes) * 200 << 10}, func(p *plan, r *rand.Rand) { p.Down = r.IntN(10) > 0 })
}

// Here there is no room even for counts.
func TestKilledWhileDropping(t *testing.T) {
	crash(t, plan{Trouble: true, MaxBytes: 256 << 10, Drops: true}, func(p *plan, r *rand.Rand) { p.Down = r.IntN(3) > 0 })
}
