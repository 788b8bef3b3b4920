package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

// day0 is when record 0 came.
var day0 = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// newRecord makes record number n. Its queue id is the number; its row is its own, so
// that it can be recognized even as a count.
func newRecord(n int) *memory.Record {
	rec, err := dmarc.ParseRecord("v=DMARC1; p=reject; rua=mailto:d@example.com")
	if err != nil {
		panic(err)
	}
	from := dns.MustParse("example.com")
	d := policy.Decision{Action: policy.Reject, Would: policy.Reject, Reason: policy.ReasonPolicy, Evaluated: true, Status: dmarc.Fail}
	return &memory.Record{
		At: day0.Add(time.Duration(n) * time.Second), QueueID: strconv.Itoa(n),
		ClientIP: netip.MustParseAddr("192.0.2.1"), EnvelopeFrom: dns.MustParse("n" + strconv.Itoa(n) + ".example"),
		Verdict: policy.Verdict{DMARC: dmarc.Result{
			Status: dmarc.Fail, Author: from, OrgDomain: from, PolicyDomain: from, Record: rec,
			Source: "p", Requested: dmarc.PolicyReject, Policy: dmarc.PolicyReject,
		}},
		Decision: d, Outcomes: []memory.Outcome{{Domains: []dns.Name{dns.MustParse("example.org")}, Decision: d, Mode: policy.Enforce, DailyReports: true}},
	}
}

// similar is record n of those that share a few rows, every fifth of which causes no
// report.
func similar(n int) *memory.Record {
	r := newRecord(n)
	r.EnvelopeFrom = dns.MustParse("n" + strconv.Itoa(n%3) + ".example")
	r.CarriesReport = n%5 == 0
	return r
}

func encode(t testing.TB, r *memory.Record) []byte {
	t.Helper()
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rowOf is the key by which record n counts.
func rowOf(n int) string {
	aggregate, ok := newRecord(n).Aggregate()
	if !ok {
		panic("no aggregate")
	}
	return aggregate.Row
}

// store is a sink in memory.
type store struct {
	mu         sync.Mutex
	position   map[string]memory.Position
	records    map[string]int // times loaded, by queue id
	aggregates map[memory.Aggregate]memory.Aggregate
	lost       uint64
	batches    []memory.Batch
	problems   []string // broken promises

	// Hooks, nil for none; called without the lock.
	asked  func(ctx context.Context) error
	before func(ctx context.Context, b memory.Batch) error // an error: nothing is taken
	after  func(ctx context.Context, b memory.Batch) error // an error: taken all the same
}

func newStore() *store {
	return &store{position: map[string]memory.Position{}, records: map[string]int{}, aggregates: map[memory.Aggregate]memory.Aggregate{}}
}

func (s *store) Position(ctx context.Context, journal string) (memory.Position, error) {
	if s.asked != nil {
		if err := s.asked(ctx); err != nil {
			return memory.Position{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position[journal], nil
}

func (s *store) Load(ctx context.Context, b memory.Batch) error {
	if s.before != nil {
		if err := s.before(ctx, b); err != nil {
			return err
		}
	}
	if err := s.take(b); err != nil {
		return err
	}
	if s.after != nil {
		return s.after(ctx, b)
	}
	return nil
}

func (s *store) take(b memory.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.position[b.Journal]; have != b.From {
		s.problems = append(s.problems, fmt.Sprintf("batch from %v, the store is at %v", b.From, have))
		return errors.New("a gap")
	}
	if b.From != (memory.Position{}) && !b.From.Before(b.To) {
		s.problems = append(s.problems, fmt.Sprintf("batch from %v to %v", b.From, b.To))
	}
	s.position[b.Journal] = b.To
	for i := range b.Records {
		s.records[b.Records[i].QueueID]++
	}
	for _, t := range b.Aggregates {
		key := t
		key.Count, key.Last = 0, 0
		sum := s.aggregates[key]
		key.Count, key.Last = sum.Count+t.Count, max(sum.Last, t.Last)
		sum = key
		key.Count, key.Last = 0, 0
		s.aggregates[key] = sum
	}
	s.lost += b.Lost
	s.batches = append(s.batches, b)
	return nil
}

// times is how often record n was loaded, as itself or as a count of its own.
func (s *store) times(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := s.records[strconv.Itoa(n)]
	aggregate, _ := newRecord(n).Aggregate()
	aggregate.Count, aggregate.Last = 0, 0
	return times + int(s.aggregates[aggregate].Count)
}

// check fails the test unless records 0 to n-1 were loaded once each, and nothing
// else happened.
func (s *store) check(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if times := s.times(i); times != 1 {
			t.Errorf("record %d of %d was loaded %d times", i, n, times)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.records) > n {
		t.Errorf("%d records loaded, only %d were appended", len(s.records), n)
	}
	for _, p := range s.problems {
		t.Error(p)
	}
}

// open opens a journal with patient settings; change may alter them. It is closed
// when the test ends.
func open(t testing.TB, dir string, sink Sink, change func(*Config)) *Journal {
	t.Helper()
	cfg := Config{
		Dir: dir, Sink: sink, Log: slog.New(slog.NewTextHandler(testLog{t}, nil)),
		Patience: time.Minute, Linger: time.Millisecond, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		j.Close(ctx)
	})
	return j
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// fill appends records from to to-1, made by make.
func fill(t testing.TB, j *Journal, make func(int) *memory.Record, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := j.Append(encode(t, make(n))); err != nil {
			t.Fatalf("record %d: %v", n, err)
		}
	}
}

func syncNow(t testing.TB, j *Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := j.Sync(ctx); err != nil {
		t.Fatalf("Sync: %v; %+v", err, j.Stats())
	}
}

func closeNow(t testing.TB, j *Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := j.Close(ctx); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// paced is fill at the maintainer's pace, so that segments have the size they should
// have and nothing is lost for want of room.
func paced(t testing.TB, j *Journal, make func(int) *memory.Record, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		until(t, j, "room", func(st Stats) bool { return st.Bytes <= j.cfg.MaxBytes+j.cfg.MaxBytes/8 && j.maintainer.ready() })
		fill(t, j, make, n, n+1)
	}
}

// until waits for the journal to become such that ok.
func until(t testing.TB, j *Journal, what string, ok func(Stats) bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		_, moved := j.index.reached(memory.Position{})
		if ok(j.Stats()) {
			return
		}
		select {
		case <-moved:
		case <-time.After(time.Millisecond): // not every change wakes a waiter
		case <-limit:
			t.Fatalf("never: %s; %+v", what, j.Stats())
		}
	}
}

// contextDone is a context that is done.
func contextDone(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// closeDone closes a journal without loading what is left.
func closeDone(t testing.TB, j *Journal) {
	t.Helper()
	ctx, cancel := contextDone(t)
	defer cancel()
	if err := j.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("Close: %v", err)
	}
}

func truncate(t testing.TB, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}
