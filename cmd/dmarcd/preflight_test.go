package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"dmarcd/internal/present"
)

// hostFault is something on this host that keeps a daemon from starting, made for real.
type hostFault struct {
	name string
	// make makes it in a folder and gives lines for dmarcd.yaml.
	make  func(t *testing.T, dir string) string
	check int // exit code of config check
	serve int // exit code of serve; -1 where it starts
	want  string
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// mounted makes dir a file system of its own; the test is skipped where that is not allowed.
func mounted(t *testing.T, dir, options string, flags uintptr) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func occupied(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func hostFaults() []hostFault {
	return []hostFault{
		{"none", func(*testing.T, string) string { return "" }, 0, -1, "no faults"},
		{"port in use", func(t *testing.T, _ string) string {
			_, port, _ := net.SplitHostPort(occupied(t, "tcp", "127.0.0.1:0"))
			return "listen: [\"inet:" + port + "@127.0.0.1\"]"
		}, 0, 3, "warning: DIR/dmarcd.yaml: listen: inet:PORT@127.0.0.1 is in use by another process"},
		{"port of the console in use", func(t *testing.T, _ string) string {
			return "http: {listen: \"" + occupied(t, "tcp", "127.0.0.1:0") + "\"}"
		}, 0, 3, "warning: DIR/dmarcd.yaml: http.listen: 127.0.0.1:PORT is in use by another process"},
		{"socket in use", func(t *testing.T, dir string) string {
			return "listen: [\"unix:" + occupied(t, "unix", filepath.Join(dir, "s")) + "\"]"
		}, 0, 3, "warning: DIR/dmarcd.yaml: listen: unix:DIR/s is in use by another process"},
		{"address of another host", func(*testing.T, string) string { return "listen: [\"inet:8893@203.0.113.77\"]" }, 3, 3, "listen: inet:PORT@203.0.113.77 cannot be opened"},
		{"no folder for the socket", func(_ *testing.T, dir string) string { return "listen: [\"unix:" + dir + "/no/s\"]" }, 3, 3, "needs the folder DIR/no"},
		{"no socket in its place", func(t *testing.T, dir string) string {
			return "listen: [\"unix:" + writeFile(t, filepath.Join(dir, "s"), "x", 0o600) + "\"]"
		}, 2, 2, "exists and is not a socket"},
		{"no such group", func(_ *testing.T, dir string) string {
			return "listen: [{socket: \"unix:" + dir + "/s\", group: nosuchgroup}]"
		}, 2, 2, `cannot be given to the group "nosuchgroup": there is none`},
		{"LMTP in no folder", func(_ *testing.T, dir string) string { return "analysis: {lmtp: \"unix:" + dir + "/no/s\"}" }, 3, 3, "analysis.lmtp: unix:DIR/no/s needs the folder"},
		{"state_dir a file", func(t *testing.T, dir string) string {
			return "state_dir: " + writeFile(t, filepath.Join(dir, "file"), "", 0o600)
		}, 3, 3, "state_dir: "},
		{"state_dir below a file", func(t *testing.T, dir string) string {
			return "state_dir: " + writeFile(t, filepath.Join(dir, "file"), "", 0o600) + "/state"
		}, 3, 3, "not a directory"},
		{"state_dir read-only", func(t *testing.T, dir string) string {
			mounted(t, filepath.Join(dir, "ro"), "", syscall.MS_RDONLY)
			return "state_dir: " + dir + "/ro"
		}, 3, 3, "read-only file system"},
		{"state_dir full", func(t *testing.T, dir string) string {
			full := filepath.Join(dir, "full")
			mounted(t, full, "size=16k", 0)
			os.WriteFile(filepath.Join(full, "x"), make([]byte, 1<<20), 0o600) // as far as it goes
			return "state_dir: " + full
		}, 3, 3, "state_dir: "},
		{"store password not there", func(*testing.T, string) string {
			return "store: postgres://dmarcd@127.0.0.1:1/dmarcd\nstore_password_file: nosuch"
		}, 2, 2, "store_password_file: open DIR/nosuch: no such file or directory"},
		{"PostgreSQL out of reach", func(*testing.T, string) string { return "store: postgres://dmarcd@127.0.0.1:1/dmarcd" }, 0, -1, "warning: DIR/dmarcd.yaml: "},
		{"password of reports not there", func(*testing.T, string) string {
			return "reports: {enabled: true, org_name: x, email: d@example.org, smtp: \"127.0.0.1:25\", username: u, password_file: nosuch}"
		}, 2, 2, "reports.password_file: open DIR/nosuch"},
		{"key of reports no key", func(t *testing.T, dir string) string {
			return "reports: {enabled: true, org_name: x, email: d@example.org, dkim: {domain: example.org, selector: s, key_file: " + writeFile(t, filepath.Join(dir, "key"), "x", 0o600) + "}}"
		}, 2, 2, "no PEM block"},
		{"password that all may read", func(t *testing.T, dir string) string {
			return "reports: {enabled: true, org_name: x, email: d@example.org, smtp: \"127.0.0.1:25\", username: u, password_file: " + writeFile(t, filepath.Join(dir, "pw"), "secret\n", 0o644) + "}"
		}, 0, -1, "reports.password_file: DIR/pw can be read or changed by others (mode 0644); chmod 0600 it"},
		{"no certificate", func(*testing.T, string) string {
			return "http: {listen: \"127.0.0.1:0\", tls_cert: nosuch.pem, tls_key: nosuch.key}"
		}, 2, 2, "http.tls_cert: open DIR/nosuch.pem"},
		{"mailbox without its password", func(*testing.T, string) string {
			return "analysis: {imap: [{host: imap.example.org, user: u, password_file: nosuch}]}"
		}, 0, -1, "analysis.imap[0].password_file: stat DIR/nosuch"},
		{"a store that is none", func(t *testing.T, dir string) string {
			return "store: \"sqlite:" + writeFile(t, filepath.Join(dir, "text.db"), strings.Repeat("no database", 9), 0o600) + "\""
		}, 3, 3, "not a database of dmarcd: DIR/text.db is no SQLite database"},
		{"a store of another program", func(t *testing.T, dir string) string {
			return "store: \"sqlite:" + database(t, filepath.Join(dir, "other.db"), "CREATE TABLE mail (id INTEGER)") + "\""
		}, 3, 3, "it has tables of another program (mail)"},
		{"a store of a newer dmarcd", func(t *testing.T, dir string) string {
			return "store: \"sqlite:" + database(t, filepath.Join(dir, "newer.db"),
				"CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
				"INSERT INTO migrations VALUES (1, '0001_memory', 0), (999, '0999_later', 0)") + "\""
		}, 3, 3, "the database has schema version 999"},
	}
}

func database(t *testing.T, path string, statements ...string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestConfigCheckIsAsDeepAsTheStart makes each fault, has config check find it, and starts
// a daemon: both end with the same exit code, but for ports in use, of which check warns.
func TestConfigCheckIsAsDeepAsTheStart(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	for _, f := range hostFaults() {
		t.Run(f.name, func(t *testing.T) {
			dir := shortDir(t)
			lines := f.make(t, dir)
			for key, value := range map[string]string{
				"listen": `["unix:` + dir + `/milter"]`, "http": `{listen: ""}`, "state_dir": dir + "/state", "resolver": `{servers: ["127.0.0.1:1"]}`,
			} {
				if !strings.Contains("\n"+lines, "\n"+key+":") {
					lines += "\n" + key + ": " + value
				}
			}
			file := writeFile(t, filepath.Join(dir, "dmarcd.yaml"), "authserv_id: mx.example.org\n"+lines+"\n", 0o600)
			before := listing(t, dir)
			code, out := command(t, "config", "check", "-c", file)
			if out = strings.ReplaceAll(out, dir, "DIR"); code != f.check || !strings.Contains(portless(out), f.want) {
				t.Errorf("config check: exit code %d, want %d; %q is not in:\n%s", code, f.check, f.want, out)
			}
			noPackages(t, out)
			if after := listing(t, dir); after != before {
				t.Errorf("config check left something behind: %s, before %s", after, before)
			}
			code, out = serveUntilReady(t, file)
			if code != f.serve {
				t.Errorf("serve: exit code %d, want %d:\n%s", code, f.serve, out)
			}
			noPackages(t, out)
			if f.serve > 0 && strings.Count(out, "\n")-strings.Count(out, "\n{")-strings.Count(out[:1], "{") != 1 {
				t.Errorf("serve says more than a line beside its log:\n%s", out)
			}
			if code, out := command(t, "config", "check", "--files", file); code != 0 {
				t.Errorf("the files alone: exit code %d:\n%s", code, out)
			}
		})
	}
}

// TestConfigCheckKnowsItsOwnDaemon checks the files of a daemon that runs: what it holds
// is no obstacle to itself, and one to another.
func TestConfigCheckKnowsItsOwnDaemon(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	dir := shortDir(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	web, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("authserv_id: mx.example.org\nlisten: [\"inet:%s@127.0.0.1\"]\nhttp: {listen: \"127.0.0.1:%s\"}\nanalysis: {lmtp: \"unix:%s/lmtp\"}\nstate_dir: %s/state\n", port, web, dir, dir)
	own := writeFile(t, filepath.Join(dir, "dmarcd.yaml"), text, 0o600)
	other := writeFile(t, filepath.Join(dir, "other.yaml"), text, 0o600)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", "-c", own}, present.Streams{In: strings.NewReader(""), Out: new(bytes.Buffer), Err: new(lockedBuffer)})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if code, _ := command(t, "status", "-c", own); code == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not come up")
		}
	}
	if code, out := command(t, "config", "check", "-c", own); code != 0 || strings.Contains(out, "in use") {
		t.Errorf("its own files: exit code %d:\n%s", code, out)
	}
	code, out := command(t, "config", "check", "-c", other)
	for _, want := range []string{"listen: inet:" + port, "http.listen: 127.0.0.1:" + web, "lmtp is in use", "each dmarcd needs a state_dir of its own"} {
		if !strings.Contains(out, want) {
			t.Errorf("the files of another: %q is not in:\n%s", want, out)
		}
	}
	if code != exitTrouble {
		t.Errorf("the files of another: exit code %d", code)
	}
}

// command runs a command and gives its exit code and all that it says.
func command(t *testing.T, args ...string) (int, string) {
	t.Helper()
	out := new(lockedBuffer)
	code := run(context.Background(), args, present.Streams{In: strings.NewReader(""), Out: out, Err: out})
	return code, out.String()
}

// serveUntilReady starts a daemon and stops it once it is ready: exit code -1.
func serveUntilReady(t *testing.T, file string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out := &lockedBuffer{see: `"msg":"ready"`, seen: cancel}
	code := run(ctx, []string{"serve", "-c", file}, present.Streams{In: strings.NewReader(""), Out: out, Err: out})
	if text := out.String(); strings.Contains(text, out.see) && code == 0 {
		return -1, text
	}
	return code, out.String()
}

// lockedBuffer is a buffer for several goroutines. It calls seen once see is written.
type lockedBuffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	see  string
	seen func()
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.see != "" && bytes.Contains(p, []byte(b.see)) {
		b.seen()
	}
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var ports = regexp.MustCompile(`(inet:|127\.0\.0\.1:)[0-9]{2,}`)

// portless has PORT in place of each port.
func portless(s string) string { return ports.ReplaceAllString(s, "${1}PORT") }

// listing names the files below dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// shortDir is a folder whose sockets have paths that are short enough.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
