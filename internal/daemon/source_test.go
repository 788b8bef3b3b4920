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

// folderDaemon is a daemon that looks for both files in a folder, with none there.
func folderDaemon(t *testing.T) (d *Daemon, folder string, log *bytes.Buffer) {
	t.Helper()
	folder, log = t.TempDir(), &bytes.Buffer{}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	source := Source{Folder: folder}
	config, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	config.Listen = []settings.Listen{{Socket: "unix:" + folder + "/milter.sock"}}
	config.HTTP.Listen = ""
	d, err = New(Options{Source: source, Settings: config, Log: NewLog(log, config.Log, new(slog.LevelVar)), Level: new(slog.LevelVar)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.discard)
	d.watch.loaded(d.policyFiles(config), nil)
	return d, folder, log
}

// TestReloadOfWhatAppears begins with what is built in: a reload says that there is
// nothing to read, a policy takes effect by itself, dmarcd.yaml at the next reload.
func TestReloadOfWhatAppears(t *testing.T) {
	d, folder, log := folderDaemon(t)
	logged := func(what string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(log.String(), w) {
				t.Errorf("%s: the log has no %q:\n%s", what, w, log)
			}
		}
		log.Reset()
	}
	d.reload(d.source.Load, allFiles)
	if strings.Contains(log.String(), "reloaded") {
		t.Errorf("nothing was read: %s", log)
	}
	logged("a reload of nothing", "nothing to reload", folder)

	policy, main := filepath.Join(folder, "policy.yaml"), filepath.Join(folder, "dmarcd.yaml")
	write(t, policy, "mode: monitor\n")
	if d.watch.changed(); !d.watch.changed() {
		t.Fatal("a policy appeared, and nobody saw it")
	}
	d.reload(d.loadPolicy, textFiles)
	if got := d.settings.Load().Policy.Mode; got != "monitor" {
		t.Errorf("mode %s", got)
	}
	logged("the policy", `"files":["`+policy+`"]`)
	if files := d.files.list(); len(files) != 1 || files[0].Path != policy {
		t.Errorf("in force: %+v", files)
	}

	write(t, main, "log: {level: warn}\nlimits: {connections: 7}\n")
	d.reload(d.source.Load, allFiles)
	logged("dmarcd.yaml", `"files":["`+main+`","`+policy+`"]`, `"key":"limits`)

	if err := os.Remove(policy); err != nil {
		t.Fatal(err)
	}
	d.reload(d.loadPolicy, textFiles)
	if got := d.settings.Load().Policy.Mode; got != "monitor" {
		t.Errorf("the policy file was away for a moment, and mode is %s", got)
	}
	logged("a policy that is gone", "the old one stays in force", "there is no such file")
	d.reload(d.source.Load, allFiles)
	if got := d.settings.Load().Policy; got.Mode != "enforce" || len(got.Texts) > 0 {
		t.Errorf("after the reload mode is %s", got.Mode)
	}
}

// TestPolicyAlone loads a policy with the built-in dmarcd.yaml.
func TestPolicyAlone(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "policy.yaml"), "mode: monitor\n")
	s := Source{Folder: folder}
	config, _, err := s.Load()
	if err != nil || config.File != "" || config.Policy.Mode != "monitor" {
		t.Fatalf("%+v, %v", config, err)
	}
	if got := s.Files(); len(got) != 1 || got[0] != filepath.Join(folder, "policy.yaml") {
		t.Errorf("to look at: %q", got)
	}
	write(t, filepath.Join(folder, "policy.yaml"), "mode: watch\n")
	if _, _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "policy.yaml:1:7") {
		t.Errorf("a fault: %v", err)
	}
}
