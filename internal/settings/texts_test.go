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
	trace := again.EffectiveRules(domain)
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
	if err != nil || !builtin.EffectiveRules(domain).Ours {
		t.Errorf("without texts: %v", err)
	}
}

// TestFromTexts reads a whole configuration again once its files are broken.
func TestFromTexts(t *testing.T) {
	folder := t.TempDir()
	file, policy := filepath.Join(folder, "dmarcd.yaml"), filepath.Join(folder, "policy.yaml")
	for path, text := range map[string]string{file: "authserv_id: mx.example.org\nstate_dir: /srv/dmarcd\n", policy: "mode: monitor\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read, _, err := settings.Read(file, "host.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := settings.FromTexts(read.Text, read.Policy.Texts, "host.example.org")
	if err != nil || again.File != file || again.StateDir != "/srv/dmarcd" || again.Policy.Mode != "monitor" || again.AuthServID != "mx.example.org" {
		t.Errorf("%v, %+v", err, again)
	}
	if _, err := settings.FromTexts(settings.Text{Path: file, Data: []byte("listn: []\n")}, nil, "host.example.org"); err == nil {
		t.Error("a fault was not seen")
	}
}
