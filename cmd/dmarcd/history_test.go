package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/milter/miltertest"
)

// TestExplainShowsThePolicyOfThatDay judges mail, changes the policy, and explains the
// mail: with the line that decided as it stood then, and the exception that was over.
func TestExplainShowsThePolicyOfThatDay(t *testing.T) {
	site := newSoakSite(t, "sqlite:dmarcd.db", "")
	const before = "default:\n  dmarc:\n    exceptions: [{ip: 198.51.100.7, until: 2020-01-31}]\n    actions: {none: quarantine} # as of old\n"
	write(t, site.dir+"/policy.yaml", before)
	site.start()
	mta, err := miltertest.Open("unix", site.socket, miltertest.Postfix())
	if err != nil {
		t.Fatal(err)
	}
	defer mta.Quit()
	if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
		t.Fatal(err)
	}
	if _, err := mta.Send(&miltertest.Message{
		From: "<a@bad.example>", Rcpts: []string{"<user@example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", "4OLD"}},
		Raw: []byte("From: a@bad.example\r\nSubject: x\r\n\r\nbody\r\n"),
	}); err != nil {
		t.Fatal(err)
	}

	write(t, site.dir+"/policy.yaml", "# another\n# policy\nmode: monitor\ndefault:\n  dmarc:\n    actions: {none: bypass}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var ids []string
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for len(ids) < 2 {
		out, _, _ := runCommand(t, "policy", "history", "-c", site.config)
		ids = nil
		for line := range strings.Lines(out) {
			ids = append(ids, strings.Fields(line)[1])
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the second policy is not in the history: %q", ids)
		case <-again.C:
		}
	}

	told, stderr, code := runExplain(t, "-c", site.config, "4OLD")
	if code != exitFine {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{
		"dmarc.actions.none at " + site.dir + "/policy.yaml:4\n                actions: {none: quarantine} # as of old\n",
		"ended         the entry of dmarc.exceptions for it no longer counted: it ended on 2020-01-31\n",
		"      dmarcd held release 4OLD\n",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in\n%s", want, told)
		}
	}
	if text, _, code := runCommand(t, "policy", "history", "-c", site.config, ids[1][:8]); code != exitFine || !strings.Contains(text, before) {
		t.Errorf("the policy of that day: exit code %d\n%s", code, text)
	}
}
