package console

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWordsAreWhole holds the table of texts to the templates and sources: each text that
// they use has its Japanese, and nothing else stands there.
func TestWordsAreWhole(t *testing.T) {
	used := map[string]bool{}
	find := func(text string, patterns ...string) {
		for _, p := range patterns {
			for _, m := range regexp.MustCompile(p).FindAllStringSubmatch(text, -1) {
				used[m[1]] = true
			}
		}
	}
	templates, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range templates {
		text, err := fs.ReadFile(templateFiles, file)
		if err != nil {
			t.Fatal(err)
		}
		find(string(text), `[{(]t "([^"]*)"`, `count \S+ "([^"]*)" "`, `count \S+ "[^"]*" "([^"]*)"`)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range sources {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		find(string(text), `\.t\("([^"]*)"`, `say\((?:lang|s\.Lang), "([^"]*)"`)
	}
	for _, en := range stateWords {
		used[en] = true
	}
	for _, en := range reasonWords {
		used[en] = true
	}
	verbs := regexp.MustCompile(`%(?:\[\d\])?[sd]`)
	for en := range used {
		ja := words()[en]
		if ja == "" {
			t.Errorf("no Japanese for %q", en)
		}
		want, got := verbs.FindAllString(en, -1), verbs.FindAllString(ja, -1)
		if len(want) != len(got) {
			t.Errorf("%q has %d places to fill in, its Japanese %d", en, len(want), len(got))
		}
		if strings.Contains(ja, "[") && !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, "[") }) {
			t.Errorf("%q", ja)
		}
	}
	for en := range words() {
		if !used[en] {
			t.Errorf("nothing uses %q", en)
		}
	}
}
