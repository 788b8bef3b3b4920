package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/journal"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// stateConfig is a configuration with a state directory of its own.
func stateConfig(t *testing.T) (path string, config *settings.Settings) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "dmarcd.yaml")
	for name, text := range map[string]string{
		path:                              "authserv_id: mx.example.org\nstate_dir: " + filepath.Join(dir, "state") + "\n",
		filepath.Join(dir, "policy.yaml"): "{}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, _, err := settings.Load(path, "mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(config.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	return path, config
}

// rejected is what is remembered of a forged message.
func rejected(queueID string, at time.Time) *memory.Record {
	r := &memory.Record{
		At: at.UTC().Truncate(time.Microsecond), QueueID: queueID, MessageID: "m@bank.example", MTA: "Postfix 3.7.11",
		Decision: policy.Decision{Action: policy.Reject, Would: policy.Reject, Reason: policy.ReasonPolicy, Rule: "dmarc.actions.reject"},
	}
	r.Verdict.DMARC.Author = dns.MustParse("bank.example")
	r.Verdict.Authors = []dns.Name{r.Verdict.DMARC.Author}
	r.Outcomes = []memory.Outcome{{Domains: []dns.Name{dns.MustParse("example.org")}, Decision: r.Decision, Mode: policy.Enforce}}
	return r
}

func openTestJournal(t *testing.T, config *settings.Settings, sink journal.Sink) *journal.Journal {
	t.Helper()
	j, err := journal.Open(journal.Config{Dir: journalDir(config), Sink: sink, LoadTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func appendRecords(t *testing.T, j *journal.Journal, records ...*memory.Record) {
	t.Helper()
	for _, r := range records {
		b, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(b); err != nil {
			t.Fatal(err)
		}
	}
}

func closeJournal(t *testing.T, j *journal.Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := j.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestFoundAtOnce asks for a message right after it was answered, again and again.
func TestFoundAtOnce(t *testing.T) {
	_, config := stateConfig(t)
	s, err := store.Open(t.Context(), StoreConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := openTestJournal(t, config, journalSink{s})
	defer closeJournal(t, j)
	m := &api.JoinedMemory{Store: s, Journal: j}
	for i := range 20 {
		id := fmt.Sprintf("Q%d", i)
		appendRecords(t, j, rejected(id, time.Now()))
		found, err := m.Find(t.Context(), id, 1000)
		if err != nil || len(found) != 1 || found[0].QueueID != id {
			t.Fatalf("%s: %v, %v", id, found, err)
		}
	}
	found, err := m.Find(t.Context(), " <m@bank.example> ", 1000)
	if err != nil || len(found) != 20 || found[0].QueueID != "Q19" || found[19].QueueID != "Q0" {
		t.Errorf("by message-id: %d, %v", len(found), err)
	}
	n := 0
	if err := m.Records(t.Context(), time.Time{}, time.Time{}, func(*memory.Record) error { n++; return nil }); err != nil || n != 20 {
		t.Errorf("%d records, %v", n, err)
	}
	if n, err := m.Count(t.Context(), time.Time{}, time.Time{}); err != nil || n != 20 {
		t.Errorf("counted %d, %v", n, err)
	}
}

// brokenSink is a store that is down.
type brokenSink struct{}

func (brokenSink) Position(context.Context, string) (memory.Position, error) {
	return memory.Position{}, store.ErrUnavailable
}
func (brokenSink) Load(context.Context, memory.Batch) error { return store.ErrUnavailable }
func (brokenSink) Find(context.Context, string, int) ([]memory.Record, error) {
	return nil, store.ErrUnavailable
}
func (brokenSink) Search(context.Context, memory.Query) (memory.Page, error) {
	return memory.Page{}, store.ErrUnavailable
}
func (brokenSink) Records(context.Context, time.Time, time.Time, func(*memory.Record) error) error {
	return store.ErrUnavailable
}
func (brokenSink) Count(context.Context, time.Time, time.Time) (int64, error) {
	return 0, store.ErrUnavailable
}

func TestFoundWhileTheStoreIsDown(t *testing.T) {
	_, config := stateConfig(t)
	j := openTestJournal(t, config, brokenSink{})
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = j.Close(ctx) // it says that not all is loaded
	}()
	appendRecords(t, j, rejected("A", time.Now()), rejected("B", time.Now()), rejected("A", time.Now()))
	m := &api.JoinedMemory{Store: brokenSink{}, Journal: j}
	found, err := m.Find(t.Context(), "A", 1000)
	if err != nil || len(found) != 2 || found[0].At.Before(found[1].At) {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := m.Find(t.Context(), "C", 1000); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("what may be in the store: %v", err)
	}
}
