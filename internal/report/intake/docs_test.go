package intake

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFaultTable holds docs/intake.md to a test for each of its rows: of TestFaults the
// cases that begin with the row's number, else a test of that name.
func TestFaultTable(t *testing.T) {
	const rows = 64
	doc, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "intake.md"))
	must(t, err)
	var names []string
	for _, some := range [][]faultCase{shapeCases(t), xmlCases(t), valueCases(t), moreValueCases(t), mailCases(t), otherMailCases(t)} {
		for _, c := range some {
			names = append(names, c.name)
		}
	}
	found := regexp.MustCompile("(?m)^\\| (\\d+) \\|.*\\| `(\\w+)\\.(Test\\w+)(?:/(\\d\\d))?` \\|$").FindAllStringSubmatch(string(doc), -1)
	for i, m := range found {
		n, pkg, test, part := m[1], m[2], m[3], m[4]
		if n != strconv.Itoa(i+1) {
			t.Fatalf("row %d has the number %s", i+1, n)
		}
		if part != "" && test == "TestFaults" && !hasCase(names, part) {
			t.Errorf("row %s: there is no case %s of TestFaults", n, part)
		}
		if part != "" && part != strings.Repeat("0", 2-len(n))+n {
			t.Errorf("row %s names part %s of %s", n, part, test)
		}
		dir := map[string]string{"intake": ".", "inbound": filepath.Join("..", "..", "inbound")}[pkg]
		if !hasTest(t, dir, test, part) {
			t.Errorf("row %s: there is no %s.%s %s", n, pkg, test, part)
		}
	}
	if len(found) != rows {
		t.Errorf("%d rows, want %d", len(found), rows)
	}
	for _, name := range names {
		n, _ := strconv.Atoi(name[:2])
		if n < 1 || n > rows || !strings.Contains(string(doc), "| `intake.TestFaults/"+name[:2]+"` |") {
			t.Errorf("the case %q belongs to no row", name)
		}
	}
}

func hasCase(names []string, part string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, part+" ") {
			return true
		}
	}
	return false
}

// hasTest looks for a test function, and for a part of it by its name.
func hasTest(t *testing.T, dir, test, part string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(b), "func "+test+"(t *testing.T)") {
			return part == "" || test == "TestFaults" || strings.Contains(string(b), "\""+part+" ")
		}
	}
	return false
}
