package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/present"
)

// heldSite is a daemon that has held two messages, rejected one and let one pass.
func heldSite(t *testing.T) *soakSite {
	t.Helper()
	site := newSoakSite(t, "sqlite:dmarcd.db", "")
	write(t, site.dir+"/policy.yaml", "default:\n  dmarc:\n    actions: {none: quarantine}\ndomains:\n  example.net: {dmarc: {actions: {none: reject}}}\n")
	site.start()
	mta, err := miltertest.Open("unix", site.socket, miltertest.Postfix())
	if err != nil {
		t.Fatal(err)
	}
	defer mta.Quit()
	if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
		t.Fatal(err)
	}
	for _, m := range [][3]string{
		{"4HELD1", "bad.example", "example.org"}, {"4HELD2", "bad.example", "example.org"},
		{"4GOOD", "good.example", "example.org"}, {"4NO", "bad.example", "example.net"},
	} {
		if _, err := mta.Send(&miltertest.Message{
			From: "<a@" + m[1] + ">", Rcpts: []string{"<user@" + m[2] + ">"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", m[0]}},
			Raw: []byte("From: a@" + m[1] + "\r\nMessage-ID: <" + m[0] + "@" + m[1] + ">\r\nSubject: x\r\n\r\nbody\r\n"),
		}); err != nil {
			t.Fatal(err)
		}
	}
	return site
}

// fakeMTA puts programs of Postfix into the path that write down how they were called.
func fakeMTA(t *testing.T) (calls func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	for _, name := range []string{"postsuper", "postqueue"} {
		script := "#!/bin/sh\necho " + name + " \"$@\" >>" + log + "\n[ \"$2\" != 4FAIL ]\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		b, _ := os.ReadFile(log)
		return string(b)
	}
}

func TestMessagesAndHeldMail(t *testing.T) {
	site, calls := heldSite(t), fakeMTA(t)
	ask := func(want int, args ...string) string {
		t.Helper()
		out, stderr, code := runCommand(t, append(args, "-c", site.config)...)
		if code != want {
			t.Errorf("%v: exit code %d, want %d\n%s%s", args, code, want, out, stderr)
		}
		return out + stderr
	}
	for args, want := range map[string][]string{
		"messages":                                    {"4NO", "4GOOD", "4HELD2", "4HELD1"},
		"messages --held":                             {"4HELD2", "4HELD1"},
		"messages --refused":                          {"4NO"},
		"messages --action quarantine":                {"4HELD2", "4HELD1"},
		"messages --rcpt-domain example.net":          {"4NO"},
		"messages --from good.example":                {"4GOOD"},
		"messages --client 198.51.100.0/24 --limit 1": {"4NO", "There is more: --after"},
		"messages --client 192.0.2.1":                 {},
		"messages --since 2026-01-01 --until 1d":      {},
		"held list":                                   {"4HELD2", "4HELD1"},
		"held release 4HELD1 --print":                 {"postsuper -H 4HELD1 && postqueue -i 4HELD1"},
		"held delete --older 30d":                     {},
	} {
		got := ask(exitFine, strings.Fields(args)...)
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		if got == "" {
			lines = nil
		}
		if len(lines) != len(want) {
			t.Errorf("%s: %d lines, want %d:\n%s", args, len(lines), len(want), got)
			continue
		}
		for i, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("%s: line %d is %q, want %q", args, i, lines[i], w)
			}
		}
	}
	if calls() != "" {
		t.Errorf("programs of the MTA were called: %s", calls())
	}
	status := ask(exitFine, "status")
	if !strings.Contains(status, "held      2 messages, the oldest for ") {
		t.Errorf("status:\n%s", status)
	}
	ask(exitFine, "held", "release", "4HELD1")
	if got := calls(); got != "postsuper -H 4HELD1\npostqueue -i 4HELD1\n" {
		t.Errorf("called: %s", got)
	}
	if got := ask(exitNo, "held", "release", "4HELD1", "4GOOD"); !strings.Contains(got, "not held here: 4HELD1, 4GOOD") {
		t.Error(got)
	}
	ask(exitUsage, "held", "delete")
	ask(exitUsage, "held", "delete", "4HELD2", "--older", "1d")
	ask(exitUsage, "messages", "--action", "burn")
	var page struct {
		QueueID  string `json:"queue_id"`
		Held     bool
		Commands []struct{ MTA string }
	}
	if got := ask(exitFine, "held", "list", "--json"); json.Unmarshal([]byte(strings.Split(got, "\n")[0]), &page) != nil || page.QueueID != "4HELD2" || !page.Held || len(page.Commands) == 0 || page.Commands[0].MTA != "postfix" {
		t.Errorf("as JSON: %s", got)
	}
	ask(exitFine, "held", "delete", "--older", "0s")
	if got := calls(); !strings.HasSuffix(got, "\npostsuper -d 4HELD2\n") {
		t.Errorf("called: %s", got)
	}
	if status := ask(exitFine, "status"); !strings.Contains(status, "held      0 messages\n") {
		t.Errorf("status:\n%s", status)
	}
}

// TestPolicyHistory has a policy change: both are listed, and explain shows the line as it
// stood when the message came.
func TestPolicyHistory(t *testing.T) {
	site := heldSite(t)
	write(t, site.dir+"/policy.yaml", "mode: monitor\n")
	waitUntil(t, func() bool {
		out, _, _ := runCommand(t, "policy", "history", "-c", site.config)
		return strings.Count(out, "\n") == 2
	})
	out, _, _ := runCommand(t, "policy", "history", "-c", site.config)
	first := strings.Fields(strings.Split(out, "\n")[1])
	text, stderr, code := runCommand(t, "policy", "history", first[1][:8], "-c", site.config)
	if code != exitFine || !strings.Contains(text, "policy.yaml\n") || !strings.Contains(text, "actions: {none: quarantine}") {
		t.Errorf("exit code %d: %s%s", code, text, stderr)
	}
	if _, stderr, code := runCommand(t, "policy", "history", "0123456789abcdef0123456789abcdef", "-c", site.config); code != exitNo || !strings.Contains(stderr, "no policy with the id") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if text, _, _ := runExplain(t, "-c", site.config, "4HELD1"); !strings.Contains(text, "policy.yaml:3") || !strings.Contains(text, "\n                actions: {none: quarantine}\n") {
		t.Errorf("the line as it stood is missing in\n%s", text)
	}
}

func runCommand(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}
