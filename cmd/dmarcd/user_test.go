package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/present"
)

// TestUserCommands adds, lists, changes and removes users where no daemon runs.
func TestUserCommands(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "dmarcd.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "state_dir: %s\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	const good = "correct horse battery\n"
	for _, c := range []struct {
		args, in string
		code     int
		want     string // in what is printed
	}{
		{"list", "", 0, ""},
		{"add Aiko --role admin", good, 0, "aiko may log in as admin."},
		{"add aiko --role viewer", good, 2, "there is such a user already"},
		{"add ben --role viewer --domain example.org", good, 0, "ben may log in as viewer."},
		{"add carl --role admin --domain example.org", good, 2, "an admin sees all domains"},
		{"add carl --role viewer --domain a..b", good, 2, "domains:"},
		{"add carl --role king", good, 2, "--role: expected admin or viewer"},
		{"add carl --role viewer", "short\n", 2, "at least 12 characters"},
		{"add carl --role viewer", "", 2, "no password on standard input"},
		{"list", "", 0, "ben                  viewer  example.org  never logged in"},
		{"list --json", "", 0, `"name":"aiko","role":"admin","domains":[]`},
		{"list --limit 1", "", 0, "There is more: --after aiko"},
		{"passwd ben", good, 0, "ben has another password"},
		{"passwd nobody", good, 1, "there is no such user"},
		{"remove ben", "", 0, "ben is removed."},
		{"remove ben", "", 1, "there is no such user"},
	} {
		var out bytes.Buffer
		args := append([]string{"user"}, append(strings.Fields(c.args), "-c", config)...)
		code := run(t.Context(), args, present.Streams{In: strings.NewReader(c.in), Out: &out, Err: &out})
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("user %s: %d, want %d with %q:\n%s", c.args, code, c.code, c.want, &out)
		}
	}
}
