package main

import (
	"bytes"
	"log/slog"
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

	source := configuration{path: config}
	first, _, err := source.load()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d, err := newDaemon(source, first, newLog(&log, first.Log, new(slog.LevelVar)), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.closeDoors)

	for name, load := range map[string]func() (*settings.Settings, settings.Faults, error){"SIGHUP": source.load, "the file": d.loadPolicy} {
		t.Run(name, func(t *testing.T) {
			before := d.settings.Load()
			log.Reset()
			write(t, policy, "default: {dmarc: {actions: {reject: quarantine}}}\n"+tests)
			d.reload(load)
			if d.settings.Load() != before {
				t.Error("a policy whose tests fail was taken over")
			}
			want := `policy.yaml:2:9: tests[0]: \"a spoof\": expected reject, got quarantine: published_policy by dmarc.actions.reject`
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not hold %s:\n%s", want, &log)
			}
			write(t, policy, "mode: monitor\n"+tests)
			d.reload(load)
			if d.settings.Load() == before || d.settings.Load().Policy.Mode != "monitor" {
				t.Errorf("a policy whose tests pass in enforce was not taken over:\n%s", &log)
			}
		})
	}
}
