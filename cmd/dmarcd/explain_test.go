package main

import (
	"encoding/json"
	"strings"
	"testing"

	"dmarcd/internal/explain"
	"dmarcd/internal/milter/miltertest"
)

// TestExplainWhatTheDaemonDid sends mail to a daemon, asks it right after its answer,
// kills it, and asks again: both tell the same.
func TestExplainWhatTheDaemonDid(t *testing.T) {
	site := newSoakSite(t, "sqlite:dmarcd.db", "")
	write(t, site.dir+"/policy.yaml", "default:\n  dmarc:\n    actions:\n      none: quarantine\n")
	site.start()
	mta, err := miltertest.Open("unix", site.socket, miltertest.Postfix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mta.Greet(miltertest.Peer{Addr: "198.51.100.7"}); err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for id, domain := range map[string]string{"4GOOD": "good.example", "4BAD": "bad.example"} {
		if _, err := mta.Send(&miltertest.Message{
			From: "<a@" + domain + ">", Rcpts: []string{"<user@example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", id}},
			Raw: []byte("From: a@" + domain + "\r\nMessage-ID: <" + id + "@" + domain + ">\r\nSubject: x\r\n\r\nbody\r\n"),
		}); err != nil {
			t.Fatal(err)
		}
		text, stderr, code := runExplain(t, "-c", site.config, id)
		if code != exitFine {
			t.Fatalf("%s: exit code %d: %s", id, code, stderr)
		}
		told[id] = text
	}
	for id, wants := range map[string][]string{
		"4GOOD": {"Accepted for example.org: DMARC passed for good.example by SPF", "ip4:198.51.100.0/24          match"},
		"4BAD": {
			"Held in quarantine for example.org: bad.example publishes p=none", "policy.yaml:4.\n", "-all                         match",
			"postsuper -H 4BAD && postqueue -i 4BAD\n", "_dmarc.bad.example: \"v=DMARC1; p=none; rua=mailto:dmarc@bad.example\" (",
		},
	} {
		for _, want := range wants {
			if !strings.Contains(told[id], want) {
				t.Errorf("%s: %q is missing in\n%s", id, want, told[id])
			}
		}
	}
	if _, stderr, code := runExplain(t, "-c", site.config, "nobody"); code != exitNo || !strings.Contains(stderr, `"nobody"`) {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	site.kill()
	for id, before := range told {
		if after, stderr, code := runExplain(t, "-c", site.config, id); code != exitFine || after != before {
			t.Errorf("%s: exit code %d: %s\nthe daemon told\n%s\nits store\n%s", id, code, stderr, before, after)
		}
	}
	raw, _, _ := runExplain(t, "-c", site.config, "--json", "4BAD@bad.example")
	var e explain.Explanation
	if err := json.Unmarshal([]byte(raw), &e); err != nil || e.Action != "quarantine" || len(e.DNS.Answers) == 0 || len(e.SPF.Walk) != 1 {
		t.Errorf("%v: %s", err, raw)
	}
}
