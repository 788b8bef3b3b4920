package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/present"
)

// TestSimulateRealMail sends mail to a daemon and replays it: against the policy in
// force, which changes nothing, and against others; by the daemon, and from its store
// once it was killed.
func TestSimulateRealMail(t *testing.T) {
	site := newSoakSite(t, "sqlite:dmarcd.db", "")
	write(t, site.dir+"/policy.yaml", "mixed_recipients: strictest\ndefault:\n  dmarc:\n    actions:\n      none: quarantine\ndomains:\n  example.net: {mode: monitor}\n")
	write(t, site.dir+"/new.yaml", "default:\n  dmarc:\n    actions:\n      none: reject\ndomains:\n  example.net: {}\n")
	site.start()
	mta, err := miltertest.Open("unix", site.socket, miltertest.Postfix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
		t.Fatal(err)
	}
	for id, to := range map[string][]string{"4ORG": {"<a@example.org>"}, "4NET": {"<a@example.net>"}, "4BOTH": {"<a@example.net>", "<b@example.org>"}} {
		for _, domain := range []string{"good.example", "bad.example"} {
			if _, err := mta.Send(&miltertest.Message{
				From: "<a@" + domain + ">", Rcpts: to, Macros: map[byte][]string{miltertest.CmdEnd: {"i", id}},
				Raw: []byte("From: a@" + domain + "\r\nSubject: x\r\n\r\nbody\r\n"),
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	simulated := func(file string) string {
		var out, stderr bytes.Buffer
		args := []string{"policy", "simulate", "-c", site.config, filepath.Join(site.dir, file), "--examples", "0"}
		if code := run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &stderr}); code != exitFine {
			t.Fatalf("exit code %d: %s", code, stderr.String())
		}
		return out.String()
	}
	check := func(by string) {
		if got := simulated("policy.yaml"); got != "Replayed 6 messages of the last 7 days against policy.yaml: none would be treated otherwise.\n" {
			t.Errorf("%s: %s", by, got)
		}
		const want = `Replayed 6 messages of the last 7 days against new.yaml: 2 would be treated otherwise.

example.org
  quarantine (hold) → defer   1  (mixed_recipients)
    by From domain: bad.example 1
    by source: 198.51.100.0/24 1
  quarantine (hold) → reject  1  (published_policy by dmarc.actions.none, new.yaml:4)
    by From domain: bad.example 1
    by source: 198.51.100.0/24 1

example.net
  quarantine (hold) (monitor: bypass) → defer  1  (mixed_recipients)
    by From domain: bad.example 1
    by source: 198.51.100.0/24 1
`
		if got := simulated("new.yaml"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", by, got, want)
		}
	}
	waitUntil(t, func() bool { return strings.HasPrefix(simulated("policy.yaml"), "Replayed 6 messages") })
	check("the daemon")
	site.kill()
	check("the store")
}

// waitUntil waits for what comes about by itself.
func waitUntil(t *testing.T, ready func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	late := time.After(10 * time.Second)
	for !ready() {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("it did not come about in ten seconds")
		}
	}
}
