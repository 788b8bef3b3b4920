package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"dmarcd/internal/metrics"
	"dmarcd/internal/settings"
)

// idleDaemon is a daemon with the settings of a folder, for reloads that fail.
func idleDaemon(t *testing.T, folder string) *Daemon {
	t.Helper()
	config := filepath.Join(folder, "dmarcd.yaml")
	write(t, config, "authserv_id: mx.example.org\n")
	s, _, err := settings.Load(config, "mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{log: slog.New(slog.DiscardHandler), metrics: metrics.New(prometheus.NewRegistry())}
	d.settings.Store(s)
	d.watch.loaded(d.policyFiles(s), nil)
	return d
}

// TestFaultyListIsWatched holds the watcher to the files that a failed load names:
// the policy is tried again once they are put right.
func TestFaultyListIsWatched(t *testing.T) {
	const policy = "default: {dmarc: {exceptions: ['file:exc.txt']}}\n"
	for _, c := range []struct{ name, list string }{
		{"missing", ""},
		{"a wrong line", "nonsense\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			write(t, filepath.Join(folder, "policy.yaml"), "{}\n")
			d := idleDaemon(t, folder)
			list := filepath.Join(folder, "exc.txt")
			if c.list != "" {
				write(t, list, c.list)
			}
			write(t, filepath.Join(folder, "policy.yaml"), policy)
			d.reload(d.loadPolicy, textFiles)
			for range 2 { // a change counts at the second look
				if d.watch.changed() {
					t.Error("the failed load would be tried again though nothing changed")
				}
			}
			write(t, list, "192.0.2.0/24\n")
			if d.watch.changed() {
				t.Error("taken before it came to rest")
			}
			if !d.watch.changed() {
				t.Error("the list was put right, and nobody saw it")
			}
			if _, _, err := d.loadPolicy(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDomainsDirIsWatched adds, changes and removes a file of domains_dir.
func TestDomainsDirIsWatched(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "policy.yaml"), "domains_dir: customers\n")
	customers := filepath.Join(folder, "customers")
	if err := os.Mkdir(customers, 0o700); err != nil {
		t.Fatal(err)
	}
	d := idleDaemon(t, folder)
	file := filepath.Join(customers, "acme.yaml")
	for _, step := range []struct {
		name string
		do   func()
		want int // domain entries
	}{
		{"added", func() { write(t, file, "domains: {acme.example: }\n") }, 1},
		{"changed", func() { write(t, file, "domains: {acme.example: , acme.test: }\n") }, 2},
		{"broken", func() { write(t, file, "domains: [\n") }, 2},
		{"mended", func() { write(t, file, "domains: {acme.example: }\n") }, 1},
		{"removed", func() {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, 0},
	} {
		step.do()
		if d.watch.changed(); !d.watch.changed() {
			t.Fatalf("%s: nobody saw it", step.name)
		}
		before := d.watch.snapshot()
		if next, _, err := d.loadPolicy(); err == nil {
			d.settings.Store(next)
			d.watch.loaded(d.policyFiles(next), before)
		} else {
			d.watchFaults(err, before)
		}
		if got := len(d.settings.Load().Policy.Domains); got != step.want {
			t.Errorf("%s: %d entries, want %d", step.name, got, step.want)
		}
	}
}

// TestListWrittenDuringLoad is a list that appears between the look for it and the watch.
func TestListWrittenDuringLoad(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "policy.yaml"), "{}\n")
	d := idleDaemon(t, folder)
	list := filepath.Join(folder, "exc.txt")
	d.reload(func() (*settings.Settings, settings.Faults, error) {
		write(t, list, "192.0.2.0/24\n")
		return nil, nil, settings.Faults{{File: filepath.Join(folder, "policy.yaml"), Problem: "x", Unread: list}}
	}, allFiles)
	if d.watch.changed(); !d.watch.changed() {
		t.Error("the list was written during the load, and nobody saw it")
	}
}

// TestFaultyFilesAreBounded counts what faults without number leave to watch.
func TestFaultyFilesAreBounded(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "policy.yaml"), "{}\n")
	d := idleDaemon(t, folder)
	faults := settings.Faults{{File: filepath.Join(folder, "dmarcd.yaml")}}
	for i := range 3 * maxFaultyFiles {
		faults = append(faults, settings.Fault{File: filepath.Join(folder, "policy.yaml"), Unread: fmt.Sprintf("/nosuch/%d", i)})
	}
	for range 2 {
		d.reload(func() (*settings.Settings, settings.Faults, error) { return nil, nil, faults }, allFiles)
	}
	if got, want := len(d.watch.files), 1+maxFaultyFiles; got != want {
		t.Errorf("%d files are watched, want %d", got, want)
	}
	if all := strings.Join(d.watch.files, " "); strings.Contains(all, "dmarcd.yaml") {
		t.Errorf("dmarcd.yaml is watched: %s", all)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
