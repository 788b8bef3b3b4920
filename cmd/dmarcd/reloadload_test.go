package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/milter/miltertest"
)

// TestReloadUnderLoad reloads the daemon again and again, good files and broken
// ones, while MTAs send as fast as they can: no message is dropped, deferred or
// misjudged.
func TestReloadUnderLoad(t *testing.T) {
	dns := dnstest.New(t, `
reject.example TXT "v=spf1 ip4:198.51.100.0/24 -all"
_dmarc.reject.example TXT "v=DMARC1; p=reject"
`)
	dir := t.TempDir()
	socket := filepath.Join(dir, "milter.sock")
	config := filepath.Join(dir, "dmarcd.yaml")
	policy := filepath.Join(dir, "policy.yaml")
	write(t, config, fmt.Sprintf("authserv_id: mx.example.org\nlisten: [\"unix:%s\"]\nhttp: {listen: \"\"}\nresolver: {servers: [%q]}\nstate_dir: %s\ntrusted_networks: []\n",
		socket, dns.Addr, dir))
	write(t, policy, "{}\n")
	startDaemon(t, "serve", "-c", config)
	// Waiting for each signal keeps one that is late from meeting a daemon that no
	// longer listens for it: it would end the test's process.
	delivered := make(chan os.Signal, 1)
	signal.Notify(delivered, syscall.SIGHUP)
	defer signal.Stop(delivered)

	const mtas, each = 8, 400
	var sending sync.WaitGroup
	faults := make(chan string, mtas)
	for i := range mtas {
		sending.Go(func() {
			if err := sendMany(socket, i%2 == 0, each); err != nil {
				faults <- err.Error()
			}
		})
	}
	done := make(chan struct{})
	go func() { sending.Wait(); close(done) }()
	files := []string{"{default: {dmarc: {exceptions: [203.0.113.1]}}}\n", "broken: [\n", "{}\n", "mode: nonsense\n"}
	for reloads := 0; ; reloads++ {
		select {
		case <-done:
			close(faults)
			for f := range faults {
				t.Error(f)
			}
			if reloads < 10 {
				t.Errorf("only %d reloads while mail was sent", reloads)
			}
			return
		default:
		}
		write(t, policy, files[reloads%len(files)])
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		<-delivered
	}
}

// sendMany sends genuine or forged mail over one connection and holds each
// answer to what it must be under every policy that the test loads.
func sendMany(socket string, genuine bool, n int) error {
	mta, err := miltertest.Open("unix", socket, miltertest.Postfix())
	if err != nil {
		return err
	}
	defer mta.Quit()
	peer := miltertest.Peer{Addr: "203.0.113.9"}
	if genuine {
		peer.Addr = "198.51.100.1"
	}
	if _, err := mta.Greet(peer); err != nil {
		return err
	}
	msg := &miltertest.Message{From: "<a@reject.example>", Rcpts: []string{"<user@example.org>"},
		Raw: []byte("From: a@reject.example\r\nSubject: x\r\n\r\nbody\r\n")}
	for i := range n {
		res, err := mta.Send(msg)
		switch {
		case err != nil:
			return fmt.Errorf("message %d: %w", i, err)
		case genuine && !res.Accepts():
			return fmt.Errorf("genuine message %d: %d %s", i, res.Code, res.Text)
		case !genuine && (res.Code != 550 || !strings.Contains(res.Text, "reject.example")):
			return fmt.Errorf("forged message %d: %+v", i, res.Answer)
		}
	}
	return nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
