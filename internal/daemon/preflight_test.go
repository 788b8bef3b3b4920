package daemon

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/errkind"
	"dmarcd/internal/settings"
)

// TestPreflightForAnother looks at a host for a daemon that runs as another user: what is
// not there yet is made by the supervisor, and what the one who asks may not see is no
// fault.
func TestPreflightForAnother(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "run")
	t.Setenv("RUNTIME_DIRECTORY", folder)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	denied := &fs.PathError{Op: "open", Path: secret, Err: fs.ErrPermission}
	cases := []struct {
		name  string
		asker int
		look  func(p *preflight)
		kind  errkind.Kind
		want  string
	}{
		{"root, before the first start", 0, func(p *preflight) { p.stateDir() }, "", "the unit of systemd makes it (StateDirectory)"},
		{"the daemon itself, before the first start", 4711, func(p *preflight) { p.stateDir() }, errkind.Trouble, "permission denied"},
		{"the folder of the unit", 0, func(p *preflight) { p.listeners() }, "", "is not there yet; the unit of systemd makes it (RuntimeDirectory)"},
		{"a password of root", 0, func(p *preflight) { p.secret("store_password_file", secret, true) }, errkind.WrongUse, "the user 4711 may not read"},
		{"a password that is read later", 0, func(p *preflight) { p.secret("analysis.imap[0].password_file", secret, false) }, "", "the user 4711 may not read"},
		{"somebody who may not look", 4712, func(p *preflight) { p.meet(denied) }, "", "you may not look, so run this as root or the user 4711"},
		{"the daemon may not look", 4711, func(p *preflight) { p.meet(denied) }, errkind.Trouble, "permission denied"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parent := filepath.Join(dir, "lib")
			if err := os.MkdirAll(parent, 0o755); err != nil {
				t.Fatal(err)
			}
			config := &settings.Settings{StateDir: filepath.Join(parent, "dmarcd"), Listen: []settings.Listen{{Socket: "unix:" + folder + "/milter.sock"}}}
			p := &preflight{config: config, user: osUser{uid: 4711, name: "4711"}, asker: c.asker}
			c.look(p)
			if len(p.found) != 1 || p.found[0].Kind != c.kind || !strings.Contains(fmt.Sprint(p.found[0].Text), c.want) {
				t.Errorf("%+v, want %q: %s", p.found, c.kind, c.want)
			}
		})
	}
}
