package main

import (
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/milter/miltertest"
)

// "make replay-old" gives these; without them the test is skipped.
var (
	replayOld   = flag.String("replay.old", "", "the program of an old build, for TestReplayOld")
	replayCount = flag.Uint64("replay.count", 10_000, "messages of TestReplayOld")
)

const replaySeed = 20261130

// replayCauses says of each trait why the two builds may differ.
var replayCauses = map[trait]string{
	traitTrouble:   "`temperror: by_policy` defers where the policy asks to intercept",
	traitRelay:     "`client_ip_from` takes what the relay saw, in more forms, and walks on",
	traitRecipient: "a recipient without a domain, at this host or at localhost is ours",
	traitFields:    "more than one From field is `multiple_from`, of one domain too",
	traitFrom:      "a From field with one clear address is read; encoded words are looked into",
	traitForged:    "results in our name go in spellings that careless readers believe, too",
	traitRecord:    "`V=DMARC1` is read; an author domain that is an alias exists",
}

// TestReplayOld sends generated mail through an old build and this one, and lists where
// they differ. Each difference must have a cause among replayCauses; mail without a
// trait is treated alike.
func TestReplayOld(t *testing.T) {
	if *replayOld == "" {
		t.Skip("no old build: \"make replay-old\" makes one")
	}
	zone := dnstest.New(t, replayZone+replayKeys())
	older, newer := replaySite(t, *replayOld, zone.Addr), replaySite(t, "dmarcd", zone.Addr)
	var mu sync.Mutex
	var sending sync.WaitGroup
	differences, sent, alike := map[string]int{}, map[trait]int{}, 0
	const workers = 4
	for w := range uint64(workers) {
		sending.Go(func() {
			for n := w; n < *replayCount; n += workers {
				m := generate(replaySeed, n)
				before, err1 := replayOne(older, &m)
				after, err2 := replayOne(newer, &m)
				mu.Lock()
				sent[m.trait]++
				switch {
				case err1 != nil || err2 != nil:
					t.Errorf("message %d: %v, %v", n, err1, err2)
				case before == after:
					alike++
				case replayCauses[m.trait] == "":
					t.Errorf("message %d is treated otherwise and nothing says why: %s, now %s\nfrom %s, MAIL FROM %s, RCPT %s\n%s",
						n, before, after, m.client, m.mailFrom, m.rcpt, m.raw())
				default:
					differences[fmt.Sprintf("| %s | %s | %s |", m.trait, before, after)]++
				}
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	var table strings.Builder
	fmt.Fprintf(&table, "%d messages, %d without a trait; %d are treated alike\n\n| trait | before | now | messages |\n|---|---|---|---|\n", *replayCount, sent[noTrait], alike)
	for _, row := range slices.Sorted(maps.Keys(differences)) {
		fmt.Fprintf(&table, "%s %d |\n", row, differences[row])
	}
	t.Log("\n" + table.String())
}

// replaySite starts a build and gives its socket.
func replaySite(t *testing.T, program, dns string) string {
	t.Helper()
	dir := t.TempDir()
	config, socket := filepath.Join(dir, "dmarcd.yaml"), filepath.Join(dir, "milter.sock")
	write(t, filepath.Join(dir, "policy.yaml"), "managed: [example.org]\n")
	write(t, config, fmt.Sprintf("authserv_id: mx.example.org\nlisten: [\"unix:%s\"]\nhttp: {listen: \"\"}\nresolver: {servers: [%q]}\n"+
		"state_dir: %s\nclient_ip_from: {\"192.0.2.0/24\": received}\nlog: {level: error}\n", socket, dns, dir))
	daemon := exec.Command(program, "serve", "-c", config)
	daemon.Stderr = os.Stderr
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill() // nothing of it is kept
		_ = daemon.Wait()
	})
	for limit := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close() // it was to see that somebody answers
			return socket
		}
		if time.Now().After(limit) {
			t.Fatalf("%s does not listen: %v", program, err)
		}
	}
}

// replayOne sends a message and says what became of it: the answer, the DMARC result
// that was stamped, and how many fields were removed.
func replayOne(socket string, m *replayMail) (string, error) {
	mta, err := miltertest.Open("unix", socket, miltertest.Postfix())
	if err != nil {
		return "", err
	}
	defer mta.Quit() //nolint:errcheck // it was answered
	if _, err := mta.Greet(miltertest.Peer{Addr: m.client, Helo: m.helo}); err != nil {
		return "", err
	}
	res, err := mta.Send(&miltertest.Message{From: "<" + m.mailFrom + ">", Rcpts: []string{"<" + m.rcpt + ">"}, Raw: m.raw()})
	if err != nil {
		return "", err
	}
	what := "accepted"
	switch {
	case res.Code >= 500:
		return "refused", nil
	case res.Code >= 400:
		return "deferred", nil
	case res.Quarantine() != "":
		what = "held"
	}
	delivered := string(res.Apply(m.raw(), true))
	head, _, _ := strings.Cut(delivered, "\r\n\r\n")
	ours, dmarc := "", "unjudged"
	if line, _, _ := strings.Cut(head, "\r\nX"); strings.HasPrefix(head, "Authentication-Results: mx.example.org;\r\n") {
		ours = line
	}
	if _, rest, found := strings.Cut(ours, "dmarc="); found {
		dmarc = "dmarc=" + strings.FieldsFunc(rest, func(c rune) bool { return c == ' ' || c == ';' || c == '\r' })[0]
	}
	removed := strings.Count(string(m.raw()), "Authentication-Results: ") - strings.Count(strings.TrimPrefix(head, ours), "\nAuthentication-Results: ")
	if removed > 0 {
		return fmt.Sprintf("%s, %s, forged results removed", what, dmarc), nil
	}
	return what + ", " + dmarc, nil
}
