//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestREADMEShowsPostfix sends the message of the README's step through Postfix, and
// compares what it answers and logs, and what dmarcd says of it, with what is shown.
func TestREADMEShowsPostfix(t *testing.T) {
	for _, m := range here.mtas {
		if m.name() != "postfix" {
			continue
		}
		const from = "ceo@bank.example"
		l, to := letter{from: "bank.example"}, rcpt(t, "")
		answer := dial(t, m.addr(), stranger, "client.example").send(from, l.text(to), to)
		logged := awaitLogged(t, m, `postfix/cleanup\[\d+\]: (\w+): milter-reject: .*`+regexp.QuoteMeta(to)+`.*`)
		headline, _, _ := strings.Cut(here.dmarcd.run(t, 0, "explain", logged[1]), "\n")
		varies := strings.NewReplacer(logged[1], "4hXyZ1w5Qk2z1", to, "user@example.org", stranger, "203.0.113.9")
		pid := regexp.MustCompile(`\[\d+\]:`)
		got := pid.ReplaceAllString(varies.Replace(fmt.Sprintf("%d %s\n", answer.code, answer.text)+logged[0]+"\n"+headline+"\n"), "[1234]:")
		page, err := os.ReadFile("../README.md")
		if err != nil {
			t.Fatal(err)
		}
		if _, shown, ok := strings.Cut(string(page), "<!-- output: postfix -->\n```\n"); !ok || !strings.HasPrefix(shown, got+"```\n") {
			t.Errorf("it says\n%s", got)
		}
	}
}

// awaitLogged waits for a line in the log of an MTA, which comes by way of syslog.
func awaitLogged(t *testing.T, m mta, pattern string) (found []string) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	for limit := time.Now().Add(startLimit); found == nil; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(m.log().file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if found = line.FindStringSubmatch(string(text)); found == nil && time.Now().After(limit) {
			t.Fatalf("%s logged no %s", m.name(), pattern)
		}
	}
	return found
}
