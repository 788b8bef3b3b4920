package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWatcher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	at := time.Unix(1_700_000_000, 0)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	var w watcher
	expect := func(what string, want bool) {
		t.Helper()
		if got := w.changed(); got != want {
			t.Errorf("%s: changed = %v, want %v", what, got, want)
		}
	}
	write("one")
	w.loaded([]string{path}, nil)
	expect("nothing happened", false)
	write("two")
	expect("seen once", false)
	write("three")
	expect("still being written", false)
	expect("at rest", true)
	w.loaded([]string{path}, nil)
	expect("loaded", false)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("gone, seen once", false)
	expect("gone", true)
	w.loaded([]string{path}, nil)
	expect("loaded without it", false)
	write("four")
	expect("back, seen once", false)
	expect("back", true)
	w.loaded([]string{path}, nil)

	before := w.snapshot()
	write("written while it was loaded")
	w.loaded([]string{path}, before)
	expect("written during the load, seen once", false)
	expect("written during the load", true)
	w.loaded([]string{path}, nil)

	other := path + ".new"
	if err := os.WriteFile(other, []byte("five"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	expect("replaced by a file of the same time and size, seen once", false)
	expect("replaced", true)
}
