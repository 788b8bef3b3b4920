package inbound_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestLogDocumented holds docs/log.md to the fields of the log line in the source.
func TestLogDocumented(t *testing.T) {
	source, err := os.ReadFile("log.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{"msg": true}
	for _, m := range regexp.MustCompile(`(?:slog\.[A-Z]\w*\(|\{)"([a-z_]+)", `).FindAllStringSubmatch(string(source), -1) {
		fields[m[1]] = true
		if !strings.Contains(string(doc), "`"+m[1]+"`") {
			t.Errorf("docs/log.md does not list %s", m[1])
		}
	}
	if len(fields) < 15 {
		t.Fatalf("found only the fields %v", fields)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(string(doc), -1) {
		for _, name := range strings.Split(row[1], ", ") {
			if !fields[strings.Trim(name, "`")] {
				t.Errorf("docs/log.md lists %s, which the log does not have", name)
			}
		}
	}
}
