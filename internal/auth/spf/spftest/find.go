package spftest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Suites that Find knows.
const (
	RFC7208 = "rfc7208-tests.yml" // 203 tests
	
)

// module carries a copy of the suites in its testdata.
const module = "blitiri.com.ar/go/spf"

// Find gives the path of a suite file: beside the repository, or else in the
// copy that a module of ours carries.
func Find(suite string) (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(root, "..", "shared", "suites", "spf", suite)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("spftest: no %s: %w", suite, err)
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "testdata", suite)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("spftest: no %s: %w", suite, err)
	}
	return path, nil
}

// repository is the folder of go.mod, above the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("spftest: no go.mod above the working directory")
		}
		dir = parent
	}
}
