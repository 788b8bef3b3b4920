package spftest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// RFC7208 is the suite for RFC 7208, 203 tests.
const RFC7208 = "rfc7208-tests.yml"

// module carries a copy of the suites in its testdata.
const module = "blitiri.com.ar/go/spf"

// Find gives the path of a suite file: beside the repository, or else in the
// copy that a module of ours carries.
func Find(suite string) (string, error) {
	if paths := Copies(suite); len(paths) > 0 {
		return paths[0], nil
	}
	return "", fmt.Errorf("spftest: no %s beside the repository nor in %s", suite, module)
}

// Copies returns the paths of all existing copies of a suite file.
func Copies(suite string) []string {
	root, ok := repository()
	if !ok {
		return nil
	}
	folders := []string{filepath.Join(root, "..", "shared", "suites", "spf")}
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil {
		folders = append(folders, filepath.Join(strings.TrimSpace(string(out)), "testdata"))
	}
	var found []string
	for _, folder := range folders {
		path := filepath.Join(folder, suite)
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// repository is the folder of go.mod, above the working directory.
func repository() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
