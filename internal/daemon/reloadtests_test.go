package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/settings"
)

// TestReloadTriesThePolicysTests: neither a SIGHUP nor a change of the policy file
// takes over a policy whose own tests fail, and the log says which.
func TestReloadTriesThePolicysTests(t *testing.T) {
	const tests = "tests: [{name: a spoof, rcpt: u@example.org, from: x@bank.example, policy: reject, expect: reject}]\n"
	dir := t.TempDir()
	config, policy := filepath.Join(dir, "dmarcd.yaml"), filepath.Join(dir, "policy.yaml")
	write(t, config, "listen: [\"unix:"+dir+"/milter.sock\"]\nhttp: {listen: \"\"}\nstate_dir: "+dir+"\n")
	write(t, policy, tests)

	source := Source{File: config}
	first, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d, err := New(Options{Source: source, Settings: first, Log: NewLog(&log, first.Log, new(slog.LevelVar)), Level: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.discard)

	for name, load := range map[string]func() (*settings.Settings, settings.Faults, error){"SIGHUP": source.Load, "the file": d.loadPolicy} {
		t.Run(name, func(t *testing.T) {
			before := d.settings.Load()
			log.Reset()
			write(t, policy, "default: {dmarc: {actions: {reject: quarantine}}}\n"+tests)
			d.reload(load, allFiles)
			if d.settings.Load() != before {
				t.Error("a policy whose tests fail was taken over")
			}
			want := `policy.yaml:2:9: tests[0]: \"a spoof\": expected reject, got quarantine: published_policy by dmarc.actions.reject`
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not hold %s:\n%s", want, &log)
			}
			write(t, policy, "mode: monitor\n"+tests)
			d.reload(load, allFiles)
			if d.settings.Load() == before || d.settings.Load().Policy.Mode != "monitor" {
				t.Errorf("a policy whose tests pass in enforce was not taken over:\n%s", &log)
			}
		})
	}
}

// TestReload sees good files taken over and a bad one refused with its line.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "dmarcd.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("dmarcd.yaml", "listen: [\"unix:"+dir+"/milter.sock\"]\nhttp: {listen: \"\"}\nstate_dir: "+dir+"\n")
	write("policy.yaml", "mode: enforce\n")

	source := Source{File: config}
	first, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d, err := New(Options{Source: source, Settings: first, Log: NewLog(&log, first.Log, new(slog.LevelVar)), Level: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.discard)

	write("policy.yaml", "mode: monitor\n")
	d.reload(source.Load, allFiles)
	second := d.settings.Load()
	if second == first || second.Policy.Mode != "monitor" {
		t.Errorf("a good file was not taken: mode %s", second.Policy.Mode)
	}
	write("policy.yaml", "\nmode: watch\n")
	d.reload(source.Load, allFiles)
	if d.settings.Load() != second {
		t.Error("a bad file replaced the configuration")
	}
	if !strings.Contains(log.String(), "policy.yaml:2:7: mode: expected enforce or monitor") {
		t.Errorf("the log does not name the fault:\n%s", &log)
	}
	write("policy.yaml", "mode: enforce\n")
	write("dmarcd.yaml", "listen: [\"unix:"+dir+"/other.sock\"]\nstate_dir: "+dir+"\n")
	d.reload(source.Load, allFiles)
	for _, key := range []string{`"key":"listen"`, `"key":"http"`} {
		if !strings.Contains(log.String(), key) {
			t.Errorf("the log does not name the key that needs a restart: %s\n%s", key, &log)
		}
	}
}
