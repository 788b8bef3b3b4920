package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/admin"
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

func openJournal(t *testing.T, config *settings.Settings, sink journal.Sink) *journal.Journal {
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
	s, err := store.Open(t.Context(), storeConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := openJournal(t, config, journalSink{s})
	defer closeJournal(t, j)
	m := &api.JoinedMemory{Store: s, Journal: j}
	for i := range 20 {
		id := fmt.Sprintf("Q%d", i)
		appendRecords(t, j, rejected(id, time.Now()))
		found, err := m.Find(t.Context(), id)
		if err != nil || len(found) != 1 || found[0].QueueID != id {
			t.Fatalf("%s: %v, %v", id, found, err)
		}
	}
	found, err := m.Find(t.Context(), " <m@bank.example> ")
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
func (brokenSink) Records(context.Context, time.Time, time.Time, func(*memory.Record) error) error {
	return store.ErrUnavailable
}
func (brokenSink) Count(context.Context, time.Time, time.Time) (int64, error) {
	return 0, store.ErrUnavailable
}

func TestFoundWhileTheStoreIsDown(t *testing.T) {
	_, config := stateConfig(t)
	j := openJournal(t, config, brokenSink{})
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = j.Close(ctx) // it says that not all is loaded
	}()
	appendRecords(t, j, rejected("A", time.Now()), rejected("B", time.Now()), rejected("A", time.Now()))
	m := &api.JoinedMemory{Store: brokenSink{}, Journal: j}
	found, err := m.Find(t.Context(), "A")
	if err != nil || len(found) != 2 || found[0].At.Before(found[1].At) {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := m.Find(t.Context(), "C"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("what may be in the store: %v", err)
	}
}

// leftBehind leaves what a daemon remembered and did not load before it died.
func leftBehind(t *testing.T, config *settings.Settings, records ...*memory.Record) {
	t.Helper()
	j, err := journal.Open(journal.Config{Dir: journalDir(config)})
	if err != nil {
		t.Fatal(err)
	}
	appendRecords(t, j, records...)
	closeJournal(t, j)
}

func TestExplainWithoutDaemon(t *testing.T) {
	path, config := stateConfig(t)
	old := time.Now().Add(-time.Hour)
	leftBehind(t, config, rejected("4XyZ1", old), rejected("4XyZ1", time.Now()))
	for range 2 { // the second time all is loaded
		got, stderr, code := runExplain(t, "-c", path, "4XyZ1")
		if code != exitFine || !strings.HasPrefix(got, "Rejected for example.org: ") ||
			!strings.Contains(got, "Other messages with this id: 1") || !strings.Contains(got, old.UTC().Format("2006-01-02 15:04:05")) {
			t.Fatalf("exit code %d\n%s%s", code, got, stderr)
		}
	}
	got, _, code := runExplain(t, "-c", path, "--all", "<m@bank.example>")
	if code != exitFine || strings.Count(got, "Rejected for example.org") != 2 {
		t.Errorf("exit code %d\n%s", code, got)
	}
	got, _, _ = runExplain(t, "-c", path, "--json", "4XyZ1")
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, `"action":"reject"`) || !strings.Contains(got, `"others":[{"at":`) {
		t.Errorf("as JSON: %s", got)
	}
	if got, _, _ = runExplain(t, "-c", path, "--json", "--all", "4XyZ1"); strings.Count(got, "\n") != 2 || strings.Contains(got, "others") {
		t.Errorf("all as JSON: %s", got)
	}
	got, stderr, code := runExplain(t, "-c", path, "4XYZ1")
	if code != exitNo || got != "" || !strings.Contains(stderr, "retention.messages (30d)") {
		t.Errorf("exit code %d\n%s%s", code, got, stderr)
	}
}

func TestExplainByTheDaemon(t *testing.T) {
	path, config := stateConfig(t)
	s, err := store.Open(t.Context(), storeConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := openJournal(t, config, journalSink{s})
	defer closeJournal(t, j)
	l, err := admin.Listen(admin.SocketPath(config.StateDir))
	if err != nil {
		t.Fatal(err)
	}
	service := &api.Service{
		Settings: func() *settings.Settings { return config }, Memory: &api.JoinedMemory{Store: s, Journal: j}, Now: time.Now,
	}
	server := admin.NewServer(admin.Config{Version: version, Service: service})
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	defer func() {
		if err := errors.Join(server.Shutdown(context.Background()), <-done); err != nil {
			t.Error(err)
		}
	}()
	appendRecords(t, j, rejected("4XyZ2", time.Now()))
	if got, stderr, code := runExplain(t, "-c", path, "4XyZ2"); code != exitFine || !strings.HasPrefix(got, "Rejected for example.org: ") {
		t.Errorf("exit code %d\n%s%s", code, got, stderr)
	}
	if _, stderr, code := runExplain(t, "-c", path, "nobody"); code != exitNo || !strings.Contains(stderr, `"nobody"`) {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// TestStateOfOthers has a command run by somebody who does not own the state, by
// root too.
func TestStateOfOthers(t *testing.T) {
	path, config := stateConfig(t)
	const nobody = 65534
	if err := os.Chown(config.StateDir, nobody, nobody); err != nil {
		t.Skip("only root can give a folder to somebody else: ", err)
	}
	_, stderr, code := runExplain(t, "-c", path, "4XyZ1")
	if code != exitUsage || !strings.Contains(stderr, "belongs to the user nobody") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	entries, err := os.ReadDir(config.StateDir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left there: %v, %v", entries, err)
	}
	if err := os.Remove(config.StateDir); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := runExplain(t, "-c", path, "4XyZ1"); code != exitTrouble || !strings.Contains(stderr, "nothing is remembered") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestJournalInUse has a daemon that does not answer yet.
func TestJournalInUse(t *testing.T) {
	path, config := stateConfig(t)
	j := openJournal(t, config, nil)
	defer closeJournal(t, j)
	if _, stderr, code := runExplain(t, "-c", path, "4XyZ1"); code != exitTrouble || !strings.Contains(stderr, "try again in a moment") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func runExplain(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), append([]string{"explain"}, args...), streams{in: strings.NewReader(""), out: &out, err: &errs})
	return out.String(), errs.String(), code
}
