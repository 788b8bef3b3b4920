package settings_test

import (
	"os"
	"path/filepath"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/settings"
)

// TestTexts reads a policy again from the texts that it was read from, once its files
// are broken.
func TestTexts(t *testing.T) {
	folder := t.TempDir()
	path, list := filepath.Join(folder, "policy.yaml"), filepath.Join(folder, "relays.txt")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "mode: monitor\ndomains:\n  example.org: {dmarc: {exceptions: ['file:relays.txt']}}\n")
	write(list, "# ours\n192.0.2.7\n")
	read, _, err := settings.ReadPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(read.Texts) != 2 || read.Texts[0].Path != path || read.Texts[1].Path != list || string(read.Texts[1].Data) != "# ours\n192.0.2.7\n" {
		t.Fatalf("the texts are %q", read.Texts)
	}
	write(path, "mode: [\n")
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	domain := dns.MustParse("example.org")
	again, _, err := settings.ReadTexts(read.Texts)
	if err != nil || again.Mode != read.Mode || again.Domains[domain].DMARC.Exceptions.Empty() {
		t.Errorf("read again: %v, %+v", err, again)
	}
	if again.ID != read.ID {
		t.Errorf("the ID was %v and is %v", read.ID, again.ID)
	}
	trace := again.Trace(domain)
	if !trace.Ours || trace.At.Line != 3 {
		t.Fatalf("traced: %+v", trace)
	}
	if entries := trace.Entries("dmarc.exceptions"); len(entries) != 1 || entries[0].At.File != list || entries[0].At.Line != 2 {
		t.Errorf("the entries are %+v", entries)
	}
	if _, _, err := settings.ReadTexts(read.Texts[:1]); err == nil {
		t.Error("a file that was not given was opened")
	}
	builtin, _, err := settings.ReadTexts(nil)
	if err != nil || !builtin.Trace(domain).Ours {
		t.Errorf("without texts: %v", err)
	}
}
