package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/daemon"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/present"
)

// readmeZone is what example.com publishes.
const readmeZone = `
example.com TXT "v=spf1 -all"
_dmarc.example.com TXT "v=DMARC1;p=reject;sp=reject;adkim=s;aspf=s"
com NS a.gtld-servers.net
`

// shownOutput is the block of README.md behind the marker of that name.
func shownOutput(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- output: "+name+" -->\n```\n")
	if !ok {
		t.Fatalf("README.md shows no output called %q", name)
	}
	block, _, _ := strings.Cut(rest, "```\n")
	return block
}

// TestREADMEShowsWhatIsPrinted runs what the README shows and compares.
func TestREADMEShowsWhatIsPrinted(t *testing.T) {
	dns := dnstest.New(t, readmeZone)
	dir := t.TempDir()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "dmarcd.yaml")
	files := map[string]string{
		config: fmt.Sprintf("authserv_id: mx.example.org\nlisten: [\"inet:%s@127.0.0.1\"]\nhttp: {listen: \"\"}\nresolver: {servers: [%q]}\nstate_dir: %s\n",
			port, dns.Addr, dir),
		filepath.Join(dir, "policy.yaml"): "{}\n",
		filepath.Join(dir, "spoof.eml"):   "From: Support <support@example.com>\nTo: user@example.org\nSubject: your account\n\nPlease log in.\n",
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("check", func(t *testing.T) {
		out := output(t, exitNo, "check", "-c", config, "--ip", "192.0.2.10", "--helo", "mail.example.net",
			"--rcpt", "user@example.org", filepath.Join(dir, "spoof.eml"))
		got, _, _ := strings.Cut(out, "\nDNS\n") // what follows has times
		if want := shownOutput(t, "check"); got != want {
			t.Errorf("printed:\n%s\nREADME.md shows:\n%s", got, want)
		}
	})

	t.Run("ping", func(t *testing.T) {
		startDaemon(t, "serve", "-c", config)
		out := output(t, exitFine, "ping", "-c", config, "--from", "support@example.com", "--rcpt", "user@example.org")
		millis := regexp.MustCompile(`in [0-9.]+ ms`)
		got := millis.ReplaceAllString(strings.Replace(out, "inet:"+port+"@", "inet:8893@", 1), "in N ms")
		if want := millis.ReplaceAllString(shownOutput(t, "ping"), "in N ms"); got != want {
			t.Errorf("printed:\n%s\nREADME.md shows:\n%s", got, want)
		}
	})

	t.Run("explain", func(t *testing.T) {
		startDaemon(t, "serve", "-c", config)
		mta, err := miltertest.Open("tcp", "127.0.0.1:"+port, miltertest.Postfix())
		if err != nil {
			t.Fatal(err)
		}
		defer mta.Quit()
		const id = "4XyZ1w5Qk2z1"
		if _, err := mta.Greet(miltertest.Peer{Addr: "192.0.2.10"}); err != nil {
			t.Fatal(err)
		}
		res, err := mta.Send(&miltertest.Message{
			From: "<support@example.com>", Rcpts: []string{"<user@example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", id}},
			Raw: []byte("From: Support <support@example.com>\r\nSubject: your account\r\n\r\nPlease log in.\r\n"),
		})
		if err != nil || res.Code != 550 {
			t.Fatalf("%+v, %v", res, err)
		}
		got, _, _ := strings.Cut(output(t, exitFine, "explain", "-c", config, id), "\n")
		place := regexp.MustCompile(`rule dmarc.actions.reject .*`) // the README's policy is the built-in one
		if want := strings.TrimSpace(shownOutput(t, "explain")); place.ReplaceAllString(got, "") != place.ReplaceAllString(want, "") {
			t.Errorf("printed:\n%s\nREADME.md shows:\n%s", got, want)
		}
	})

	t.Run("serve", func(t *testing.T) {
		if _, err := os.Stat(daemon.DefaultFolder); err == nil {
			t.Skip("this machine has a configuration in " + daemon.DefaultFolder)
		}
		for _, address := range []string{"127.0.0.1:8893", "127.0.0.1:8894"} {
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Skip("the built-in settings need a free port: ", err)
			}
			_ = l.Close() // it was never used
		}
		t.Setenv("HOME", dir)
		t.Setenv("XDG_STATE_HOME", "")
		log := startDaemon(t, "serve")
		want := strings.Split(strings.TrimSpace(shownOutput(t, "serve")), "\n")
		for i, line := range want {
			got, shown := logLine(t, log[i]), logLine(t, line)
			delete(got, "time")
			got["state_dir"], shown["state_dir"] = "", ""
			if fmt.Sprint(got) != fmt.Sprint(shown) {
				t.Errorf("line %d:\n%v\nREADME.md shows:\n%v", i+1, got, shown)
			}
		}
	})
}

func logLine(t *testing.T, line string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return m
}

// output runs a command in this process and gives what it printed.
func output(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}); got != code {
		t.Fatalf("dmarcd %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &out, &errs)
	}
	return out.String()
}

// startDaemon runs the daemon until the test ends and gives its log up to the
// line that says it is ready.
func startDaemon(t *testing.T, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, args, present.Streams{In: strings.NewReader(""), Out: io.Discard, Err: w})
		w.CloseWithError(io.EOF)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitFine {
			t.Errorf("the daemon ended with exit code %d", code)
		}
	})
	var lines []string
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		lines = append(lines, scan.Text())
		if strings.Contains(scan.Text(), `"msg":"ready"`) {
			go func() { _, _ = io.Copy(io.Discard, r) }() // lets the daemon go on logging
			return lines
		}
	}
	cancel()
	t.Fatalf("the daemon did not get ready:\n%s", strings.Join(lines, "\n"))
	return nil
}

// TestShippedFilesLoad holds the shipped configuration to no fault and no warning, but for
// the name of the host that the test runs on.
func TestShippedFilesLoad(t *testing.T) {
	for _, name := range []string{"dmarcd.yaml", "policy.yaml"} {
		path := filepath.Join("../../configs", name)
		for line := range strings.Lines(output(t, exitFine, "config", "check", path)) {
			if strings.Contains(line, "warning") && !strings.Contains(line, "is no full host name") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// TestStop sees the daemon end in order; that mail in flight is answered first is
// tested in package milter.
func TestStop(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "dmarcd.yaml")
	if err := os.WriteFile(config, []byte("listen: [\"unix:"+dir+"/milter.sock\"]\nhttp: {listen: \"\"}\nstate_dir: "+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var log bytes.Buffer
	if code := run(ctx, []string{"serve", "-c", config}, present.Streams{In: strings.NewReader(""), Out: io.Discard, Err: &log}); code != exitFine {
		t.Errorf("exit code %d", code)
	}
	for _, msg := range []string{"ready", "stopping: mail in flight is answered first", "stopped"} {
		if !strings.Contains(log.String(), `"msg":"`+msg+`"`) {
			t.Errorf("the log has no %q:\n%s", msg, &log)
		}
	}
}
