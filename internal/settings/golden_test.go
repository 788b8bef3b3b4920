package settings

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFiles reads every file of testdata. A *.good.yaml loads; a *.bad.yaml does
// not. The comments "# want:" of a bad file and "# warn:" of a good one are parts
// of its faults and warnings, each of exactly one.
func TestFiles(t *testing.T) {
	for _, dir := range []string{"daemon", "policy"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			load := func() ([]Fault, error) {
				_, w, err := Load(path, "mx.example.org")
				return w, err
			}
			if dir == "policy" {
				load = func() ([]Fault, error) {
					_, w, err := LoadPolicy(path)
					return w, err
				}
			}
			name := filepath.ToSlash(path)
			switch {
			case strings.HasSuffix(path, ".good.yaml"):
				t.Run(name, func(t *testing.T) {
					warnings, err := load()
					if err != nil {
						t.Fatalf("refused:\n%v", err)
					}
					if strings.Contains(path, "daemon") { // the policy's warnings are its own file's matter
						warnings = slices.DeleteFunc(warnings, func(f Fault) bool { return !strings.HasSuffix(f.File, path) })
					}
					compare(t, expected(t, path, "# warn: "), warnings)
				})
			case strings.HasSuffix(path, ".bad.yaml"):
				t.Run(name, func(t *testing.T) {
					_, err := load()
					faults, ok := err.(Faults)
					if !ok {
						t.Fatalf("error is %T %v, want Faults", err, err)
					}
					compare(t, expected(t, path, "# want: "), faults)
				})
			}
		}
	}
}

// expected returns the comments of a file that begin with prefix.
func expected(t *testing.T, path, prefix string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		if want, ok := strings.CutPrefix(s.Text(), prefix); ok {
			out = append(out, want)
		}
	}
	return out
}

// compare pairs each wanted text with one fault that holds it.
func compare(t *testing.T, wants []string, faults []Fault) {
	t.Helper()
	left := make([]string, len(faults))
	for i, f := range faults {
		left[i] = relative(t, f.String())
	}
	for _, want := range wants {
		i := slices.IndexFunc(left, func(s string) bool { return strings.Contains(s, want) })
		if i < 0 {
			t.Errorf("missing:    %s", want)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, s := range left {
		t.Errorf("unexpected: %s", s)
	}
}

// relative takes the folder of the test out of a message.
func relative(t *testing.T, s string) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(s, wd+string(filepath.Separator), "")
}
