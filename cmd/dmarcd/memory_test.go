package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/journal"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/present"
	"dmarcd/internal/settings"
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
	j, err := journal.Open(journal.Config{Dir: filepath.Join(config.StateDir, "journal"), Sink: sink, LoadTimeout: time.Second})
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

// unloaded leaves records in the journal that a daemon did not load before it died.
func unloaded(t *testing.T, config *settings.Settings, records ...*memory.Record) {
	t.Helper()
	j, err := journal.Open(journal.Config{Dir: filepath.Join(config.StateDir, "journal")})
	if err != nil {
		t.Fatal(err)
	}
	appendRecords(t, j, records...)
	closeJournal(t, j)
}

func TestExplainWithoutDaemon(t *testing.T) {
	path, config := stateConfig(t)
	old := time.Now().Add(-time.Hour)
	unloaded(t, config, rejected("4XyZ1", old), rejected("4XyZ1", time.Now()))
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
	code = run(t.Context(), append([]string{"explain"}, args...), present.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}
