package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// packagePrefix is the name of a package before an error.
var packagePrefix = regexp.MustCompile(`(^|[\s"(:])(admin|arc|authres|destination|dkim|dmarc|dns|intake|journal|mailer|memory|outgoing|resolver|smtp|spf|spool|sqldb|store|textproto|tls|x509|yaml): `)

// noPackages holds what a person reads to words for people.
func noPackages(t *testing.T, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if m := packagePrefix.FindString(line); m != "" {
			t.Errorf("the name of a package, %q, reaches a person: %s", m, line)
		}
	}
}

// TestNoPackageNames has commands fail in many ways: what they say, what the daemon logs
// and what it answers are words for people.
func TestNoPackageNames(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	dir := shortDir(t)
	// A server that takes no mail, and DNS that does not answer.
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	base := fmt.Sprintf("authserv_id: mx.example.org\nlisten: [\"unix:%s/milter\"]\nhttp: {listen: \"\"}\nstate_dir: %s/state\nresolver: {servers: [%q], timeout: 100ms, budget: 1s}\n", dir, dir, silent.LocalAddr())
	good := writeFile(t, filepath.Join(dir, "dmarcd.yaml"), base, 0o600)
	files := map[string]string{
		"down.yaml":     base + "store: postgres://dmarcd@127.0.0.1:1/dmarcd\n",
		"password.yaml": base + "store: postgres://dmarcd@127.0.0.1:1/dmarcd\nstore_password_file: nosuch\n",
		"text.yaml":     base + "store: \"sqlite:" + writeFile(t, filepath.Join(dir, "text.db"), strings.Repeat("no database", 9), 0o600) + "\"\n",
		"bad.yaml":      base + "lisen: x\n",
		"broken.xml":    "<feedback><report_metadata>",
		"broken.gz":     "\x1f\x8bx",
		"broken.zip":    "PK\x03\x04xxxx",
		"new.yaml":      "mode: [",
		"mail.eml":      "From: a@bank.example\r\n\r\nx\r\n",
	}
	for name, text := range files {
		writeFile(t, filepath.Join(dir, name), text, 0o600)
	}
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o750); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, args := range [][]string{
		{"explain", "-c", good, "nobody"},
		{"status", "-c", good},
		{"status", "--socket", in("mail.eml")},
		{"ping", "-c", good},
		{"record", "lookup", "-c", good, "example.com"},
		{"record", "lookup", "-c", good, "a..b"},
		{"record", "verify", "-c", good, "example.com"},
		{"record", "generate", "-c", good, "example.com"},
		{"check", "-c", good, "--ip", "192.0.2.1", in("mail.eml")},
		{"check", "-c", good, "--ip", "192.0.2", in("mail.eml")},
		{"messages", "-c", good, "--since", "soon"},
		{"held", "release", "-c", good, "4XYZ"},
		{"report", "send", "-c", good, "example.com"},
		{"report", "show", "-c", good, "17"},
		{"report", "retry", "-c", good, "17"},
		{"report", "suppress", "-c", good, "--remove", "example.com"},
		{"analysis", "ingest", "-c", good, in("broken.xml"), in("broken.gz"), in("broken.zip"), in("nosuch")},
		{"analysis", "ingest", "-c", good, "--json", in("broken.xml"), in("broken.gz"), in("broken.zip")},
		{"analysis", "raw", "-c", good, "17"},
		{"policy", "simulate", "-c", good, in("new.yaml")},
		{"policy", "history", "-c", good, "abc"},
		{"user", "remove", "-c", good, "nobody"},
		{"explain", "-c", in("down.yaml"), "nobody"},
		{"messages", "-c", in("down.yaml")},
		{"report", "list", "-c", in("down.yaml")},
		{"analysis", "overview", "-c", in("down.yaml")},
		{"explain", "-c", in("password.yaml"), "nobody"},
		{"explain", "-c", in("text.yaml"), "nobody"},
		{"config", "check", in("bad.yaml")},
		{"config", "check", in("new.yaml")},
		{"policy", "import", "--exceptions", in("mail.eml")},
	} {
		t.Run(strings.Join(args, " ")[:20], func(t *testing.T) {
			_, out := command(t, args...)
			noPackages(t, out)
			if strings.Contains(out, "panic") || strings.Contains(out, "%!") {
				t.Errorf("%s", out)
			}
			t.Logf("%q: %s", args, out)
		})
	}
	_, out := serveUntilReady(t, in("down.yaml"))
	noPackages(t, out)
	if !strings.Contains(out, "PostgreSQL at 127.0.0.1:1 cannot be reached") {
		t.Errorf("the log of a daemon without its store:\n%s", out)
	}
}
